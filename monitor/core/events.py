"""What the monitor reports to sinks and the dashboard: machine states, events, and scores."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from enum import StrEnum

from monitor.core.types import BoolArray, DoubleArray, FloatArray, IndexArray


class State(StrEnum):
    """The state of a machine; the values are the words that the dashboard shows."""

    LISTENING = "LISTENING"  # sound comes in, but it is too early for a decision
    NORMAL = "NORMAL"
    WARNING = "WARNING"  # above the threshold, but not for long enough; or the cumulative sum is half-way to its limit
    ANOMALY = "ANOMALY"
    OFF = "OFF"  # too quiet to be running
    NEW_MODE = "NEW MODE"  # it runs in an operating mode that was not heard in training
    LOST = "LOST"  # no sound comes in
    NO_SIGNAL = "NO SIGNAL"  # all samples are equal: zeros, or a constant
    OVERLOADED = "OVERLOADED"  # a large part of the sound was not heard, because samples were missing


@dataclass(frozen=True, slots=True)
class Band:
    """A frequency range that contributes to an anomaly."""

    low_hz: float
    high_hz: float
    share: float  # of the score, 0 to 1
    change: str  # "new": more energy here than in normal sound; "missing": less


def new_event_id() -> str:
    """A new UUID of version 7 (RFC 9562): globally unique, and sorted by creation time."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76  # version
    value = value & ~(0b11 << 62) | 0b10 << 62  # variant
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


@dataclass(frozen=True, slots=True)
class Event:
    """An anomaly, an interruption of the sound, a machine that is off, or a drift of the reference.

    An event is reported when it begins, and again with the same `id` when it ends. An anomaly that lasts is reported
    repeatedly in between (reminders). Times are in seconds of the stream; `wall_time` is the Unix time of the start.
    """

    # "anomaly", "off", "new mode", "drift", "gap", "lost", "no signal", "overloaded", "invalid samples" or "self-test"
    kind: str
    start_s: float
    end_s: float | None  # None while it lasts
    wall_time: float
    source: str
    peak: float = 0.0  # the highest anomaly score; of "drift": how far the reference has moved, as a share of its cap
    mean: float = 0.0  # mean anomaly score from start to end
    threshold: float = 0.0
    lost_samples: int = 0  # of "gap" and "overloaded": samples not heard; of "invalid samples": their number
    cut_off: bool = False  # whether the sound ended, or was interrupted, while the event lasted
    # From here to `reminders`: of anomalies only.
    reported_s: float = 0.0  # when the state became ANOMALY; `start_s` is where the scores began to rise
    # "sudden": the score was far above normal; "lasting": slightly above normal for long; "recording": neither, but the
    # score of the recording as a whole is above those of normal recordings.
    cause: str = ""
    bands: tuple[Band, ...] = ()  # frequency ranges that contribute most, the largest share first
    model_id: str = ""  # of the bundle that computed the scores
    reminders: int = 0  # how many times it has been reported again while it lasted
    stream: str = ""  # the stream's name if there are several
    id: str = field(default_factory=new_event_id)

    @property
    def duration_s(self) -> float | None:
        """Seconds from start to end; None while the event lasts."""
        return None if self.end_s is None else self.end_s - self.start_s


# What the causes of anomalies are called where a user reads them.
CAUSES = {"sudden": "sudden", "lasting": "small but lasting", "recording": "above all normal recordings"}


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions of the alarm on scores: all that has to be known to repeat them."""

    index: IndexArray  # (m,) of the scores that were decided on, among those of the `ScoreRows`
    number: IndexArray  # (m,) of each decision since the stream began or went on, also of those too early to be made
    held_back: BoolArray  # (m,) whether the score counted as the threshold at most: quiet, or perhaps an unknown mode
    per_decision: int  # number of scores from one decision to the next
    limit: float  # of the cumulative sum; infinity if lasting anomalies are not detected
    model_id: str


@dataclass(frozen=True, slots=True)
class ScoreRows:
    """The scores of consecutive windows of one recording."""

    source: str
    first: int  # number of the first of these windows in its recording
    hop_s: float
    error: FloatArray  # (k,) reconstruction error of each window
    score: DoubleArray  # (k,) anomaly score; NaN before the first full mean
    threshold: float
    state: State  # after the last window
    share: DoubleArray  # (k,) how near the alarm is, as a share of its limit; NaN where it makes no decisions
    wall_time: float  # the Unix time of the first window
    stream: str = ""  # the stream's name if there are several
    decisions: Decisions | None = None  # None: not known
