"""How fast a sender's clock runs is measured over hours, whatever the network does."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.sources.network.clock_drift import ClockDrift

PORTION_S = 5.0


def listen(
    clock: ClockDrift, hours: float, ppm: float, *, jitter_s: float = 0.05, seed: int = 1, began: float = 0.0
) -> float:
    """Feeds the arrivals of a connection; returns when it ended."""
    chance = random.Random(seed)
    clock.restart()
    at = began
    for number in range(1, int(3600 * hours / PORTION_S) + 1):
        at = began + number * PORTION_S / (1 + ppm * 1e-6) + chance.expovariate(1 / jitter_s)
        clock.observe(at, number * PORTION_S)
    return at


@pytest.mark.parametrize("ppm", [0, 200, -200, 1000, -1000])
def test_after_twelve_hours_the_clock_is_known_to_a_few_parts_per_million(ppm: float) -> None:
    clock = ClockDrift()
    listen(clock, 12, ppm)
    assert clock.error is not None
    assert clock.error.ppm == pytest.approx(ppm, abs=3)
    assert clock.error.measured_s == pytest.approx(12 * 3600, rel=0.03)


@settings(max_examples=25, deadline=None)
@given(
    ppm=st.floats(-1000, 1000), jitter_s=st.floats(0.001, 0.5), minutes=st.integers(1, 120), seed=st.integers(0, 999)
)
def test_it_is_told_only_when_it_is_known(ppm: float, jitter_s: float, minutes: int, seed: int) -> None:
    clock = ClockDrift()
    listen(clock, minutes / 60, ppm, jitter_s=jitter_s, seed=seed)
    error = clock.error
    if minutes < 10:
        assert error is None
    if error is not None:
        assert error.ppm == pytest.approx(ppm, abs=6 * max(error.standard_error_ppm, 1.0) + 5)


def test_connections_that_last_half_an_hour_add_up() -> None:
    clock, at = ClockDrift(), 0.0
    for number in range(12):
        at = listen(clock, 0.5, 120, seed=number, began=at + 7.0)
    assert clock.error is not None
    assert clock.error.ppm == pytest.approx(120, abs=5)
    assert clock.error.measured_s > 5 * 3600


def test_a_gap_is_not_taken_for_a_slow_clock() -> None:
    clock = ClockDrift()
    clock.restart()
    for number in range(1, 3000):
        lost_s = 2.0 * (number // 500)  # two seconds every forty minutes: 800 parts per million
        clock.observe(number * PORTION_S + lost_s, number * PORTION_S)
    assert clock.error is not None
    assert clock.error.ppm == pytest.approx(0, abs=1)


def test_a_clock_that_changes_with_the_temperature_is_followed_within_a_day() -> None:
    clock = ClockDrift()
    end = listen(clock, 12, 200)
    listen(clock, 24, 150, began=end)
    assert clock.error is not None
    assert clock.error.ppm == pytest.approx(150, abs=5)


def test_it_is_told_once_in_words() -> None:
    clock = ClockDrift()
    listen(clock, 12, 200, jitter_s=0.001)
    news = clock.news()
    assert str(news) == "200 ppm fast (±1, measured over 12.0 h)"
    assert clock.news() is None
