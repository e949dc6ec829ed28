"""Other settings and scaled thresholds hold from the next decision of an alarm on."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.core.events import State
from monitor.detection.cusum import Limits
from support.alarms import NO_CUSUM, THRESHOLD, USUAL, alarm, alarm_settings, reports


def test_scaling_moves_the_threshold_and_the_limit_from_the_next_score_on() -> None:
    machine = alarm()
    machine.push(np.full(5, 9.0))
    machine.scale(0.5)
    assert machine.threshold == 5.0
    assert [a.start for a in machine.push(np.full(5, 9.0))] == [5]
    machine = alarm(limit=10.0)
    machine.push(np.full(6, 9.95))
    assert (machine.state, machine.lasting_sum) == (State.WARNING, pytest.approx(0.9))
    machine.scale(10.0)
    assert machine.lasting_sum == pytest.approx(0.09)
    assert reports(machine, [9.95] * 2) == []
    machine.scale(0.1)
    assert [a.cause for a in machine.push(np.array([9.95]))] == ["lasting"]


def test_other_settings_hold_from_the_next_decision_on_and_the_scores_so_far_count() -> None:
    machine = alarm(k=2, n=3)
    machine.push(np.array([9.0, 9.0, 7.0]))
    machine.change(alarm_settings(k=2, n=3), Limits(8.0, NO_CUSUM, USUAL))
    assert [anomaly.start for anomaly in machine.push(np.array([9.0]))] == [3], "two of the last three are above it"


def test_scores_that_are_not_above_a_higher_threshold_do_not_count_any_more() -> None:
    machine = alarm(k=2, n=3)
    machine.push(np.array([11.0]))
    assert machine.state is State.WARNING
    machine.change(alarm_settings(k=2, n=3), Limits(12.0, NO_CUSUM, USUAL))
    assert machine.push(np.array([13.0])) == []
    assert machine.state is State.WARNING
    assert len(machine.push(np.array([13.0]))) == 1


@pytest.mark.parametrize(("threshold", "ends"), [(10.0, False), (5.0, False), (20.0, True)])
def test_an_ongoing_anomaly_goes_on_or_ends_by_the_new_threshold(threshold: float, ends: bool) -> None:
    machine = alarm(release=2)
    [begun] = machine.push(np.full(5, 11.0))
    machine.change(alarm_settings(release=2), Limits(threshold, NO_CUSUM, USUAL))
    found = machine.push(np.full(5, 11.0))
    assert [(anomaly.id, anomaly.start, anomaly.end) for anomaly in found] == [(begun.id, 0, 5)] * ends
    assert (machine.state is State.ANOMALY) != ends


def test_lasting_anomalies_that_are_switched_off_and_on_begin_with_a_sum_of_nothing() -> None:
    machine = alarm(limit=10.0)
    machine.push(np.full(6, 9.95))
    machine.change(alarm_settings(), Limits(THRESHOLD, NO_CUSUM, USUAL))
    machine.push(np.full(6, 9.95))
    assert (machine.state, machine.lasting_sum) == (State.NORMAL, 0.0)
    machine.change(alarm_settings(), Limits(THRESHOLD, 10.0, USUAL))
    assert (machine.lasting_sum, reports(machine, [9.95] * 3)) == (0.0, [])


def test_a_cumulative_sum_above_a_lower_limit_is_an_anomaly_from_where_it_grew() -> None:
    machine = alarm(limit=10.0)
    machine.push(np.array([1.0, 1.0, *[9.95] * 5]))
    machine.change(alarm_settings(), Limits(THRESHOLD, 3.0, USUAL))
    assert [(anomaly.cause, anomaly.start) for anomaly in machine.push(np.array([9.95]))] == [("lasting", 2)]


def test_decisions_come_as_often_as_the_new_settings_say() -> None:
    machine = alarm(block=10)
    machine.push(np.full(11, 9.0))
    machine.change(alarm_settings(block=2), Limits(THRESHOLD, NO_CUSUM, USUAL))
    assert machine.until_decision == 2
    assert machine.push(np.array([11.0])) == []
    assert len(machine.push(np.array([11.0]))) == 1
