"""Thresholds keep their budget of false alarms, and confidence bounds of the rate of false alarms are exact."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monitor.detection.cusum import cusum_step, surprise
from train.calibration.tail_model import (
    DAY_S,
    _tail_shape,
    cusum_limits,
    seconds_to_prove,
    tail_thresholds,
    upper_rate,
)

STEP_S = 2.0
A_DAY = DAY_S / STEP_S  # decisions a day


def test_with_enough_normal_sound_the_threshold_is_its_quantile() -> None:
    decisions = np.random.default_rng(0).exponential(size=200_000)
    value = tail_thresholds(decisions, STEP_S, 10)[0]
    assert (decisions > value).mean() * A_DAY == pytest.approx(10, rel=0.03)
    assert value == pytest.approx(stats.expon.isf(10 / A_DAY), rel=0.05)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("count", "off"), [(500, 1.0), (2000, 0.75), (20_000, 0.5)])
@pytest.mark.parametrize("spread", [0.2, 0.5])
def test_a_level_rarer_than_any_observed_is_extrapolated(seed: int, count: int, off: float, spread: float) -> None:
    """The level that lognormal scores exceed once a day is estimated from a quarter of an hour up to half a day.

    `off` is the allowed error below the true level, in standard deviations of the logarithm; the true level is four of
    them above the mean. Bounded tails are excluded, so the estimate may be too high by up to 2.5 of them.
    """
    truth = stats.lognorm(s=spread)
    decisions = truth.rvs(count, random_state=seed)
    value = tail_thresholds(decisions, STEP_S, 1)[0]
    beyond = (np.log(value) - np.log(truth.isf(1 / A_DAY))) / spread
    assert -off < beyond < 2.5
    assert decisions.max() <= value * (1 + 1e-12)
    assert value <= 2 * decisions.max() * (1 + 1e-12)


def test_an_extrapolated_level_keeps_its_budget_on_average_and_is_not_absurd() -> None:
    """The mean over forty machines with an hour of sound each, for one false alarm a day."""
    truth = stats.lognorm(s=0.3)
    rates = [
        A_DAY * truth.sf(tail_thresholds(truth.rvs(1800, random_state=seed), STEP_S, 1.0)[0]) for seed in range(40)
    ]  # fmt: skip
    assert 0.003 < np.exp(np.mean(np.log(rates))) < 1
    assert np.mean(rates) < 1


@given(
    count=st.integers(1, 400),
    spread=st.sampled_from([0.0, 0.2, 2.0]),
    budgets=st.lists(st.floats(1e-3, 1e5), min_size=2, max_size=2).map(sorted),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_a_smaller_budget_never_gives_a_lower_threshold(count, spread, budgets, seed) -> None:
    decisions = np.exp(spread * np.random.default_rng(seed).standard_normal(count))
    rare, often = (tail_thresholds(decisions, STEP_S, budget)[0] for budget in budgets)
    assert 0 < often <= rare < np.inf


@pytest.mark.parametrize(
    "decisions",
    [
        np.array([3.0]), np.full(50, 2.0), np.arange(5.0), np.zeros(80), np.array([1.0, np.nan, np.inf]),
        np.repeat([1.0, 2.0], 100),
    ],
)  # fmt: skip
def test_degenerate_normal_scores_still_have_a_threshold_that_none_of_them_exceeds(decisions: np.ndarray) -> None:
    value = tail_thresholds(decisions, STEP_S, 1)[0]
    assert np.isfinite(value)
    assert value > 0
    assert not (decisions[np.isfinite(decisions)] > value * (1 + 1e-12)).any()


@pytest.mark.parametrize("budget", [4000, 4500, 6000, 7000, 7300, 100_000])
def test_a_budget_of_many_alarms_in_little_sound_still_has_a_threshold(budget: float) -> None:
    """The budget is so large that the threshold lies below the fitted tail."""
    decisions = np.exp(np.random.default_rng(0).standard_normal(60))
    assert (
        np.median(decisions) * 0.999 <= tail_thresholds(decisions, STEP_S, budget)[0] <= decisions.max() * (1 + 1e-12)
    )


def test_without_any_normal_sound_there_still_is_a_threshold() -> None:
    for nothing in (np.empty(0), np.full(3, np.nan)):
        assert tail_thresholds(nothing, STEP_S, 1)[0] > 0


# The limit of the cumulative sum


def alarms(limit: float, normal: np.ndarray, days: int, seed: int) -> int:
    """Counts the false alarms of the cumulative sum in new days of sound with the same distribution."""
    generator = np.random.default_rng(seed)
    total, count = np.zeros(days), 0
    for _ in range(round(A_DAY)):
        total = cusum_step(total, surprise(generator.lognormal(size=days), normal), limit)
        over = total > limit
        count += int(over.sum())
        total[over] = 0
    return count


@pytest.mark.parametrize("budget", [0.5, 4.0])
def test_fresh_normal_days_have_as_many_alarms_by_the_cumulative_sum_as_the_budget_allows(budget: float) -> None:
    """The tolerance is the random variation of the count, and a third for a limit from a finite pool."""
    generator = np.random.default_rng(5)
    sequences = [generator.lognormal(size=40_000) for _ in range(20)]
    normal = np.sort(np.concatenate(sequences))
    (limit,) = cusum_limits([surprise(s, normal) for s in sequences], STEP_S, budget)
    days = 40
    found = alarms(limit, normal, days, seed=6)
    low = stats.poisson.ppf(0.005, budget * days / 1.35)
    high = stats.poisson.ppf(0.995, budget * days * 1.35)
    assert low <= found <= high


def test_a_smaller_budget_gives_a_higher_limit_of_the_cumulative_sum() -> None:
    """The limit is extrapolated for rates that the resampled days do not contain, and is the same on each call."""
    surprises = [np.minimum(np.random.default_rng(seed).exponential(size=200), 3.0) for seed in range(8)]
    limits = [cusum_limits(surprises, 60.0, budget)[0] for budget in (100, 10, 1, 0.1, 0.01, 0.001)]
    assert all(more > less for less, more in pairwise(limits))
    assert limits[2] == cusum_limits(surprises, 60.0, 1)[0]


def test_normal_sound_that_is_unusual_for_long_at_a_time_gets_a_higher_limit() -> None:
    """Days are resampled in chunks, which keep unusual scores together."""
    generator = np.random.default_rng(2)
    scattered = np.minimum(generator.exponential(size=3000), 3.0)
    clustered = np.sort(scattered.reshape(-1, 300), axis=1)
    limits = [cusum_limits(sequence, STEP_S, 1)[0] for sequence in ([scattered], list(clustered))]
    assert limits[1] > 1.5 * limits[0]


@pytest.mark.parametrize("surprises", [[np.zeros(5)], [np.full(3, 0.5), np.full(700, 1.4)], [np.array([0.1])]])
def test_normal_sound_that_is_never_surprising_has_a_limit_of_zero(surprises: list[np.ndarray]) -> None:
    assert cusum_limits(surprises, 60.0, 1) == [0]


# Confidence in a rate


def test_without_an_alarm_the_rate_is_at_most_three_over_the_time() -> None:
    assert upper_rate(0, DAY_S) == pytest.approx(-np.log(0.05))
    assert upper_rate(0, 3 * DAY_S) == pytest.approx(1.0, rel=2e-3)


@given(st.integers(0, 200), st.floats(1, 1e7))
@settings(max_examples=100, deadline=None)
def test_the_upper_rate_is_the_one_at_which_so_few_alarms_are_just_five_percent_likely(alarms, seconds) -> None:
    """This is the definition of Garwood's interval."""
    expected = upper_rate(alarms, seconds) * seconds / DAY_S
    assert stats.poisson.cdf(alarms, expected) == pytest.approx(0.05, rel=1e-6)


@given(st.floats(1e-3, 1e4), st.integers(0, 50), st.floats(1, 1e6))
@settings(max_examples=100, deadline=None)
def test_a_rate_is_proven_after_the_seconds_that_it_takes_and_not_before(per_day, alarms, seconds) -> None:
    more = seconds_to_prove(per_day, alarms, seconds)
    assert (more == 0) == (upper_rate(alarms, seconds) <= per_day)
    if more:
        assert upper_rate(alarms, seconds + more) == pytest.approx(per_day)


@pytest.mark.parametrize("count", [20, 400, 2000, 20_000, 500_000])
def test_limits_for_other_rates_are_apart_as_the_tail_is(count: int) -> None:
    truth = stats.lognorm(s=0.3)
    decisions = truth.rvs(count, random_state=1)
    value, often, rarely = tail_thresholds(decisions, STEP_S, 1.0, (1.0, 10.0, 0.1))
    assert value == tail_thresholds(decisions, STEP_S, 1.0)[0]
    assert often <= value <= rarely
    assert often >= decisions.max() * (1 - 1e-12) or (decisions > often).mean() * A_DAY == pytest.approx(10, rel=0.2)
    if count >= 2000:
        assert often < value < rarely


def test_limits_of_the_sum_for_several_rates_are_those_of_each_rate() -> None:
    surprises = [np.random.default_rng(0).exponential(size=3000)]
    value, often, rarely = cusum_limits(surprises, 60.0, 1.0, (1.0, 10.0, 0.1))
    assert value == cusum_limits(surprises, 60.0, 1.0)[0]
    assert often < value < rarely


@pytest.mark.parametrize("shape", [-0.6, 0.0, 0.2, 0.5])
def test_the_shape_of_a_tail_is_that_of_scipy(shape: float) -> None:
    excess = stats.genpareto.rvs(shape, scale=0.03, size=100, random_state=1)
    with np.errstate(all="ignore"):
        expected, _, _ = stats.genpareto.fit(excess, floc=0)
    assert _tail_shape(excess) == pytest.approx(expected, rel=1e-9)
