"""Hops divided into slots of equal length, of which the newest are kept of many streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.types import BoolArray, FloatArray, IndexArray

SLOTS = 600  # that are kept


@dataclass(frozen=True, slots=True)
class HopsInSlots:
    """k hops of each of n streams, and the m slots that they are in, which are ordered by stream and time.

    Streams are divided alike if their first hops have the same number, as those that were started together.
    """

    slot: IndexArray  # (m,) number of each slot
    row: IndexArray  # (m,) which of the n streams it is of
    starts: IndexArray  # (m,) index of its first hop among all n · k hops
    counts: IndexArray  # (m,) number of its hops
    ends: tuple[IndexArray, IndexArray]  # (n,) number of the first and of the last slot of each stream
    within: IndexArray  # (u, k) in each of u divisions the number of each hop's slot among those of its stream, from 0
    division: IndexArray  # (n,) which one is that of each stream

    @classmethod
    def of(cls, first: IndexArray, count: int, slots_per_hop: float) -> HopsInSlots:
        """Divides `count` hops of each of n streams, whose first ones have these numbers (n,)."""
        alike = bool((first == first[0]).all())
        division = np.zeros(len(first), np.int64) if alike else np.arange(len(first))
        slots = (((first[:1] if alike else first)[:, None] + np.arange(0.5, count)) * slots_per_hop).astype(np.int64)
        begins = np.ones(slots.shape, bool)
        np.not_equal(slots[:, 1:], slots[:, :-1], out=begins[:, 1:])
        starts = np.flatnonzero(begins[division])
        row = starts // count
        counts = np.diff(starts, append=len(first) * count)
        slot, ends = slots[division[row], starts - row * count], (slots[division, 0], slots[division, -1])
        return cls(slot, row, starts, counts, ends, slots - slots[:, :1], division)

    def highest(self, values: NDArray[Any]) -> NDArray[Any]:
        """The highest one of the values (n, k) of the hops of each slot, but for NaN: (m,)."""
        return np.fmax.reduceat(values.reshape(-1), self.starts)

    def sums(self, values: FloatArray) -> FloatArray:
        """The sums over the hops of each slot of values (n, k, width): (m, width)."""
        number = np.arange(int(self.within[:, -1].max()) + 1)
        # A matrix product with zeros and ones is several times as fast as np.add.reduceat.
        chosen = (self.within[:, None] == number[:, None]).astype(np.float32)
        sums: FloatArray = (chosen if len(chosen) == 1 else chosen[self.division]) @ values
        there = (number <= self.within[:, -1:])[self.division]
        return sums.reshape(-1, sums.shape[2]) if there.all() else sums[there]


class SlotRing:
    """Where the newest SLOTS slots of `count` streams are in arrays (count, SLOTS, …).

    Nothing is written for a new slot before it has a value, so it need not be cleared.

    Args:
        count: number of streams.
    """

    def __init__(self, count: int) -> None:
        self.newest = np.full(count, -1)  # number of the newest slot of each stream; -1: none

    def enter(self, streams: IndexArray, hops: HopsInSlots) -> Places:
        """The places of the slots of some hops of n streams (n,), which are kept from now on."""
        before, (first, last) = self.newest[streams], hops.ends
        newest = np.maximum(before, last)
        self.newest[streams] = newest
        row, slot, kept = hops.row, hops.slot, None
        if (first <= newest - SLOTS).any():
            kept = slot > newest[row] - SLOTS
            row, slot = row[kept], slot[kept]
        old = np.flatnonzero(slot <= before[row])
        gaps = [
            (int(streams[i]), max(int(before[i]) + 1, int(newest[i]) + 1 - SLOTS), int(first[i]))
            for i in np.flatnonzero(first > before + 1).tolist()
        ]
        return Places(kept, (streams[row], slot % SLOTS), old, gaps)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the values of m slots are kept.

    Attributes:
        kept: (m,) which of the slots are; None: all.
        where: their streams and places in the arrays.
        old: indices of those, among them, that have values already.
        gaps: slots in between that have none: stream, number of the first, and number after the last.
    """

    kept: BoolArray | None
    where: tuple[IndexArray, IndexArray]
    old: IndexArray
    gaps: list[tuple[int, int, int]]

    def skip(self, array: NDArray[Any], empty: float) -> None:
        """Gives the slots in between a value that means none."""
        for stream, first, stop in self.gaps:
            array[stream, np.arange(first, stop) % SLOTS] = empty

    def put(self, array: NDArray[Any], values: NDArray[Any], combine: np.ufunc) -> None:
        """Adds values (m, …), which are combined with those that there are."""
        if self.kept is not None:
            values = values[self.kept]
        if len(self.old):
            place = self.where[0][self.old], self.where[1][self.old]
            values[self.old] = combine(array[place], values[self.old])
        array[self.where] = values
