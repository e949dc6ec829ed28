"""Promises below the surface: columns that do not shimmer, axes that do not jump, honest pixels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.dashboard.render.braille import ASCII_DOTS, BRAILLE, trace
from monitor.dashboard.render.binning import column_maximum, column_mean, last_column, row_mean, row_sum
from monitor.dashboard.render.axis import Axis, choose

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
def test_columns_scroll_and_never_shimmer(newest: int, later: int, slots: int, columns: int) -> None:
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


def test_a_mean_is_of_what_is_known_and_nothing_where_nothing_is() -> None:
    history = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, 5.0], [7.0, 9.0]], np.float32)
    np.testing.assert_array_equal(column_mean(history, 0, 4, 2), [[2.0, np.nan], [7.0, 7.0]])
    np.testing.assert_array_equal(column_mean(history, 0, 8, 4), [[np.nan] * 2] * 2 + [[2.0, np.nan], [7.0, 7.0]])


def test_bands_become_rows_by_mean_or_by_the_worst_of_them() -> None:
    bands = np.array([1.0, 3.0, 5.0, 7.0], np.float32)
    np.testing.assert_array_equal(row_mean(bands[None], 2), [[2.0, 6.0]])
    np.testing.assert_array_equal(row_sum(bands, 2), [4.0, 12.0])
    np.testing.assert_array_equal(row_sum(bands, 8), np.repeat(bands, 2))


def test_each_pixel_is_its_own_dot() -> None:
    for y in range(4):
        for x in range(2):
            pixels = np.zeros((4, 2), bool)
            pixels[y, x] = True
            character = BRAILLE.text(BRAILLE.codes(pixels)[0])
            names = {
                (0, 0): "⠁",
                (1, 0): "⠂",
                (2, 0): "⠄",
                (3, 0): "⡀",
                (0, 1): "⠈",
                (1, 1): "⠐",
                (2, 1): "⠠",
                (3, 1): "⢀",
            }
            assert character == names[y, x]
    assert ASCII_DOTS.text(ASCII_DOTS.codes(np.array([[1, 0, 1, 0], [0, 1, 1, 0]], bool))[0]) == "'.| "


def test_a_trace_is_connected_and_filled_only_above_the_threshold() -> None:
    rows = np.array([1, 1, 6, 6, -1, 2])
    pixels = trace(rows, 8, None)[::-1]
    assert [np.flatnonzero(column).tolist() for column in pixels.T] == [
        [1],
        [1],
        [2, 3, 4, 5, 6],
        [6],
        [],
        [2],
    ]
    filled = trace(rows, 8, 4)[::-1]
    assert [np.flatnonzero(column).tolist() for column in filled.T] == [
        [1],
        [1],
        [2, 3, 4, 5, 6],
        [5, 6],
        [],
        [2],
    ]


@settings(max_examples=200, deadline=None)
@given(
    low=st.floats(0.0, 10.0),
    share=st.floats(0.01, 0.99),
    span=st.floats(1.0, 1e6),
    log=st.booleans(),
    cells=st.integers(2, 40),
    step=st.sampled_from([2, 4]),
)
def test_above_the_threshold_is_above_its_line_and_no_other_is(
    low: float, share: float, span: float, log: bool, cells: int, step: int
) -> None:
    low = low + 0.1 if log else low
    threshold = low + share * span
    axis = Axis(low, low + span, log, threshold)
    height = cells * step
    line = axis.line(height, step)
    assert line is not None
    values = np.linspace(low, low + span, 300).astype(np.float32)
    rows = axis.pixels(values, height, line)
    assert (np.diff(rows) >= 0).all()
    assert rows.min() >= 0
    assert rows.max() <= height - 1
    clear = np.abs(values - threshold) > 1e-5 * threshold
    assert ((rows > line) == (values > threshold))[clear].all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=50), st.floats(1e-4, 1e6))
def test_an_axis_holds_its_history_and_its_threshold(values: list[float], threshold: float) -> None:
    history = np.array(values, np.float32)
    axis = choose(history, threshold)
    assert axis.low < threshold < axis.high
    assert history.max() <= axis.high * (1 + 1e-6)


def test_an_axis_does_not_jump_about_while_the_history_wanders() -> None:
    rng = np.random.default_rng(1)
    noise = 50 + 4 * rng.standard_normal(3000)
    noise[700::700] = 210 + 80 * rng.random(4)  # a spike now and then, and minutes without
    seen = []
    axis = None
    for newest in range(600, 3000, 5):
        axis = choose(noise[newest - 600 : newest].astype(np.float32), 110.0, axis)
        seen.append(axis)
    changes = sum(a != b for a, b in pairwise(seen))
    assert changes <= 1


def test_an_axis_shrinks_again_when_a_large_error_has_gone() -> None:
    calm = np.full(600, 0.3, np.float32)
    wild = calm.copy()
    wild[50] = 900.0
    before = choose(calm, 0.45)
    high = choose(wild, 0.45, before)
    assert high.log
    assert high.high >= 900
    assert choose(calm, 0.45, high) == before
