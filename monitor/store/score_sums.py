"""Sums of the scores of many streams: over seconds of their recordings and minutes of the clock, in one computation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from monitor.core.events import ScoreRows
from monitor.core.types import BoolArray, DoubleArray, IndexArray
from monitor.store.minute_row import MINUTE_S

ROUNDING_S = 1e-6  # of Unix times: so that it does not decide to which minute a window belongs
POSITION_ROUNDING_S = 1e-9  # of positions in a recording
ERROR, SCORE, SHARE = range(3)  # the values of a window, in this order


@dataclass(frozen=True, slots=True)
class Sums:
    """Sum, number and maximum of the values of windows in p parts; values that are NaN do not count."""

    total: DoubleArray  # (values, p)
    count: IndexArray  # (values, p)
    highest: DoubleArray  # (values, p); NaN where there is no value

    @classmethod
    def of(cls, values: DoubleArray, starts: IndexArray) -> Self:
        """Those of values (values, windows) in parts that begin with these windows (p,)."""
        known = values == values
        return cls(
            np.add.reduceat(np.where(known, values, 0.0), starts, axis=1),
            np.add.reduceat(known, starts, axis=1, dtype=np.int64),
            np.fmax.reduceat(values, starts, axis=1),
        )

    def over(self, starts: IndexArray) -> Sums:
        """The sums of successive parts: from each of these indices to the next one."""
        return Sums(
            np.add.reduceat(self.total, starts, axis=1),
            np.add.reduceat(self.count, starts, axis=1),
            np.fmax.reduceat(self.highest, starts, axis=1),
        )


@dataclass(frozen=True, slots=True)
class ScoreSums:
    """The windows of n blocks of scores, divided into p parts wherever a second or a minute begins."""

    first: IndexArray  # (n,) number of each block's first window in its recording
    begin: DoubleArray  # (n,) Unix time at which each block begins
    end: DoubleArray  # (n,) Unix time at which it ends
    block: IndexArray  # (p,) number of the block that the part is from
    second: IndexArray  # (p,) second of the recording
    minute: IndexArray  # (p,) Unix time divided by 60
    seconds: DoubleArray  # (p,) length
    sums: Sums  # of error, score and share of the limit in each part

    @classmethod
    def of(cls, blocks: Sequence[ScoreRows]) -> Self:
        """Those of blocks that are not empty."""
        counts = np.array([len(one.score) for one in blocks])
        begin, hop_s = np.array([(one.wall_time, one.hop_s) for one in blocks]).T
        first = np.array([one.first for one in blocks])
        offsets = np.cumsum(counts) - counts  # of each block's first window among all windows

        def second(block: IndexArray, window: IndexArray) -> IndexArray:
            found: IndexArray = ((first[block] + window) * hop_s[block] + POSITION_ROUNDING_S).astype(np.int64)
            return found

        def minute(block: IndexArray, window: IndexArray) -> IndexArray:
            found: IndexArray = ((begin[block] + window * hop_s[block] + ROUNDING_S) / MINUTE_S).astype(np.int64)
            return found

        each = np.arange(len(blocks))
        block, key = _further(second(each, 0 * each), second(each, counts - 1))
        window = np.ceil((key - POSITION_ROUNDING_S) / hop_s[block]).astype(np.int64) - first[block]
        seconds = offsets[block] + window
        block, key = _further(minute(each, 0 * each), minute(each, counts - 1))
        window = np.ceil((key * float(MINUTE_S) - begin[block] - ROUNDING_S) / hop_s[block]).astype(np.int64)
        starts = np.unique(np.concatenate([offsets, seconds, offsets[block] + window]))
        block = np.searchsorted(offsets, starts, side="right") - 1
        window = starts - offsets[block]
        values = np.empty((3, int(counts.sum())))
        for row, name in enumerate(("error", "score", "share")):
            np.concatenate([getattr(one, name) for one in blocks], out=values[row])
        return cls(
            first, begin, begin + counts * hop_s, block, second(block, window), minute(block, window),
            np.diff(starts, append=values.shape[1]) * hop_s[block], Sums.of(values, starts),
        )  # fmt: skip


def _further(first: IndexArray, last: IndexArray) -> tuple[IndexArray, IndexArray]:
    """The seconds or minutes that begin within blocks.

    Args:
        first, last: (n,) those of the first and the last window of each block.

    Returns:
        the blocks in which they begin, and which they are: (q,) each.
    """
    more = last - first
    block = np.repeat(np.arange(len(first)), more)
    return block, first[block] + 1 + np.arange(len(block)) - np.repeat(np.cumsum(more) - more, more)


def where_new(*keys: NDArray[np.int64]) -> IndexArray:
    """The indices (q,) at which any of the keys (p,) differs from the one before, and 0."""
    changed: BoolArray = np.zeros(len(keys[0]), np.bool_)
    changed[:1] = True
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changed)
