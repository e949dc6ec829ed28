"""What a station shows of itself: the state, its events, and a frozen Snapshot of the last minute.

The dashboard draws Snapshots and knows nothing else, so it is tested with ones made by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


class State(StrEnum):
    """What the monitor says of the machine, in the one word the dashboard prints large."""

    LISTENING = "LISTENING"  # sound comes in, but it is too early to judge it
    NORMAL = "NORMAL"
    WARNING = "WARNING"  # above the threshold, not yet for long enough; or evidence gathers
    ANOMALY = "ANOMALY"
    OFF = "OFF"  # the machine is too quiet to be running
    LOST = "LOST"  # no sound comes in
    NO_SIGNAL = "NO SIGNAL"  # what comes in is all zeros, or a constant


@dataclass(frozen=True, slots=True)
class Band:
    """A range of frequencies that carries an anomaly."""

    low_hz: float
    high_hz: float
    share: float  # of the score
    change: str  # "new": more of it than normal sound has; "missing": less


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling: an anomaly, or a hole in the sound.

    Times are in seconds of the stream; `wall_time` is the Unix time of the start.
    """

    kind: str  # "anomaly", "off", "drift", "gap", "lost" or "no signal"
    start_s: float
    end_s: float | None  # None while it lasts
    wall_time: float
    source: str
    peak: float = 0.0  # the highest anomaly score; of a drift the share of its cap
    mean: float = 0.0
    threshold: float = 0.0
    lost_samples: int = 0  # of a gap
    # of an anomaly
    told_s: float = 0.0  # when the state became ANOMALY; the start is where the score rose, or evidence began to gather
    cause: str = ""  # "sudden": the score was far up; "evidence": it was a little up for long
    bands: tuple[Band, ...] = ()  # what carries it, the largest share first
    model_id: str = ""  # of the bundle that judged
    reminders: int = 0  # how often it was told again while it lasted
    stream: str = ""  # the name of the stream where there are several

    @property
    def duration_s(self) -> float | None:
        """Seconds from start to end, None while it lasts."""
        return None if self.end_s is None else self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of the monitor, complete and immutable.

    Histories are in slots of `slot_s` seconds; slot i of the arrays is the stream's slot number
    `first_slot + i`, the newest last, NaN where there is nothing. All histories have the same length.
    """

    state: State
    # where the sound comes from, and what judges it
    source: str
    model: str  # a name for the eye
    score_kind: str  # as in score.kind
    threshold: float  # of the anomaly score
    threshold_note: str  # where it came from and how old it is, a few words
    error_threshold: float  # of the (rolling) reconstruction error; equals threshold where score_kind is "error"
    # now
    error: float  # rolling reconstruction error, NaN before the first
    score: float  # anomaly score, NaN before the first
    level_dbfs: float  # RMS level of the last tenth of a second, -inf for silence
    peak_dbfs: float  # sample peak, held for some seconds
    position_s: float  # seconds of the stream heard so far (of the current file in a replay)
    duration_s: float | None  # length of the current file; None where there is no end
    uptime_s: float  # seconds since the monitor started
    speed: float  # stream seconds per second of wall clock; 1 in live use
    load: float  # fraction of the time that the worker computes, 0 to 1
    dropped_samples: int  # samples said to be lost so far
    # the last minute
    slot_s: float
    first_slot: int
    error_history: FloatArray  # (slots,) worst rolling error in the slot
    score_history: FloatArray  # (slots,) worst anomaly score in the slot
    spectrogram: FloatArray  # (slots, n_mels) mean mel level in dB
    band_hz: FloatArray  # (n_mels,) centre of each mel band in Hz
    band_score: Callable[[], FloatArray]  # (n_mels,) what each band adds to the score; negative where sound is missing
    events: tuple[Event, ...] = ()  # oldest first; the engine keeps the last hundred
    anomalies: int = 0  # anomalies so far
    evidence: float = 0.0  # what has been slightly unusual for long, as a share of what makes an anomaly
    algorithmic_s: float = math.nan  # seconds by which the method itself is late: window and transform
    processing_s: float = math.nan  # median seconds from a window's last sample to its score
    processing_p99_s: float = math.nan  # its 99th percentile
    finished: bool = False  # the stream has ended; nothing more will come
    stream: str = ""  # its name where there are several
    failure: str = ""  # what ended it early, a sentence
