"""How late a score comes is measured in constant memory, and the engine sleeps until sound is due."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.schema import Features
from monitor.runtime.latency import ArrivalPredictor, BusyShare, Latencies, Spread, algorithmic_delay_s


def test_the_methods_own_delay_is_half_a_window_and_half_a_transform() -> None:
    """Nine frames of 10 ms behind the middle of a window, and 16 ms that the last of them needs."""
    assert algorithmic_delay_s(Features()) == pytest.approx(0.09 + 0.016)
    assert algorithmic_delay_s(Features(sample_rate=8000, window_frames=4)) == pytest.approx(0.02 + 0.032)


@given(st.lists(st.floats(0, 1, width=32), max_size=40), st.integers(1, 16))
@settings(max_examples=60, deadline=None)
def test_the_spread_is_that_of_the_newest_measurements(seconds: list[float], kept: int) -> None:
    latencies = Latencies(kept)
    for one in seconds:
        latencies.add(one)
    newest, found = seconds[-kept:], latencies.spread()
    assert latencies.count == len(seconds)
    assert found.count == len(newest)
    assert sorted(latencies.last(3).tolist()) == sorted(newest[-3:])
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


@pytest.mark.parametrize("period", [0.01, 0.04, 0.1])
def test_once_the_period_is_known_it_looks_often_only_when_sound_is_due(period: float) -> None:
    """Sound comes in portions of several blocks, 0.1 ms apart."""
    arrivals, at = ArrivalPredictor(), 100.0
    for _ in range(200):
        at += period
        for block in range(3):
            arrivals.arrived(at + block * 1e-4)
    assert arrivals.sleep_s(at + 1e-3) > 1e-3
    assert arrivals.sleep_s(at + period) <= 0.001
    for share in np.linspace(0, 1, 50):
        assert arrivals.sleep_s(at + share * period) <= max(0.004, (1 - share) * period)


def test_where_no_sound_comes_it_looks_seldom() -> None:
    arrivals = ArrivalPredictor()
    arrivals.arrived(100.0)
    assert arrivals.sleep_s(110.0) == 0.004
