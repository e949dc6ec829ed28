"""Snapshot: the complete, immutable state of a stream at one moment.

A Snapshot is all that the dashboard knows of a stream, so tests of the dashboard need no audio and no model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from monitor.core.events import Event, State
from monitor.core.types import FloatArray


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a stream at one moment, with the history of its scores and its spectrogram.

    Histories are divided into slots of `slot_s` seconds. Element i of a history is slot number `first_slot + i` of the
    stream, so the newest is last; it is NaN where no value was computed. All histories have the same length.
    """

    state: State
    # source and model
    source: str
    model: str  # display name
    score_kind: str  # as in score.kind
    threshold: float  # of the anomaly score
    threshold_note: str  # how the threshold was found and how old it is, in a few words
    error_threshold: float  # of the rolling reconstruction error; equals `threshold` where score_kind is "error"
    # now
    error: float  # rolling reconstruction error; NaN before the first
    score: float  # anomaly score; NaN before the first
    share_of_limit: float  # how near the alarm is, suddenly or lastingly: above 1 is the alarm; NaN without decisions
    level_dbfs: float  # RMS level of the last tenth of a second, -inf for silence
    peak_dbfs: float  # highest sample of the last few seconds
    position_s: float  # seconds of the stream processed so far (of the current file in a replay)
    duration_s: float | None  # length of the current file; None if the source has no end
    uptime_s: float  # seconds since the monitor started
    speed: float  # stream seconds per second of wall clock; 1 in live use
    load: float  # fraction of the time that the engine's thread is busy, 0 to 1
    lost_s: float  # seconds of sound that were not heard (missing samples) so far
    # history of the last minute
    slot_s: float
    first_slot: int
    error_history: FloatArray  # (slots,) highest rolling reconstruction error in each slot
    score_history: FloatArray  # (slots,) highest anomaly score in each slot
    share_history: FloatArray  # (slots,) highest share of the limit in each slot
    lasting_history: FloatArray  # (slots,) highest cumulative sum in each slot, as a share of its limit
    spectrogram: FloatArray  # (slots, n_mels) mean mel power in dB
    band_hz: FloatArray  # (n_mels,) centre of each mel band in Hz
    band_contribution: FloatArray  # (n_mels,) contribution of each band to the score; negative: missing sound
    events: tuple[Event, ...] = ()  # the last hundred, oldest first
    anomalies: int = 0  # number of anomalies so far
    lasting_sum: float = 0.0  # the cumulative sum for lasting anomalies, as a share of its limit
    # delay of the method itself: from the middle of a window to its last sample, and to the last one of its portion
    algorithmic_delay_s: float = math.nan
    processing_s: float = math.nan  # median seconds from a window's last sample to its score
    processing_p99_s: float = math.nan  # its 99th percentile
    finished: bool = False  # whether the stream has ended
    stream: str = ""  # the stream's name if there are several
    failure: str = ""  # the error message, if an error ended the stream
    outputs: tuple[str, ...] = ()  # what is wrong with outputs at present, a sentence each
    model_id: str = ""  # of the model's content
    note: str = ""  # what is done with the model at present, in a few words, such as "commissioning: day 3 of 7"
    clock_ppm: float = math.nan  # how fast a network sender's clock is, in parts per million; NaN if that is not known
    false_alarms: str = ""  # how many the limits in force lead to, in words; empty if that is unknown
    precision: str = ""  # that the network is computed in; empty if there is no model
    limits_precision: str = ""  # that it was computed in when the model's limits were made
    mean_level_dbfs: float = math.nan  # RMS level since the snapshot before, NaN if nothing was heard
