"""Bins the slots of a history into the columns of a chart, so that columns scroll without changing their values.

A minute has more slots than a terminal has columns, or fewer. Column c covers the slots from ⌊c·r⌋ to
⌊(c+1)·r⌋, where r is slots per column and c counts from the beginning of the stream, not from the left edge.
So a complete column keeps its slots, and with them its value, for as long as it is on the screen; only the newest
column can still change. Where r is below 1, neighbouring columns show the same slot.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from monitor.core.types import FloatArray

MINUTE_S = 60.0


def minute_slots(slot_s: float) -> int:
    """Number of slots of `slot_s` seconds in the minute that is shown."""
    return max(1, round(MINUTE_S / slot_s)) if slot_s > 0 else 1


def last_column(newest_slot: int, slots: int, columns: int) -> int:
    """The number, from the beginning of the stream, of the last column that shows slot `newest_slot`."""
    return ((newest_slot + 1) * columns - 1) // slots


@lru_cache(maxsize=8)  # of a picture: all charts have the same few divisions
def _bounds(first_slot: int, length: int, slots: int, columns: int) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """Columns whose slots are all in the array: how many before them are not, and where each starts and ends."""
    last = last_column(first_slot + length - 1, slots, columns)
    number = np.arange(last - columns + 1, last + 1, dtype=np.int64)
    start = number * slots // columns - first_slot
    end = np.maximum((number + 1) * slots // columns - first_slot, start + 1)
    empty = int(np.count_nonzero(start < 0))
    return empty, start[empty:], np.minimum(end[empty:], length)


def column_maximum(history: FloatArray, first_slot: int, slots: int, columns: int) -> FloatArray:
    """The maximum of each column's slots, NaN where there are no values. (n,) -> (columns,), the newest last."""
    out = np.full(columns, np.nan, np.float32)
    if len(history) == 0:
        return out
    empty, start, end = _bounds(first_slot, len(history), slots, columns)
    if len(start):
        out[empty:] = _reduce(np.fmax, history, start, end)
    return out


def unheard_columns(spectrogram: FloatArray, first_slot: int, slots: int, columns: int) -> NDArray[np.bool_]:
    """The columns (columns,) in which no sound was heard; not those before the beginning of the stream."""
    heard: FloatArray = np.asarray(np.isfinite(spectrogram).any(axis=1), np.float32)
    unheard: NDArray[np.bool_] = column_maximum(heard, first_slot, slots, columns) == 0
    return unheard


def column_mean(history: FloatArray, first_slot: int, slots: int, columns: int) -> FloatArray:
    """The mean of each column's finite values, NaN where there are none. (n, bands) -> (columns, bands)."""
    out = np.full((columns, history.shape[1]), np.nan, np.float32)
    if len(history) == 0:
        return out
    empty, start, end = _bounds(first_slot, len(history), slots, columns)
    if len(start):
        known = np.isfinite(history)
        total = _reduce(np.add, np.where(known, history, np.float32(0)), start, end)
        count = _reduce(np.add, known.astype(np.float32), start, end)
        np.divide(total, count, out=out[empty:], where=count > 0)
    return out


@lru_cache(maxsize=8)
def band_rows(bands: int, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first band, and one past the last, of each of `rows` rows, the lowest first; no row is without a band."""
    edge = np.arange(rows + 1, dtype=np.int64) * bands // rows
    return edge[:-1], np.maximum(edge[1:], edge[:-1] + 1)


def row_mean(levels: FloatArray, rows: int) -> FloatArray:
    """The mean of each row's bands. (columns, bands) -> (columns, rows), the lowest first."""
    start, end = band_rows(levels.shape[1], rows)
    total = _reduce(np.add, np.ascontiguousarray(levels.T), start, end)
    mean: FloatArray = np.divide(total, (end - start)[:, None], dtype=np.float32).T
    return mean


def row_sum(values: FloatArray, rows: int) -> FloatArray:
    """The sum of each row's bands. (bands,) -> (rows,), the lowest first."""
    start, end = band_rows(len(values), rows)
    return _reduce(np.add, values, start, end)


def _reduce(ufunc: np.ufunc, values: FloatArray, start: NDArray[np.int64], end: NDArray[np.int64]) -> FloatArray:
    """ufunc over values[start[i]:end[i]] along the first axis."""
    if (end - start).max() == 1:
        return values[start]
    # reduceat ends each piece where the next one begins and the last one at the end of the array; so do the columns,
    # because they leave no slot out.
    reduced: FloatArray = ufunc.reduceat(values, start, axis=0)
    return reduced
