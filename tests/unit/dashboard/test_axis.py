"""The y axis: the limit is always on it, values are on their side of it, and it does not jump about."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.dashboard.render.axis import Axis, choose


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
