"""Stored scores are decided on again as the alarm itself would, and set beside what people said."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.bundle.bundle import Bundle
from monitor.config import schema
from monitor.core.errors import ConfigError, DataError
from monitor.core.types import DoubleArray
from monitor.detection.alarm import Alarm
from monitor.detection.anomaly import Anomaly
from monitor.detection.cusum import Limits
from monitor.outputs.score_history import Segment
from monitor.report import backtest_text as words
from monitor.report.alarm_rerun import Rules, anomalies_in
from monitor.report.backtest import backtest, rules_for_budget
from monitor.store.records import StoredEvent
from support.builders import small_config
from support.stored import stored_event

HOP_S, PER_DECISION, WINDOW_ROWS = 0.02, 5, 17
STEP_S = HOP_S * PER_DECISION
BEGAN = 1_764_201_600.0
NORMAL = np.sort(np.random.default_rng(0).lognormal(0.0, 0.2, 500))


def segment(
    score: DoubleArray, *, number: int = 0, began: float = BEGAN, model_id: str = "abc", limit: float = 8.0
) -> Segment:
    count = len(score)
    return Segment(
        began + STEP_S * np.arange(count), score, np.zeros(count, bool), np.full(count, 2.0), np.full(count, limit),
        number, PER_DECISION, HOP_S, model_id,
    )  # fmt: skip


def rules(threshold: float = 2.0, limit: float = 8.0, **settings: object) -> Rules:
    quick = {"warm_up_s": 0.0, "hold_s": 0.5, "release_s": 0.3, "cool_down_s": 1.0, "block_s": STEP_S, **settings}
    return Rules(schema.Alarm.model_validate(quick), Limits(threshold, limit, NORMAL))


def by_the_alarm(score: DoubleArray, by: Rules) -> list[tuple[float, float, float, str]]:
    """The anomalies of an alarm that hears every score: onset, report, end and cause."""
    alarm = Alarm(by.settings, by.limits, HOP_S, WINDOW_ROWS)
    rows = np.repeat(score, PER_DECISION)[PER_DECISION - 1 :]
    found: list[Anomaly] = [one for one in alarm.push(rows) if one.end is not None]
    if (last := alarm.finish()) is not None:
        found.append(last)
    return [
        (round(one.start * HOP_S, 3), round(one.reported * HOP_S, 3), round((one.end or 0) * HOP_S, 3), one.cause)
        for one in found
    ]


def found_in(segments: list[Segment], by: Rules) -> list[tuple[float, float, float, str]]:
    return [
        (round(one.onset - BEGAN, 3), round(one.reported - BEGAN, 3), round(one.ended - BEGAN, 3), one.cause)
        for one in anomalies_in(segments, by, WINDOW_ROWS)
    ]


def machine(seed: int, count: int = 3000) -> DoubleArray:
    """Scores that wander slowly, with a few faults of any size and length."""
    random = np.random.default_rng(seed)
    noise = random.normal(0.0, 0.2, count)
    slow = np.convolve(random.normal(0.0, 1.0, count), np.ones(50) / 50, "same")
    for _ in range(random.integers(0, 6)):
        start, length = random.integers(0, count), random.integers(1, 300)
        noise[start : start + length] += random.uniform(0.1, 1.5)
    return np.exp(noise + random.uniform(0, 1) * slow)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    threshold=st.floats(1.2, 4.0),
    limit=st.sampled_from([4.0, 8.0, 20.0, math.inf]),
    k=st.integers(1, 3),
)
def test_weeks_are_decided_on_as_by_an_alarm_that_hears_every_score(
    seed: int, threshold: float, limit: float, k: int
) -> None:
    score, by = machine(seed), rules(threshold, limit, k=k, n=4, remind_s=2.0)
    assert found_in([segment(score)], by) == by_the_alarm(score, by)


@settings(max_examples=10)
@given(number=st.integers(1, 20), seed=st.integers(0, 100))
def test_decisions_that_were_too_early_are_not_made_afterwards_either(number: int, seed: int) -> None:
    score, by = machine(seed, 2000), rules(2.5)
    early = replace(by, settings=by.settings.model_copy(update={"warm_up_s": number * STEP_S}))
    expected = by_the_alarm(score, early)
    rest = segment(score[number:], number=number, began=BEGAN + number * STEP_S)
    # When it began may lie in scores that were not kept.
    assert [one[1:] for one in found_in([rest], by)] == [one[1:] for one in expected]


def test_an_anomaly_that_lasts_ends_with_its_segment() -> None:
    score = np.where(np.arange(400) < 300, 1.0, 9.0)
    [(onset, reported, ended, cause)] = found_in([segment(score)], rules())
    assert (onset, reported, ended, cause) == (29.92, 30.1, 39.92, "sudden")


def test_scores_that_were_held_back_count_as_the_threshold_at_most() -> None:
    score = np.where((np.arange(400) > 200) & (np.arange(400) < 260), 9.0, 1.0)
    held = replace(segment(score), held_back=score > 5)
    assert found_in([held], rules(limit=math.inf)) == []
    assert len(found_in([segment(score)], rules(limit=math.inf))) == 1


@pytest.fixture
def bundle(bundle: Bundle) -> Bundle:
    return replace(bundle, model_id="abc", config=small_config(f"score.window_s={WINDOW_ROWS * HOP_S}"))


def anomaly(began: float, ended: float, verdict: str, number: int) -> StoredEvent:
    return stored_event(number, onset=BEGAN + began, reported=BEGAN + began + 0.2, ended=BEGAN + ended, verdict=verdict)


def two_faults() -> tuple[list[Segment], list[StoredEvent]]:
    """A minute with a large fault at 10 s, and a small disturbance at 40 s."""
    at = np.arange(600) * STEP_S
    score = np.where((at >= 10) & (at < 14), 9.0, np.where((at >= 40) & (at < 44), 2.5, 1.0))
    events = [anomaly(10, 14, "real fault", 1), anomaly(40, 44, "disturbance", 2)]
    return [segment(score)], events


def test_a_higher_limit_is_shown_to_lose_the_false_alarm_and_keep_the_fault(bundle: Bundle) -> None:
    segments, events = two_faults()
    tested = backtest(bundle, segments, events, [rules(limit=math.inf), rules(3.0, math.inf)])
    before, after = tested.outcomes
    assert (len(before.anomalies), len(after.anomalies)) == (2, 1)
    assert (before.false_alarms, after.false_alarms) == (1, 0)
    assert (tested.reported("real fault", after), tested.reported("disturbance", after)) == (1, 0)
    assert [delay for _, delay in tested.delays(after)] == [0.0]
    assert [round(one.onset - BEGAN) for one in tested.vanished(after)] == [40]
    assert tested.new(after) == []
    text = "\n".join(words.lines(tested, after))
    assert "vanishes: sudden" in text
    assert "disturbance, event 019ac4f0-0002" in text


def test_a_limit_that_hides_a_fault_says_so(bundle: Bundle) -> None:
    segments, events = two_faults()
    tested = backtest(bundle, segments, events, [rules(limit=math.inf), rules(20.0, math.inf)])
    assert tested.delays(tested.outcomes[1]) == [(events[0], None)]
    assert "NOT REPORTED: real fault, event 019ac4f0-0001" in "\n".join(words.lines(tested, tested.outcomes[1]))
    assert words.figures(tested, ["a", "b"])["outcomes"][1]["real_faults"] == [{"event": events[0].id, "later_s": None}]


def test_a_lower_limit_shows_what_would_be_new(bundle: Bundle) -> None:
    segments, events = two_faults()
    tested = backtest(bundle, segments, events, [rules(3.0, math.inf), rules(2.0, math.inf)])
    [new] = tested.new(tested.outcomes[1])
    assert tested.event_at(new) == events[1]


def test_the_bound_of_the_false_alarms_is_that_of_the_time_that_was_heard(bundle: Bundle) -> None:
    day = segment(np.ones(864_000))
    [outcome] = backtest(bundle, [day], [], [rules()]).outcomes
    assert (outcome.per_day, outcome.false_alarms) == (0.0, 0)
    assert outcome.false_alarms_upper == pytest.approx(-math.log(0.05))


def test_scores_of_other_models_are_left_out_and_counted(bundle: Bundle) -> None:
    segments, events = two_faults()
    other = segment(np.full(3000, 9.0), began=BEGAN + 3600, model_id="other")
    later = anomaly(3700, 3800, "real fault", 3)
    tested = backtest(bundle, [*segments, other], [*events, later], [rules(limit=math.inf)])
    assert tested.other_models_s == pytest.approx(300)
    assert tested.seconds == pytest.approx(60)
    assert later not in tested.events
    assert any("Left out: 5 min" in note for note in words.notes(tested))
    with pytest.raises(DataError, match="only of other models"):
        backtest(bundle, [other], [], [rules()])
    with pytest.raises(DataError, match="monitor live"):
        backtest(bundle, [], [], [rules()])


def test_it_says_for_how_long_other_limits_were_in_force(bundle: Bundle) -> None:
    segments, events = two_faults()
    tested = backtest(bundle, segments, events, [rules(2.5, 8.0)])
    assert tested.other_limits_s == pytest.approx(60)
    assert backtest(bundle, segments, events, [rules(2.0, 8.0)]).other_limits_s == 0


def test_another_number_of_false_alarms_has_the_limit_between_those_that_are_known(bundle: Bundle) -> None:
    score = bundle.thresholds["score"].model_copy(update={"value": 4.0, "tenfold": 2.0, "tenth": 16.0, "expected": 1.0})
    known = replace(bundle, thresholds={**bundle.thresholds, "score": score})
    settings = schema.Alarm(lasting=False)
    limits = [rules_for_budget(known, settings, rate).limits.threshold for rate in (10, math.sqrt(10), 1, 0.1, 0.01)]
    np.testing.assert_allclose(limits, [2.0, 4 / math.sqrt(2), 4.0, 16.0, 64.0])
    unknown = replace(bundle, thresholds={**bundle.thresholds, "score": score.model_copy(update={"tenth": None})})
    with pytest.raises(ConfigError, match="monitor calibrate"):
        rules_for_budget(unknown, settings, 0.5)
