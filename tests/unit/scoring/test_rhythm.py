"""Impulses are the steepest rises of a spectrum, and what counts is the interval from one to the next."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.scoring.rhythm import POINTS, Rhythm, grid, impulses, rises
from support.backends import BACKENDS, backend


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(("hop_s", "lag"), [(0.01, 2), (0.02, 1), (0.005, 4)])
def test_a_rise_is_the_mean_over_the_bands_of_what_became_louder(hop_s: float, lag: int, name: str) -> None:
    """A fall in one band does not hide a rise in another."""
    decibels = np.random.default_rng(1).standard_normal((2, 30, 4))
    expected = [
        [sum(max(one[t, m] - one[t - lag, m], 0) for m in range(4)) / 4 for t in range(lag, 30)] for one in decibels
    ]
    np.testing.assert_allclose(np.asarray(rises(backend(name).upload(decibels), hop_s)), expected)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("radius", [1, 3, 6])
def test_an_impulse_is_steeper_than_all_others_near_it_and_of_equal_ones_the_first(radius: int, name: str) -> None:
    steepness = np.random.default_rng(2).integers(0, 6, (3, 300)).astype(np.float64)  # with many equal values
    expected = [
        [
            one[t] > 2.5 and one[t] > max(one[t - radius : t]) and one[t] >= max(one[t + 1 : t + radius + 1])
            for t in range(radius, 300 - radius)
        ]
        for one in steepness
    ]
    found = np.asarray(impulses(backend(name).upload(steepness), radius, 2.5))
    np.testing.assert_array_equal(found, expected)
    assert found.any()


def test_the_surprise_of_an_interval_is_that_of_the_nearest_points_and_of_extreme_ones_that_at_the_ends() -> None:
    surprise = np.random.default_rng(3).random(POINTS)
    rhythm = Rhythm(1.0, surprise, np.ones((2, 2)))
    np.testing.assert_allclose(rhythm.surprise_of(np.exp(grid())), surprise)
    np.testing.assert_allclose(rhythm.surprise_of(np.array([0.0, 0.001, 1e4])), surprise[[0, 0, -1]])
