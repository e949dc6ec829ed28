"""How late a score comes is measured in constant memory, and the engine sleeps until sound is due."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.schema import Features
from monitor.runtime.latency import BusyShare, Latencies, Processing, Spread, algorithmic_delay_s


def test_the_methods_own_delay_is_half_a_window_and_half_a_transform() -> None:
    """Nine frames of 10 ms behind the middle of a window, and 16 ms that the last of them needs."""
    assert algorithmic_delay_s(Features()) == pytest.approx(0.09 + 0.016)
    assert algorithmic_delay_s(Features(sample_rate=8000, window_frames=4)) == pytest.approx(0.02 + 0.032)


@given(st.lists(st.floats(0, 1, width=32), max_size=40), st.integers(1, 16))
@settings(max_examples=60, deadline=None)
def test_the_spread_is_that_of_the_newest_measurements(seconds: list[float], kept: int) -> None:
    latencies, of_stream = Latencies(3, kept), np.array([1])
    for one in seconds:
        latencies.add(np.array([one]), of_stream)
    processing = Processing(latencies, 1)
    newest, found = seconds[-kept:], processing.spread()
    assert processing.count == len(seconds)
    assert latencies.count(0) == latencies.count(2) == 0, "the streams are independent of each other"
    assert found.count == len(newest)
    assert processing.last(3).tolist() == newest[-3:]
    if newest:
        assert (found.median, found.worst) == (pytest.approx(np.median(newest)), max(newest))
        assert found.median <= found.p99 <= found.worst


def test_without_measurements_there_is_no_spread() -> None:
    spread = Spread.of(np.zeros(0, np.float32))
    assert spread.count == 0
    assert all(math.isnan(value) for value in (spread.median, spread.p99, spread.worst))


def test_the_busy_share_is_that_of_about_the_last_second() -> None:
    busy = BusyShare()
    for _ in range(500):
        busy.worked(0.0025)
        busy.waited(0.0075)
    assert busy.share == pytest.approx(0.25, abs=0.01)
    for _ in range(500):
        busy.waited(0.01)
    assert busy.share < 0.01
    busy.worked(60.0)
    assert busy.share == 1.0
