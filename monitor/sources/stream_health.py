"""Interruptions of a live source: times in which its sound cannot be scored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from monitor.audio.ring_buffer import RingReader
from monitor.core.events import State
from monitor.sources.gap_detector import Gaps, Interruption
from monitor.sources.preprocess import SILENT_S, Preprocessor


class WatchedSource(Protocol):
    """The part of a live source that `StreamHealth` uses."""

    @property
    def lost_since(self) -> float | None:
        """Time on the monotonic clock since which the source has been lost; None if it is not lost."""

    @property
    def overflows(self) -> int:
        """How often the device has reported lost samples."""

    def gap_detector(self, reader: RingReader, sample_rate: int) -> Gaps:
        """A detector of gaps in a ring with this sample rate in Hz."""


class StreamHealth:
    """Detects the interruptions of a live source.

    A loss or a silence is returned when it begins, with `ended` None, and again when it ends. At most one is ongoing. A
    gap is returned once, when its length is known.
    """

    def __init__(self, source: WatchedSource, preprocessor: Preprocessor) -> None:
        self._source = source
        self.open: Interruption | None = None
        self._newest_end = -math.inf  # end of the latest interruption, because interruptions do not overlap
        self.attach(preprocessor)

    def attach(self, preprocessor: Preprocessor) -> None:
        """Continues with the preprocessor of a device stream that has just been opened."""
        self._preprocessor = preprocessor
        self._gaps = self._source.gap_detector(preprocessor.reader, preprocessor.ring_rate)
        self._overflows = self._source.overflows

    @property
    def lost(self) -> bool:
        """Whether the source is lost: samples that still arrive must be discarded."""
        return self.open is not None and self.open.kind == "lost"

    @property
    def held_from(self) -> int | None:
        """The absolute index of the first sample that must not be read yet; None if all may be read."""
        return self._gaps.held_from

    @property
    def state(self) -> State | None:
        """The state if the sound cannot be scored, else None."""
        if self.open is None:
            return None
        return State.LOST if self.lost else State.NO_SIGNAL

    @property
    def undisturbed(self) -> bool:
        """Whether there is no interruption, and all samples may be read."""
        return self.open is None and self._gaps.held_from is None

    def check(self, now: float) -> Sequence[Interruption]:
        """Returns the interruptions that have begun or ended by `now` on the monotonic clock."""
        source, lost = self._source, self.lost
        lost_since = source.lost_since
        if lost_since is None and not lost:
            gap = self._gaps.check(now)
            if gap is None and source.overflows == self._overflows:
                return ()  # nearly always, and quick: it is done for each stream in each turn
            return self._found_gap(gap, now)
        found: list[Interruption] = []
        if lost_since is not None and not lost:
            self._gaps.restart()
            self._close(lost_since, found)
            self._begin("lost", lost_since, found)
        elif lost_since is None:
            self._gaps.restart()
            self._close(now, found)
        return found

    def _found_gap(self, gap: Interruption | None, now: float) -> Sequence[Interruption]:
        found: list[Interruption] = []
        if gap is None:
            self._overflows = self._source.overflows
            gap = self._gaps.overflowed(now)
        if gap.ended is not None:
            self._close(gap.began, found)
            began = max(gap.began, self._newest_end)
            self._newest_end = max(gap.ended, began)
            found.append(Interruption("gap", began, self._newest_end))
        return found

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
