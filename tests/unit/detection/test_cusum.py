"""How surprising a score is, how that adds up, and which limits a bundle and settings make of it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monitor.config import schema
from monitor.core.events import State
from monitor.detection.alarm import Alarm
from monitor.detection.cusum import CUSUM_CAP, CUSUM_SLACK, SURPRISE_CAP, Limits, cusum_step, surprise
from support.builders import small_bundle
from support.listening import with_thresholds

HOP_S = 0.01


@given(scores=st.lists(st.integers(0, 12), max_size=30), normal=st.lists(st.integers(0, 12), min_size=1, max_size=30))
@settings(max_examples=150, deadline=None)
def test_surprise_is_minus_the_log_of_the_share_of_normal_scores_that_are_as_high(scores, normal) -> None:
    """Counted one by one, with the score itself among them; ties count as being as high."""
    found = surprise(np.array(scores, float), np.sort(np.array(normal, float)))
    shares = [(1 + sum(other >= score for other in normal)) / (1 + len(normal)) for score in scores]
    np.testing.assert_allclose(found, [min(3.0, -math.log(share)) for share in shares], rtol=1e-12)


@pytest.mark.parametrize("draw", ["normal", "lognormal", "standard_cauchy"])
def test_the_surprise_of_normal_sound_is_exponential_whatever_the_scores_are_like(draw: str) -> None:
    """Uniform p-values: -ln p is exponential, up to the cap, which one in twenty reaches."""
    generator = np.random.default_rng(1)
    normal, fresh = getattr(generator, draw)(size=20_000), getattr(generator, draw)(size=2000)
    surprises = surprise(fresh, np.sort(normal))
    assert surprises.max() == SURPRISE_CAP
    below = surprises[surprises < SURPRISE_CAP]
    assert stats.binomtest(len(surprises) - len(below), len(surprises), math.exp(-SURPRISE_CAP)).pvalue > 1e-3
    truncated = stats.truncexpon(b=SURPRISE_CAP)
    assert stats.kstest(below, truncated.cdf).pvalue > 1e-3


def test_few_normal_scores_make_nothing_very_surprising() -> None:
    """One in four is the rarest that three of them can tell."""
    np.testing.assert_allclose(surprise(np.array([1e9]), np.array([1.0, 2, 3])), np.log(4))


@given(st.lists(st.floats(0, SURPRISE_CAP), max_size=60), st.floats(0.5, 20))
@settings(max_examples=100, deadline=None)
def test_the_cumulative_sum_adds_what_exceeds_its_slack_and_stays_between_zero_and_its_cap(surprises, limit) -> None:
    """As Page (1954) has it, one step after another."""
    total, plain = np.zeros(1), 0.0
    for one in surprises:
        total = cusum_step(total, np.array([one]), limit)
        plain = min(CUSUM_CAP * limit, max(0.0, plain + one - CUSUM_SLACK))
        assert total[0] == pytest.approx(plain)


def test_slack_and_cap_are_those_that_thresholds_were_calibrated_for() -> None:
    """Stored thresholds of the sum mean something else with others."""
    assert (SURPRISE_CAP, CUSUM_SLACK, CUSUM_CAP) == (3.0, 1.5, 1.25)


def test_a_threshold_set_by_hand_moves_the_limit_of_the_cumulative_sum_in_proportion() -> None:
    bundle = small_bundle()
    threshold, limit = bundle.thresholds["score"].value, bundle.thresholds["cusum"].value
    own = Limits.of(bundle, schema.Alarm())
    assert (own.threshold, own.cusum) == (threshold, limit)
    by_hand = Limits.of(bundle, schema.Alarm(threshold=threshold * 3))
    assert (by_hand.threshold, by_hand.cusum) == (threshold * 3, pytest.approx(limit * 3))


def test_with_the_sum_off_or_nothing_to_compare_with_only_sudden_anomalies_remain() -> None:
    bundle = small_bundle()
    threshold = bundle.thresholds["score"].value
    scores = np.full(100_000, 0.99 * threshold)
    with_it = Alarm(schema.Alarm(), Limits.of(bundle, schema.Alarm()), HOP_S, 30)
    assert [anomaly.cause for anomaly in with_it.push(scores)][:1] == ["lasting"]
    off = schema.Alarm(lasting=False)
    assert Limits.of(bundle, off).cusum == math.inf
    silent = dataclasses.replace(bundle, normal_scores=bundle.normal_scores[:0])
    zero = with_thresholds(bundle, 0.0).thresholds["cusum"]
    without = dataclasses.replace(bundle, thresholds=bundle.thresholds | {"cusum": zero})
    for one, how in ((bundle, off), (silent, schema.Alarm()), (without, schema.Alarm())):
        alarm = Alarm(how, Limits.of(one, how), HOP_S, 30)
        assert alarm.push(scores) == []
        assert (alarm.state, alarm.lasting_sum) == (State.NORMAL, 0.0)
        assert [anomaly.cause for anomaly in alarm.push(np.full(1000, 1.01 * threshold))] == ["sudden"]
