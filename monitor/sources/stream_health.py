"""Watches over the sound of a microphone for the engine: when there is none that can be judged, and when again."""

from __future__ import annotations

import math
from typing import Protocol

from monitor.sources.preprocess import SILENT_S, Intake
from monitor.sources.gap_detector import Hole, Pace
from monitor.core.snapshot import State

BEHIND_S = 5.0  # of unread sound: less is caught up with in a moment, more is not worth it


class WatchedSource(Protocol):
    """What is asked of a source that is paced by hardware."""

    @property
    def lost_since(self) -> float | None:
        """Since when there is no sound, on the monotonic clock."""

    @property
    def overflows(self) -> int:
        """How often the device said that it lost samples."""


class Watch:
    """Tells of holes: with `ended` None when one begins, and again when it is over.

    At most one is open; a gap that is only seen when it is over is told once.
    """

    def __init__(self, source: WatchedSource, intake: Intake) -> None:
        self._source = source
        self.open: Hole | None = None
        self.attend(intake)

    def attend(self, intake: Intake) -> None:
        """From here on this is what is taken from: of a stream that has just been opened."""
        self._intake = intake
        self._pace = Pace(intake.ring, intake.ring_rate)
        self._overflows = self._source.overflows

    @property
    def deaf(self) -> bool:
        """Whether nothing is to be taken now."""
        return self._pace.settling or (self.open is not None and self.open.kind == "lost")

    @property
    def state(self) -> State | None:
        """What there is to say of the sound, None where it can be judged."""
        if self.open is None or self.open.kind == "gap":
            return None
        return State.LOST if self.open.kind == "lost" else State.NO_SIGNAL

    def look(self, now: float) -> list[Hole]:
        """What has come to be known by `now` (monotonic)."""
        told: list[Hole] = []
        lost_since = self._source.lost_since
        if lost_since is not None:
            if self.open is None or self.open.kind != "lost":
                began = lost_since
                if self.open is not None and self.open.kind == "gap":
                    began = min(began, self.open.began)
                    self.open = None
                self._close(now, told)
                self._begin("lost", began, told)
            return told
        if self.open is not None and self.open.kind == "lost":
            self._close(now, told)
        elif (hole := self._pace.look(now)) is not None:
            self.open = None if self.open and self.open.kind == "gap" else self.open
            self._close(hole.began, told)
            told.append(hole)
        elif self._pace.settling:  # what comes in a burst, or does not fit the ring, is part of the same hole
            if self.open is None or self.open.kind != "gap":
                self._close(now, told)
                self._begin("gap", now, told)
        elif self._source.overflows != self._overflows:
            self._overflows = self._source.overflows
            told.append(self._pace.overflowed(now))
        elif self._intake.ring.available > BEHIND_S * self._intake.ring_rate:
            told.append(Hole("gap", now - self._intake.discard() / self._intake.ring_rate, now))
        return told

    def judge(self, now: float) -> list[Hole]:
        """To be asked after each portion: whether it was sound."""
        told: list[Hole] = []
        silent = self.open is not None and self.open.kind == "no signal"
        if self._intake.silent and not silent:
            self._begin("no signal", now - SILENT_S, told)
        elif silent and not self._intake.silent:
            self._close(now, told)
        return told

    def end(self, now: float) -> list[Hole]:
        """The monitoring ends: so does what lasts."""
        told: list[Hole] = []
        self._close(now, told)
        return told

    def _begin(self, kind: str, began: float, told: list[Hole]) -> None:
        self.open = Hole(kind, began if math.isfinite(began) else 0.0, None)
        told.append(self.open)

    def _close(self, now: float, told: list[Hole]) -> None:
        if self.open is not None:
            told.append(Hole(self.open.kind, self.open.began, now))
            self.open = None
