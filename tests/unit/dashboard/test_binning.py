"""Histories in columns: they scroll without changing their values, and no spike is lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.dashboard.render.binning import column_maximum, column_mean, last_column, row_mean, row_sum

STREAM = np.random.default_rng(7).normal(size=4000).astype(np.float32)
STREAM[::17] = np.nan


def minute(newest: int, slots: int) -> tuple[int, np.ndarray]:
    """First slot and history of the minute that ends with slot `newest`."""
    first = max(newest - slots + 1, 0)
    return first, STREAM[first : newest + 1]


@settings(max_examples=150, deadline=None)
@given(
    newest=st.integers(0, 2500),
    later=st.integers(1, 700),
    slots=st.integers(1, 900),
    columns=st.integers(1, 400),
)
def test_columns_scroll_and_keep_their_values(newest: int, later: int, slots: int, columns: int) -> None:
    """A column that was complete has the same value for as long as it is shown."""
    before = column_maximum(minute(newest, slots)[1], minute(newest, slots)[0], slots, columns)
    after = column_maximum(minute(newest + later, slots)[1], minute(newest + later, slots)[0], slots, columns)
    scrolled = last_column(newest + later, slots, columns) - last_column(newest, slots, columns)
    complete = 1 if slots > columns else 0  # the newest column may still have slots to come
    np.testing.assert_array_equal(before[scrolled : columns - complete], after[: max(columns - scrolled - complete, 0)])


@settings(max_examples=100, deadline=None)
@given(newest=st.integers(900, 2500), slots=st.integers(2, 900), columns=st.integers(1, 400), age=st.floats(0, 1))
def test_no_spike_is_lost_between_columns(newest: int, slots: int, columns: int, age: float) -> None:
    """However many slots a column stands for, the highest of them is shown, where it belongs."""
    history = np.zeros(slots, np.float32)
    whole = slots - -(-slots // columns)  # the oldest column has gone when only some of its slots are left
    back = int(age * max(whole - 1, 0))
    history[slots - 1 - back] = 5.0
    shown = column_maximum(history, newest - slots + 1, slots, columns)
    assert np.nanmax(shown) == 5.0
    at = columns - 1 - int(np.flatnonzero(shown == 5.0)[-1])
    assert abs(at - back * columns / slots) <= max(1.0, columns / slots)


def test_a_mean_is_of_the_known_values_and_nan_where_there_are_none() -> None:
    history = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, 5.0], [7.0, 9.0]], np.float32)
    np.testing.assert_array_equal(column_mean(history, 0, 4, 2), [[2.0, np.nan], [7.0, 7.0]])
    np.testing.assert_array_equal(column_mean(history, 0, 8, 4), [[np.nan] * 2] * 2 + [[2.0, np.nan], [7.0, 7.0]])


def test_bands_become_rows_by_their_mean_or_their_sum() -> None:
    bands = np.array([1.0, 3.0, 5.0, 7.0], np.float32)
    np.testing.assert_array_equal(row_mean(bands[None], 2), [[2.0, 6.0]])
    np.testing.assert_array_equal(row_sum(bands, 2), [4.0, 12.0])
    np.testing.assert_array_equal(row_sum(bands, 8), np.repeat(bands, 2))
