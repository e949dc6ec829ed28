"""What is read from the store: events, minute values and streams, as plain immutable values."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.core.events import Band
from monitor.core.types import DoubleArray


@dataclass(frozen=True, slots=True)
class StoredStream:
    """A stream in the store."""

    id: int
    host: str
    name: str
    model_id: str
    source: str
    first_seen: float  # Unix times
    last_seen: float
    muted_until: float | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in the store; times are Unix times in seconds, shares are shares of the limit (1 is the alarm)."""

    id: str
    host: str
    stream: str
    kind: str  # as in `monitor.core.events.Event`, and "warning"
    onset: float
    reported: float
    ended: float | None  # None while it lasts
    cut_off: bool = False
    start_s: float = 0.0
    peak_share: float | None = None
    mean_share: float | None = None
    peak: float | None = None
    threshold: float | None = None
    lost_samples: int = 0
    cause: str = ""
    bands: tuple[Band, ...] = ()
    model_id: str = ""
    source: str = ""
    reminders: int = 0
    acknowledged: float | None = None
    acknowledged_by: str = ""
    locked: bool = False
    verdict: str = ""  # the newest; the next three belong to it
    verdict_time: float | None = None
    verdict_by: str = ""
    verdict_comment: str = ""
    clip: str = ""  # paths relative to the folder of clips
    picture: str = ""
    clip_start: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class MinuteValues:
    """Minute values of one stream, or values of longer steps made of them; each array has one number for each step.

    Steps without values are left out. Shares are shares of the limit, levels dBFS; NaN where there is no value.
    """

    step_s: float  # 60, or a multiple of it
    time: DoubleArray  # (n,) Unix time at which each step begins
    error_mean: DoubleArray
    error_max: DoubleArray
    score_mean: DoubleArray
    score_max: DoubleArray
    share_mean: DoubleArray
    share_max: DoubleArray
    level: DoubleArray
    seconds: dict[str, DoubleArray]  # by state: listening, normal, warning, anomaly, off, new_mode, not_heard
