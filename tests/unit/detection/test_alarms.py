"""The alarms of many streams decide as each of them would alone, one score after the other."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import schema
from monitor.detection.alarms import Alarms
from monitor.detection.anomaly import Anomaly
from monitor.detection.cusum import Limits
from support.builders import pieces
from support.reference_detection.alarm import Alarm as OneByOne

HOP_S = 0.01
USUAL = np.arange(1, 100) / 10
OTHER = np.arange(1, 50) / 4


def facts(anomaly: Anomaly) -> dict[str, object]:
    """All of an anomaly but its id."""
    found = dataclasses.asdict(anomaly)
    del found["id"], found["row_sum"]
    return found | {"total": round(anomaly.total, 6), "mean_row": np.round(anomaly.mean_row, 6).tolist()}


def random_scores(generator: np.random.Generator, count: int) -> np.ndarray:
    """Normal scores with rises, plateaus slightly above normal, and parts without a score."""
    scores = generator.uniform(0.1, 8.0, count)
    for value in generator.choice([math.nan, 9.8, 10.0, 13.0, 4.0], generator.integers(0, 6)):
        start = int(generator.integers(0, count))
        scores[start : start + int(generator.integers(1, count // 3))] = value
    scores[: int(generator.integers(0, 20))] = math.nan
    return scores


def random_settings(generator: np.random.Generator, block: int) -> schema.Alarm:
    n = int(generator.integers(1, 5))
    rows = {name: int(generator.integers(0, 20)) for name in ("warm_up", "run_up", "hold", "release", "cool_down")}
    return schema.Alarm(
        **{f"{name}_s": HOP_S * count for name, count in rows.items()},
        **{"block_s": HOP_S * block, "n": n, "k": int(generator.integers(1, n + 1)), "remind_s": HOP_S * 40},
    )


def random_limits(generator: np.random.Generator, *, lasting: bool) -> Limits:
    limit = float(generator.choice([2.0, 5.0, 30.0])) if lasting else math.inf
    return Limits(float(generator.choice([9.0, 10.0])), limit, USUAL if generator.random() < 0.5 else OTHER)


ANYTHING = given(
    seed=st.integers(0, 10_000),
    streams=st.integers(1, 5),
    cuts=st.lists(st.integers(1, 150), min_size=1, max_size=5),
    block=st.sampled_from([0, 1, 4, 7]),
    window=st.integers(1, 20),
    lasting=st.booleans(),
    with_rows=st.booleans(),
)


@settings(max_examples=10, deadline=None)
@ANYTHING
def test_together_they_report_what_each_would_alone_also_when_settings_and_models_change(**case: Any) -> None:
    compare(**case)


@pytest.mark.long
@settings(max_examples=500, deadline=None)
@ANYTHING
def test_in_many_more_cases_they_report_what_each_would_alone(**case: Any) -> None:
    compare(**case)


def compare(seed: int, streams: int, cuts: list[int], block: int, window: int, lasting: bool, with_rows: bool) -> None:
    """Compares random scores of several streams with the reference."""
    generator = np.random.default_rng(seed)
    scores = np.stack([random_scores(generator, 400) for _ in range(streams)])
    means = np.stack((scores, np.cumsum(np.ones_like(scores), axis=1)), axis=2)
    numbers = generator.permutation(streams + 2)[:streams]  # in arrays with other streams
    alarms, alone = Alarms(streams + 2, HOP_S, window), []
    for number in numbers:
        of_stream, limits = random_settings(generator, block), random_limits(generator, lasting=lasting)
        alarms.begin(number, of_stream, limits)
        alone.append(OneByOne(of_stream, limits, HOP_S, window))
    for part in pieces(400, cuts):
        now, rows = scores[:, part], means[:, part]
        calm = alarms.push_calm(numbers, now, (lambda i, at, rows=rows: rows[i, at]) if with_rows else None)
        for i, (number, one) in enumerate(zip(numbers, alone, strict=True)):
            expected = one.push(now[i], rows[i].__getitem__ if with_rows else None)
            if calm.done[i]:
                trace, decided, reported = calm.trace[i], calm.decided(i), []
            else:
                pushed = alarms.push(number, now[i], rows[i].__getitem__ if with_rows else None)
                trace, decided, reported = pushed.trace, pushed.decided, pushed.reported
            np.testing.assert_allclose(trace, one.trace, rtol=1e-12)
            assert decided == one.decided
            assert [facts(anomaly) for anomaly in reported] == [facts(anomaly) for anomaly in expected]
            machine = alarms.machine(number)
            assert machine.state == ["LISTENING", "NORMAL", "WARNING", "ANOMALY"].index(one.state)
            assert alarms.until_decision(number) == one.until_decision
            assert (alarms.ongoing(number) is None) == (one.anomaly is None)
            match generator.integers(0, 12):
                case 0:
                    change = random_settings(generator, block), random_limits(generator, lasting=lasting)
                    alarms.change(number, *change)
                    one.change(*change)
                case 1:
                    change = random_settings(generator, block), random_limits(generator, lasting=lasting)
                    alarms.change_model(number, *change)
                    one.change_model(*change)
                case 2:
                    alarms.scale(number, 1.1)
                    one.scale(1.1)
    for number, one in zip(numbers, alone, strict=True):
        ended, expected_end = alarms.finish(number), one.finish()
        assert (ended is None) == (expected_end is None)
        if ended is not None and expected_end is not None:
            assert facts(ended) == facts(expected_end)


def test_normal_scores_of_all_streams_are_decided_on_together() -> None:
    alarms, usual = Alarms(40, HOP_S, 8), schema.Alarm(block_s=0.04, warm_up_s=0)
    for number in range(40):
        alarms.begin(number, usual, Limits(10.0, 20.0, USUAL))
        alarms.push(number, np.full(number % 7 + 1, 5.0))
    everyone, scores = np.arange(40), np.random.default_rng(0).uniform(0, 9, (40, 300))
    assert alarms.push_calm(everyone, scores).done.all()
    scores[3, 100], scores[7, 5] = 11.0, math.nan
    assert np.flatnonzero(~alarms.push_calm(everyone, scores).done).tolist() == [3, 7]


def test_scores_of_all_streams_report_what_those_of_each_would() -> None:
    generator, together, of_alarm = np.random.default_rng(7), Alarms(12, HOP_S, 5), schema.Alarm(block_s=0, warm_up_s=0)
    limits, alone = (
        Limits(10.0, 20.0, USUAL),
        [OneByOne(of_alarm, Limits(10.0, 20.0, USUAL), HOP_S, 5) for _ in range(12)],
    )
    for number in range(12):
        together.begin(number, of_alarm, limits)
    scores = np.stack([random_scores(generator, 400) for _ in alone])
    for part in pieces(400, [60]):
        found = together.push_all(np.arange(12), scores[:, part])
        expected = [one.push(scores[i, part]) for i, one in enumerate(alone)]
        assert [list(map(facts, one)) for one in found] == [list(map(facts, one)) for one in expected]


def test_a_stream_goes_on_in_other_alarms_where_it_was() -> None:
    first, second = Alarms(2, HOP_S, 4), Alarms(5, HOP_S, 4)
    usual, limits = schema.Alarm(block_s=0, warm_up_s=0, k=1, n=1), Limits(10.0, 20.0, USUAL)
    first.begin(1, usual, limits)
    [began] = first.push(1, np.array([1.0, 5.0, 12.0])).reported
    second.take_over(4, first, 1)
    ongoing = second.ongoing(4)
    assert ongoing is not None
    assert (ongoing.id, ongoing.start) == (began.id, 2)
    assert second.finish(4) is ongoing
    assert ongoing.end == 3


def test_a_stream_that_comes_from_alarms_with_other_mean_rows_changes_nothing_for_the_others() -> None:
    first, second, alone = Alarms(1, HOP_S, 1), Alarms(2, HOP_S, 1), Alarms(1, HOP_S, 1)
    usual, limits = schema.Alarm(block_s=0, warm_up_s=0), Limits(10.0, 4.0, USUAL)
    for alarms in (first, second, alone):
        alarms.begin(0, usual, limits)
    first.push(0, np.full(2, 9.95), lambda _: np.ones(7))
    for alarms in (second, alone):
        alarms.push(0, np.array([1.0, 9.95, 9.95]), lambda at: np.array([at, 1.0]))
    second.take_over(1, first, 0)
    for alarms in (second, alone):
        [begun] = alarms.push(0, np.full(2, 9.95), lambda at: np.array([10.0 + at, 1.0])).reported
        np.testing.assert_allclose(begun.mean_row, [np.mean([1.0, 2.0, 10.0]), 1.0])
    [taken] = second.push(1, np.full(1, 9.95), lambda _: np.array([5.0, 6.0])).reported
    assert (taken.start, taken.mean_row.tolist()) == (0, [5.0, 6.0])
