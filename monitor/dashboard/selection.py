"""Which of several streams are shown, in which order, and on which of them keys act."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from monitor.core.snapshot import Snapshot
from monitor.dashboard.keyboard import BACK, DOWN, ENTER, ESCAPE, PAGE_DOWN, PAGE_UP, UP
from monitor.dashboard.widgets.stream_order import SORTS, Ranking

_PAGE = 10  # rows that page up and page down move
_LONGEST_FILTER = 40
_STEPS = {UP: -1, DOWN: 1, PAGE_UP: -_PAGE, PAGE_DOWN: _PAGE}


class Selection:
    """The state of the table of streams. Streams are known by their numbers in the snapshots of the last `update`."""

    def __init__(self) -> None:
        self.order: list[int] = []  # the streams in the table, that of the top row first
        self.chosen: int | None = None  # the stream that was chosen in the table
        self.open: int | None = None  # the stream that is shown alone
        self.sort = SORTS[0]
        self.filter = ""  # only streams whose names contain this are shown
        self.typing = False  # whether the filter is being typed
        self._ranking = Ranking()
        self._names: list[str] = []  # of the streams, by their numbers

    @property
    def acting(self) -> int | None:
        """The stream that keys act on: the one shown alone, else the chosen one, else the top one; None if none is."""
        if self.open is not None:
            return self.open
        if self.chosen is not None:
            return self.chosen
        return self.order[0] if self.order else None

    def update(self, snapshots: Sequence[Snapshot], acknowledged: Collection[str]) -> None:
        """Sorts and filters the streams by their newest snapshots."""
        self._renumber([shown.stream for shown in snapshots])
        wanted = self.filter.casefold()
        order = self._ranking.order(snapshots, self.sort, acknowledged)
        self.order = [number for number in order if wanted in snapshots[number].stream.casefold()]
        if self.chosen is not None and self.chosen not in self.order:
            self.chosen = None

    def _renumber(self, names: list[str]) -> None:
        """Follows the chosen and the open stream, by their names, where streams have been added or removed."""
        before, self._names = self._names, names
        if not before or names == before:
            return
        number = {name: place for place, name in enumerate(names)}
        self.chosen = None if self.chosen is None else number.get(before[self.chosen])
        self.open = None if self.open is None else number.get(before[self.open])

    def press(self, key: str) -> bool:
        """Acts on a key of the table; returns whether another stream is shown alone now."""
        if key in (ESCAPE, "t"):
            if self.open is None and key == ESCAPE:
                self.filter = ""
            self.open = None
        elif self.open is not None:
            return False
        elif key == ENTER:
            self.chosen = self.open = self.acting
            return self.open is not None
        elif key == "/":
            self.filter, self.typing = "", True
        elif key in "oO":
            self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
        elif key in _STEPS and self.order:
            place = self.order.index(self.chosen) + _STEPS[key] if self.chosen is not None else 0
            self.chosen = self.order[min(max(place, 0), len(self.order) - 1)]
        return False

    def type(self, key: str) -> None:
        """Acts on a key while the filter is being typed."""
        if key == ENTER:
            self.typing = False
        elif key == ESCAPE:
            self.filter, self.typing = "", False
        elif key == BACK:
            self.filter = self.filter[:-1]
        elif key.isprintable() and key not in _STEPS and len(self.filter) < _LONGEST_FILTER:
            self.filter += key
