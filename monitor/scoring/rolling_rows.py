"""Mean rows of streams: rolling means of rows of window statistics, and the highest level of each band in that time."""

from __future__ import annotations

import numpy as np

from monitor.core.array_backend import NUMPY, ArrayBackend, on_device, run_or_numbers, sliding_maxima
from monitor.core.types import Array, IndexArray
from monitor.scoring.rolling_mean import RollingMeans
from monitor.scoring.row_layout import RowLayout


class RollingRows:
    """Computes the mean row of the last `length` rows of each of `streams` streams.

    Args:
        layout: of the rows.
        length: rows in a mean row.
        streams: number of streams.
        backend: where to compute.
    """

    def __init__(self, layout: RowLayout, length: int, streams: int = 1, backend: ArrayBackend = NUMPY) -> None:
        self._layout = layout
        self._means = RollingMeans(length, layout.row_width, streams, backend)
        self._peaks = RollingMaxima(length, layout.n_mels, streams, backend) if layout.peaks else None

    def push(self, rows: Array, streams: IndexArray | slice, means: Array) -> None:
        """Adds the next rows of some streams, and computes the mean row at each of them.

        Args:
            rows: (n, k, row_width) float32.
            streams: (n,) numbers of the streams, all different, or a slice if they follow one another.
            means: (n, k, mean_width) float32, written. Undefined until a stream has had `length` rows.
        """
        if self._peaks is None:
            self._means.push(rows, streams, means)
            return
        self._means.push(rows, streams, means[..., : self._layout.row_width])
        means[..., self._layout.peak_columns] = self._peaks.push(rows[..., self._layout.level_columns], streams)


class RollingMaxima:
    """Computes the highest of the last `length` values, in each column of each of `streams` streams."""

    def __init__(self, length: int, width: int, streams: int = 1, backend: ArrayBackend = NUMPY) -> None:
        self._length, self._backend = length, backend
        self._last = backend.upload(np.full((streams, length - 1, width), -np.inf, np.float32))

    def push(self, values: Array, streams: IndexArray | slice) -> Array:
        """Adds the next values (n, k, width) of some streams, and returns the maxima (n, k, width)."""
        xp, which = self._backend.xp, on_device(run_or_numbers(streams), self._backend)
        values = xp.concat((self._last[which], values), axis=1)
        self._last[which] = values[:, values.shape[1] - (self._length - 1) :]
        return sliding_maxima(values, self._length)
