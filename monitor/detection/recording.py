"""A recording of a stream, its result, and the listener that a detector reports to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from monitor.core.events import Event, ScoreRows
from monitor.core.types import FloatArray


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording of a stream; the sound of a microphone is one recording."""

    name: str
    duration_s: float | None = None  # None if it has no end
    began: float | None = None  # Unix time at which it was recorded; None: it is heard now


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """The result of a recording that has ended."""

    name: str
    score: float  # of the whole recording; NaN if it was not computed
    seconds: float  # length
    anomalies: int  # number of anomalies
    highest_share: float = math.nan  # how near the alarm was at most (`Alarm.share_of_limit`); NaN without decisions
    worst: Event | None = None  # the anomaly with the highest score
    off_s: float = 0.0  # how long the machine was off
    new_mode_s: float = 0.0  # how long it was in an operating mode that was not heard in training


class Listener(Protocol):
    """Receives the frames, events and scores of a stream, in the order of time."""

    @property
    def wants_frames(self) -> bool:
        """Whether it does something with frames; otherwise it may get none."""

    @property
    def wants_scores(self) -> bool:
        """Whether it does something with scores; otherwise it may get none, and they are not put together."""

    def frames(self, first: int, power: FloatArray) -> None:
        """Receives power mel frames (t, n_mels); `first` is the number of the first one in its recording."""

    def event(self, event: Event) -> None:
        """Receives an event that began, was reported again, or ended."""

    def scores(self, rows: ScoreRows) -> None:
        """Receives the scores of windows."""
