"""Interruptions of a live source: times in which its sound cannot be scored."""

from __future__ import annotations

import math
from typing import Protocol

from monitor.core.events import State
from monitor.sources.gap_detector import GapDetector, Interruption
from monitor.sources.preprocess import SILENT_S, Preprocessor

BEHIND_S = 5.0  # if more sound is unread, it is discarded; less can be scored in a moment


class WatchedSource(Protocol):
    """The part of a live source that `StreamHealth` uses."""

    @property
    def lost_since(self) -> float | None:
        """Time on the monotonic clock since which the source has been lost; None if it is not lost."""

    @property
    def overflows(self) -> int:
        """How often the device has reported lost samples."""


class StreamHealth:
    """Detects the interruptions of a live source.

    An interruption is returned when it begins, with `ended` None, and again when it ends. At most one is ongoing. A gap
    that is only detected after its end is returned once.
    """

    def __init__(self, source: WatchedSource, preprocessor: Preprocessor) -> None:
        self._source = source
        self.open: Interruption | None = None
        self._newest_end = -math.inf  # end of the latest interruption, because interruptions do not overlap
        self.attach(preprocessor)

    def attach(self, preprocessor: Preprocessor) -> None:
        """Continues with the preprocessor of a device stream that has just been opened."""
        self._preprocessor = preprocessor
        self._gaps = GapDetector(preprocessor.reader, preprocessor.ring_rate)
        self._overflows = self._source.overflows

    @property
    def unusable(self) -> bool:
        """Whether the samples that arrive now must be discarded."""
        return self._gaps.settling or (self.open is not None and self.open.kind == "lost")

    @property
    def state(self) -> State | None:
        """The state if the sound cannot be scored, else None."""
        if self.open is None or self.open.kind == "gap":
            return None
        return State.LOST if self.open.kind == "lost" else State.NO_SIGNAL

    def check(self, now: float) -> list[Interruption]:
        """Returns the interruptions that have begun or ended by `now` on the monotonic clock."""
        found: list[Interruption] = []
        lost_since = self._source.lost_since
        lost = self.open is not None and self.open.kind == "lost"
        if lost_since is not None:
            if not lost:
                began = lost_since
                if self.open is not None and self.open.kind == "gap":
                    began = min(began, self.open.began)
                    self.open = None
                self._close(began, found)
                self._begin("lost", began, found)
        elif lost:
            self._close(now, found)
        else:
            self._check_for_gap(now, found)
        return found

    def _check_for_gap(self, now: float, found: list[Interruption]) -> None:
        gap = self._gaps.check(now)
        within_gap = self.open is not None and self.open.kind == "gap"
        if self._gaps.settling:  # a burst, or an overrun of the ring, belongs to the same gap
            if not within_gap:
                self._close(self._gaps.began, found)
                self._begin("gap", now, found)
            return
        preprocessor = self._preprocessor
        if gap is None and self._source.overflows != self._overflows:
            self._overflows = self._source.overflows
            gap = self._gaps.overflowed(now)
        elif gap is None and preprocessor.reader.available > BEHIND_S * preprocessor.ring_rate:
            gap = Interruption("gap", now - preprocessor.discard() / preprocessor.ring_rate, now)
        if gap is not None:
            if within_gap:
                self.open = None
            self._close(gap.began, found)
            before = self._newest_end
            self._newest_end = max(self._newest_end, gap.ended or now)
            found.append(Interruption("gap", max(gap.began, before), self._newest_end))

    def after_portion(self, now: float) -> list[Interruption]:
        """To be called after each portion that was read: returns the beginning or the end of silence."""
        found: list[Interruption] = []
        silent = self.open is not None and self.open.kind == "no signal"
        if self._preprocessor.silent and not silent:
            self._begin("no signal", max(now - SILENT_S, self._newest_end), found)
        elif silent and not self._preprocessor.silent:
            self._close(now, found)
        return found

    def finish(self, now: float) -> list[Interruption]:
        """Ends the ongoing interruption, because the monitoring ends."""
        found: list[Interruption] = []
        self._close(now, found)
        return found

    def _begin(self, kind: str, began: float, found: list[Interruption]) -> None:
        self.open = Interruption(kind, began if math.isfinite(began) else 0.0, None)
        found.append(self.open)

    def _close(self, ended: float, found: list[Interruption]) -> None:
        """Ends the ongoing interruption, if any."""
        if self.open is not None:
            self._newest_end = max(self.open.began, ended)
            found.append(Interruption(self.open.kind, self.open.began, self._newest_end))
            self.open = None
