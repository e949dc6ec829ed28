"""Gaussians of few observations: correlations are shrunk, as much as left-out observations need."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance, LedoitWolf, ShrunkCovariance

from train.calibration.gaussian_fit import SHRINKAGES, best_shrinkage, gaussian


@pytest.mark.parametrize("shrinkage", [0.0, 0.01, 0.3, 1.0, "ledoit-wolf"])
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_the_squared_distance_is_that_of_scikit_learn_for_standardized_numbers(
    shrinkage: float | str, scale: float
) -> None:
    generator = np.random.default_rng(4)
    normal = scale * (generator.standard_normal((400, 16)) @ generator.standard_normal((16, 16)) + 3)
    other = scale * (5 * generator.standard_normal((50, 16)) + 3)
    if not isinstance(shrinkage, float):
        estimator = LedoitWolf()
    else:
        estimator = ShrunkCovariance(shrinkage=shrinkage) if shrinkage else EmpiricalCovariance()
    centre, inverse_covariance = gaussian(normal, shrinkage)
    found = np.einsum("ni,ij,nj->n", other - centre, inverse_covariance, other - centre)
    expected = estimator.fit(normal / normal.std(axis=0)).mahalanobis(other / normal.std(axis=0))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_numbers_in_small_units_count_as_much_as_those_in_large_ones() -> None:
    """Changes of the level are much smaller than levels, and a fault may be seen in them alone."""
    generator = np.random.default_rng(6)
    normal, other = generator.standard_normal((30, 8)), 3 * generator.standard_normal((5, 8))
    units = np.array([1.0, 1e-3, 10, 1, 1e-2, 1, 1, 1e3])
    for shrinkage in (0.1, "ledoit-wolf"):
        distances = []
        for unit in (1.0, units):
            centre, inverse = gaussian(normal * unit, shrinkage)
            offset = other * unit - centre
            distances.append(np.einsum("ni,ij,nj->n", offset, inverse, offset))
        np.testing.assert_allclose(*distances, rtol=1e-6)


def test_fewer_observations_than_numbers_still_give_a_distance() -> None:
    normal = np.random.default_rng(5).standard_normal((6, 64))
    for shrinkage, estimator in ((0.01, ShrunkCovariance(shrinkage=0.01)), ("ledoit-wolf", LedoitWolf())):
        centre, inverse_covariance = gaussian(normal, shrinkage)
        offset, deviation = normal + 1 - centre, normal.std(axis=0)
        expected = estimator.fit(normal / deviation).mahalanobis((normal + 1) / deviation)
        np.testing.assert_allclose(np.einsum("ni,ij,nj->n", offset, inverse_covariance, offset), expected, rtol=1e-6)


@pytest.mark.parametrize("shrinkage", [0.0, 0.01, "ledoit-wolf"])
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_observations_that_are_all_the_same_still_give_a_finite_distance(shrinkage: float | str) -> None:
    centre, inverse_covariance = gaussian(np.zeros((9, 4)), shrinkage)
    assert np.isfinite(inverse_covariance).all()
    assert (1 - centre) @ inverse_covariance @ (1 - centre) > 1e6


def test_few_observations_are_shrunk_more_than_many_of_the_same_kind() -> None:
    generator = np.random.default_rng(7)
    mixing = generator.standard_normal((20, 20))
    chosen = [
        best_shrinkage(generator.standard_normal((count, 20)) @ mixing, np.arange(count) % 5)
        for count in (25, 100, 4000)
    ]
    assert chosen == sorted(chosen, reverse=True)
    assert chosen[0] > chosen[-1] == SHRINKAGES[0]


def test_observations_of_different_sessions_are_shrunk_more_than_the_same_mixed() -> None:
    """Each session has its own direction in which it differs: correlations of some do not hold in another."""
    generator = np.random.default_rng(8)
    session = np.repeat(np.arange(5), 60)
    offsets = 3 * generator.standard_normal((5, 20))
    means = generator.standard_normal((300, 20)) + offsets[session]
    assert best_shrinkage(means, session) > best_shrinkage(means, np.arange(300) % 5)
