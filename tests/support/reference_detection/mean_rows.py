"""Arrays of several portions, used as one array without joining all of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.types import BoolArray, DoubleArray, FloatArray, IndexArray


class MeanRows:
    """One index over the rows of several arrays (k, mean_width). Few rows are needed, so the arrays are not joined."""

    def __init__(self, arrays: Sequence[FloatArray]) -> None:
        self._arrays, self._first = arrays, list(accumulate(map(len, arrays), initial=0))

    def __call__(self, index: int, offset: int = 0) -> DoubleArray:
        """A copy (mean_width,) of row `offset + index`."""
        at = bisect_right(self._first, index + offset) - 1
        row: DoubleArray = self._arrays[at][index + offset - self._first[at]].astype(np.float64)
        return row

    def rows(self, indices: IndexArray) -> DoubleArray:
        """A copy (n, mean_width) of the rows with these numbers (n,)."""
        return np.stack([self(index) for index in indices.tolist()])


def joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def runs(flags: BoolArray | IndexArray) -> list[tuple[int, int]]:
    """The (start, stop) of each run of equal flags or numbers."""
    edges = [0, *(np.flatnonzero(flags[1:] != flags[:-1]) + 1).tolist(), len(flags)]
    return list(pairwise(edges))
