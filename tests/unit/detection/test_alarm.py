"""The states of an alarm, and when sudden and lasting anomalies begin."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import schema
from monitor.config.loader import load_config
from monitor.core.events import State
from monitor.detection.alarm import Alarm
from monitor.detection.alarm_rules import decisions_per_window, kth_of_last, rows_per_decision
from monitor.detection.cusum import Limits
from support.alarms import HOP_S, NO_CUSUM, THRESHOLD, USUAL, alarm, reports
from support.builders import pieces

# What the threshold is compared with


@given(st.lists(st.integers(0, 8), min_size=1, max_size=40), st.integers(1, 8), st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_what_k_of_n_decisions_exceed_is_the_kth_largest_of_the_last_n(scores, n, less) -> None:
    k = max(1, n - less)
    expected = []
    for stop in range(1, len(scores) + 1):
        last = sorted(scores[max(0, stop - n) : stop], reverse=True)
        expected.append(last[k - 1] if len(last) >= k else -np.inf)
    assert kth_of_last(np.array(scores, float), k, n).tolist() == expected


@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.integers(1, 5), st.integers(0, 4))
@settings(max_examples=100, deadline=None)
def test_the_alarm_is_sudden_just_where_what_k_of_n_exceed_is_above_the_threshold(scores, n, less) -> None:
    """So the threshold is found on what it is compared with."""
    k = max(1, n - less)
    above = np.flatnonzero(kth_of_last(np.array(scores, float), k, n) > THRESHOLD)
    begun = alarm(k=k, n=n).push(np.array(scores, float))
    assert [a.reported for a in begun][:1] == above[:1].tolist()


# Sudden anomalies


def test_before_the_first_score_it_listens_then_all_is_normal() -> None:
    machine = alarm()
    assert machine.state is State.LISTENING
    assert machine.push(np.full(7, np.nan)) == []
    assert machine.state is State.LISTENING
    machine.push(np.array([np.nan, 1.0]))
    assert machine.state is State.NORMAL
    machine.push(np.empty(0))
    assert machine.state is State.NORMAL


def test_k_of_the_last_n_decisions_above_the_threshold_are_an_anomaly() -> None:
    assert reports(alarm(k=2, n=3), [1, 11, 1, 1, 11, 1, 1]) == []
    assert reports(alarm(k=2, n=3), [1, 11, 1, 11]) == [(3, 1, None)]
    assert reports(alarm(k=2, n=3), [1, 11, 11]) == [(2, 1, None)]
    assert reports(alarm(k=3, n=3), [11, 11, 1, 11, 11]) == []
    assert reports(alarm(k=3, n=3), [11, 11, 1, 11, 11, 11])[0] == (5, 0, None)


def test_the_threshold_itself_is_not_above_it() -> None:
    machine = alarm()
    assert reports(machine, [10.0] * 50) == []
    assert machine.state is State.NORMAL


def test_fewer_than_k_of_n_are_a_warning_that_goes_by() -> None:
    machine = alarm(k=2, n=3)
    states = []
    for score in [1, 11, 1, 1, 1]:
        machine.push(np.array([score], float))
        states.append(machine.state.value)
    assert states == ["NORMAL", "WARNING", "WARNING", "WARNING", "NORMAL"]
    assert machine.anomaly is None


def test_only_the_score_at_the_end_of_each_block_decides() -> None:
    """Decisions are counted from the first score on."""
    scores = np.array([np.nan] * 3 + [1.0] + [11, 11, 11, 1] * 5)
    assert reports(alarm(block=4), scores) == []
    assert reports(alarm(block=4), [np.nan] * 3 + [1, 1, 1, 1, 11]) == [(7, 7, None)]


def test_a_sudden_anomaly_starts_where_the_scores_crossed_the_threshold() -> None:
    """Not at the decision, which may come later, nor with an excursion that had gone by when it came."""
    assert reports(alarm(block=5), [1, 1, 1, 11, 11, 11]) == [(5, 3, None)]
    assert reports(alarm(block=5), [1, 11, 1, 1, 11, 11]) == [(5, 4, None)]
    assert reports(alarm(block=5, k=2, n=3), [1, 1, 1, 11, 11, 11, 1, 1, 1, 11, 11]) == [(10, 3, None)]


def test_the_articles_settings_decide_on_every_score() -> None:
    """No block, one of one, no cumulative sum, no time."""
    settings = load_config(preset="toyadmos").alarm
    machine = Alarm(settings, Limits(THRESHOLD, NO_CUSUM, USUAL), HOP_S, 1)
    scores = np.array([11.0, 1, 1, 12] + [1.0] * 300)
    release = round(settings.release_s / HOP_S)
    found = machine.push(scores)
    assert [(a.start, a.reported, a.end) for a in found] == [(0, 0, None), (0, 0, 4)]
    assert machine.state is State.NORMAL
    machine.reset()
    _, ended, second = machine.push(np.array([11.0] + [1.0] * release + [12]))
    assert (ended.end, second.start, second.reported) == (1, release + 1, release + 1)


@given(
    st.lists(st.sampled_from([1.0, 10.0, 10.5, 13.0, math.nan]), max_size=80),
    st.lists(st.integers(1, 12), min_size=1, max_size=4),
)
@settings(max_examples=80, deadline=None)
def test_with_the_articles_settings_a_score_above_the_threshold_is_an_anomaly_at_once(scores, cuts) -> None:
    settings = load_config(preset="toyadmos", overrides=["alarm.release_s=0"]).alarm
    machine = Alarm(settings, Limits(THRESHOLD, NO_CUSUM, USUAL), HOP_S, 1)
    flagged = np.zeros(len(scores), bool)
    for part in pieces(len(scores), cuts):
        machine.push(np.array(scores[part]))
        flagged[part.stop - 1] = machine.state is State.ANOMALY
        high = scores[part.stop - 1] > THRESHOLD
        between = 8 <= scores[part.stop - 1] <= THRESHOLD
        assert flagged[part.stop - 1] == high or between


# Lasting anomalies


def test_what_is_a_little_unusual_for_long_becomes_a_lasting_anomaly() -> None:
    """Each score of 9.95 adds 3 - 1.5."""
    machine = alarm(limit=10.0)
    assert reports(machine, [5.05] * 4 + [9.95] * 7) == [(10, 4, None)]
    assert machine.anomaly is not None
    assert machine.anomaly.cause == "lasting"


def test_a_lasting_anomaly_starts_where_the_cumulative_sum_began_to_grow() -> None:
    """What had grown and was gone again is not part of it; the rows of the window that grew are."""
    assert reports(alarm(limit=4.0), [9.95, 5.05, 5.05, 5.05, 9.95, 9.95, 9.95])[0] == (6, 4, None)
    scores = np.repeat([5.05, 5.05, 9.95, 9.95, 9.95], 4)[3:]
    assert reports(alarm(limit=4.0, block=2, window=4), scores)[0] == (16, 5, None)


def test_the_cumulative_sum_is_a_warning_from_half_its_limit_on() -> None:
    machine = alarm(limit=6.0)
    states = []
    for score in [9.95] * 5:
        machine.push(np.array([score]))
        states.append((machine.state.value, machine.lasting_sum))
    assert states == [
        ("NORMAL", 0.25), ("NORMAL", 0.5), ("WARNING", 0.75), ("WARNING", 1.0), ("ANOMALY", 1.25)
    ]  # fmt: skip


@given(score=st.floats(0, 1e30), limit=st.floats(1.6, 50), window=st.integers(1, 9), block=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_a_single_loud_moment_is_never_a_lasting_anomaly(score, limit, window, block) -> None:
    """However loud, as long as the limit is beyond what one decision can add; k of n did not take it either."""
    machine = alarm(limit=limit, window=window, block=block, k=2, n=2)
    rows = np.full(100, 1.0)
    rows[40 : 40 + block] = score
    assert machine.push(rows) == []


def test_scores_that_share_a_window_count_once_in_the_cumulative_sum() -> None:
    assert decisions_per_window(200, 50) == 4
    assert decisions_per_window(201, 50) == 5
    assert decisions_per_window(1, 50) == 1
    often, rarely = alarm(limit=100.0, block=5), alarm(limit=100.0, block=5, window=20)
    for machine in (often, rarely):
        machine.push(np.full(61, 9.95))
    assert (often.lasting_sum, rarely.lasting_sum) == (pytest.approx(13 * 0.015), pytest.approx(4 * 0.015))


def test_a_lasting_anomaly_ends_when_the_sound_is_usual_again() -> None:
    """However long it lasted: the sum cannot grow far above its limit."""
    machine = alarm(limit=6.0)
    machine.push(np.full(5000, 9.5))
    assert machine.state is State.ANOMALY
    [ended] = machine.push(np.full(10, 5.05))
    assert 5000 <= ended.end <= 5008


# Warm-up, gaps


def test_nothing_is_reported_while_it_warms_up_and_what_lasts_is_reported_right_after() -> None:
    assert reports(alarm(warm_up=10), [11] * 9 + [1] * 30) == []
    assert reports(alarm(warm_up=10), [1] * 5 + [11] * 30) == [(10, 5, None)]
    machine = alarm(warm_up=10)
    machine.push(np.full(10, 11.0))
    assert machine.state is State.LISTENING
    machine.push(np.full(1, 1.0))
    assert machine.state is State.NORMAL


def test_nothing_is_added_up_while_it_warms_up() -> None:
    machine = alarm(warm_up=10, limit=100.0)
    machine.push(np.full(10, 9.95))
    assert machine.lasting_sum == 0
    machine.push(np.full(1, 9.95))
    assert machine.lasting_sum > 0


def test_a_gap_ends_what_lasts_and_everything_begins_anew_behind_it_with_a_run_up() -> None:
    gap = [11, 11, 11, math.nan, math.nan] + [11] * 20
    assert reports(alarm(), gap) == [(0, 0, None), (3, 0, 3), (5, 5, None)]
    assert reports(alarm(run_up=10), [1] * 10 + gap) == [(10, 10, None), (13, 10, 13), (25, 15, None)]
    long = [1] * 10 + [math.nan] * 30 + [11] * 20
    assert reports(alarm(run_up=10), long) == [(50, 40, None)]
    assert reports(alarm(window=6), long) == [(45, 40, None)], "a mean across the gap decides nothing"
    machine = alarm(k=2, n=2, limit=4.0)
    assert reports(machine, [11, math.nan, 11, math.nan, 9.95, math.nan, 9.95, math.nan] * 10) == []


def test_another_stream_begins_at_row_0_without_a_past() -> None:
    for ended in (False, True):
        machine = alarm(k=2, n=3, limit=30.0)
        machine.push(np.array([9.95] * 10 + [11.0, 11, 11, 1]))
        if ended:
            machine.finish()
        machine.reset()
        assert (machine.state, machine.anomaly, machine.lasting_sum) == (State.LISTENING, None, 0.0)
        assert reports(machine, [1.0, 11, 11, 11]) == [(2, 1, None)]


def test_the_end_of_the_stream_ends_what_lasts_and_nothing_else() -> None:
    machine = alarm(k=2, n=2, release=4)
    machine.push(np.array([1.0, 11, 11, 15, 11, 1]))
    lasting = machine.finish()
    assert lasting is not None
    assert (lasting.start, lasting.end, lasting.peak, lasting.mean) == (1, 6, 15, pytest.approx(49 / 5))
    assert machine.anomaly is None
    assert machine.finish() is None
    for scores in ([1.0], [1.0, 11], [np.nan], [11.0] * 3 + [1] * 4):
        machine.reset()
        machine.push(np.array(scores))
        assert machine.finish() is None


def test_after_the_end_the_last_state_can_still_be_seen() -> None:
    machine = alarm()
    machine.push(np.array([1.0, 11]))
    machine.finish()
    assert machine.state is State.ANOMALY


def test_times_are_rounded_to_rows_and_a_decision_takes_one_at_least() -> None:
    assert [rows_per_decision(schema.Alarm(block_s=s), 0.01) for s in (0, 0.001, 0.5, 0.514)] == [1, 1, 50, 51]
