"""What alarms made of scores that begin and end nothing: their levels change at decisions only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from monitor.core.types import BoolArray, DoubleArray, IndexArray
from monitor.detection.slots import HopsInSlots


@dataclass(frozen=True, slots=True)
class Calm:
    """What alarms made of k scores of each of n streams, where these began and ended nothing.

    Attributes:
        done: (n,) for which streams this holds; nothing has changed for the others, and the rest is any.
        levels: (n, d + 1, 2) share of the limit, and cumulative sum, before and after each of d decisions at most; NaN
            where there was none before. What is beyond the last decision of a stream is as after it.
        count: k.
        first: (n,) index of the first decision.
        number: (n,) number of that decision since the scores began.
        per_decision: (n,) scores from one decision to the next.
    """

    done: BoolArray
    levels: DoubleArray
    count: int
    first: IndexArray
    number: IndexArray
    per_decision: IndexArray

    @property
    def trace(self) -> DoubleArray:
        """The levels after each score of each stream (n, k, 2), as in `Pushed`."""
        rows = np.arange(len(self.levels))[:, None]
        trace: DoubleArray = self.levels[rows, self._decisions(rows, np.arange(self.count))]
        return trace

    def trace_of(self, i: int) -> DoubleArray:
        """The levels after each score (k, 2) of a stream, by its index in the push."""
        trace: DoubleArray = self.levels[i, self._decisions(np.array(i), np.arange(self.count))]
        return trace

    def decided(self, i: int, offset: int = 0) -> list[tuple[int, int]]:
        """The decisions on the scores of a stream, as in `Pushed`.

        Args:
            i: index of the stream in the push.
            offset: is added to the indices of the scores.
        """
        first, number = int(self.first[i]), int(self.number[i])
        indices = range(offset + first, offset + self.count, int(self.per_decision[i]))
        return list(zip(indices, range(number, number + len(indices)), strict=True))

    def finished(self) -> Calm:
        """Only the streams for which it is done."""
        if self.done.all():
            return self
        names = ("done", "levels", "first", "number", "per_decision")
        return replace(self, **{name: getattr(self, name)[self.done] for name in names})

    def highest_share(self) -> DoubleArray:
        """The highest share of the limit after any of the scores of each stream (n,)."""
        before = np.where(self.first > 0, self.levels[:, 0, 0], np.nan)
        highest: DoubleArray = np.fmax(before, np.fmax.reduce(self.levels[:, 1:, 0], axis=1))
        return highest

    def highest_in(self, hops: HopsInSlots) -> DoubleArray:
        """The highest levels in each slot of the scores, of all streams: (m, 2)."""
        row, start = hops.row, hops.starts - hops.row * self.count
        after = np.stack((self._decisions(row, start), self._decisions(row, start + hops.counts - 1) + 1), axis=1)
        flat = np.concatenate((self.levels.reshape(-1, 2), np.full((1, 2), np.nan)))
        edges = (row * self.levels.shape[1])[:, None] + after
        highest: DoubleArray = np.fmax.reduceat(flat, edges.reshape(-1), axis=0)[::2]
        return highest

    def _decisions(self, rows: IndexArray, at: IndexArray) -> IndexArray:
        """How many decisions there were up to and including score `at` (…) of stream number `rows` (…): (…)."""
        so_far = (at - self.first[rows]) // self.per_decision[rows] + 1
        decisions: IndexArray = np.minimum(so_far, self.levels.shape[1] - 1)  # more only where it is not done
        return decisions
