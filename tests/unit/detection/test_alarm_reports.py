"""What an alarm reports of an anomaly: how it ends, when it is reported again, and what is known of it."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.detection.anomaly import Anomaly
from support.alarms import alarm, reports
from support.builders import pieces

# How it ends


def test_between_release_level_and_threshold_a_state_stays_as_it_is() -> None:
    """Hysteresis: 9 begins nothing, but does not let an anomaly end."""
    assert reports(alarm(), [9] * 20) == []
    assert reports(alarm(), [11] + [9] * 50) == [(0, 0, None)]
    assert reports(alarm(), [11] + [8] * 50) == [(0, 0, None)], "the level itself is not below it"
    assert reports(alarm(), [11] + [9] * 50 + [7.9]) == [(0, 0, None), (51, 0, 51)]


def test_below_the_release_level_for_the_release_ends_it_where_it_went_below() -> None:
    assert reports(alarm(release=4), [11, 12, 1, 1, 1]) == [(0, 0, None)]
    assert reports(alarm(release=4), [11, 12, 1, 1, 1, 1]) == [(0, 0, None), (5, 0, 2)]


def test_a_moment_above_the_release_level_begins_the_release_anew() -> None:
    assert reports(alarm(release=4), [11, 1, 1, 1, 9, 1, 1, 1, 1]) == [(0, 0, None), (8, 0, 5)]


def test_an_anomaly_is_held_so_long_after_it_began() -> None:
    assert reports(alarm(hold=8), [1, 11] + [1] * 6) == [(1, 1, None)]
    assert reports(alarm(hold=8), [1, 11] + [1] * 7) == [(1, 1, None), (8, 1, 2)]


def test_a_cumulative_sum_above_half_its_limit_does_not_let_an_anomaly_end() -> None:
    machine = alarm(limit=6.0, release=1)
    found = reports(machine, [9.95] * 5 + [1.0] * 20)
    # 7.5 at the end, and 1.4 less with each usual score: below half of the limit after four.
    assert found == [(4, 0, None), (8, 0, 8)]


def test_an_anomaly_is_reported_twice_by_one_id_and_a_second_one_by_another() -> None:
    machine = alarm()
    first, ended, second = machine.push(np.array([11.0, 1, 1, 12]))
    assert first.id == ended.id != second.id
    assert machine.anomaly is not None
    assert machine.anomaly.id == second.id
    assert (first.start, first.end) == (0, None)
    assert (ended.start, ended.end, ended.peak) == (0, 1, 11)
    assert (second.start, second.end, second.peak) == (3, None, 12)


def test_a_report_says_what_was_known_when_it_was_made_and_does_not_change_afterwards() -> None:
    """However late anybody reads it: all of these scores come at once."""
    began, reminded, ended = alarm(remind=3).push(np.array([11.0, 12, 13, 14, 15, 1]))
    assert (began.end, began.peak, began.mean, began.reminders) == (None, 11, 11, 0)
    assert (reminded.end, reminded.peak, reminded.mean, reminded.reminders) == (None, 14, 12.5, 1)
    assert (ended.end, ended.peak, ended.mean, ended.reminders) == (5, 15, 13, 1)
    assert began.id == reminded.id == ended.id


def test_a_fault_that_begins_in_the_cool_down_is_reported_late_and_not_lost() -> None:
    scores = [11, 1] + [1] * 5 + [11] * 30
    assert reports(alarm(cool_down=20), scores) == [(0, 0, None), (1, 0, 1), (21, 7, None)]
    short = [11, 1] + [1] * 5 + [11] * 5 + [1] * 30
    assert reports(alarm(cool_down=20), short) == [(0, 0, None), (1, 0, 1)]


def test_a_cumulative_sum_that_grew_in_the_cool_down_is_reported_late_and_not_lost() -> None:
    machine = alarm(cool_down=20, limit=4.0)
    assert reports(machine, [11, 1, 1, 1] + [9.95] * 30)[2:] == [(21, 4, None)]


def test_an_anomaly_that_goes_on_is_reported_again_and_again() -> None:
    machine = alarm(remind=10)
    assert [row for row, _, _ in reports(machine, [11] * 35)] == [0, 10, 20, 30]
    assert machine.anomaly is not None
    assert machine.anomaly.reminders == 3
    assert [row for row, _, _ in reports(alarm(remind=10, block=4), [11] * 35)] == [0, 12, 24]


# What is known of an anomaly


@pytest.mark.parametrize("cuts", [[30], [1], [6, 1]])
@pytest.mark.parametrize("block", [1, 4])
def test_peak_mean_and_mean_row_are_those_from_the_start_to_the_end(cuts: list[int], block: int) -> None:
    """With the scores between crossing and decision, and without the first one that is normal again."""
    scores = np.array([1.0, 1, 12, 14, 12, 17, 14, 13, 12, 19, 7, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    rolling = np.arange(40.0).reshape(20, 2)
    machine, found = alarm(block=block, release=2), []
    for part in pieces(len(scores), cuts):
        found += machine.push(scores[part], rolling[part].__getitem__)
    first, last = found[0], found[-1]
    assert first.id == last.id
    assert (last.start, last.end) == (2, 10 if block == 1 else 12)
    assert last.peak == 19
    assert last.mean == pytest.approx(scores[2 : last.end].mean())
    decided = [row for row in range(0, 20, block) if 2 <= row < last.end]
    np.testing.assert_allclose(last.mean_row, rolling[decided].mean(axis=0))


def test_a_moment_below_the_release_level_is_part_of_the_anomaly() -> None:
    scores = np.array([1.0, 12, 14, 12, 2, 3, 14, 2, 2, 2, 2])
    machine, found = alarm(release=4), []
    for part in pieces(len(scores), [5, 2]):
        found += machine.push(scores[part], scores[part, None].__getitem__)
    assert (found[-1].start, found[-1].end) == (1, 7)
    assert found[-1].mean == pytest.approx(scores[1:7].mean())
    assert found[-1].mean_row[0] == pytest.approx(scores[1:7].mean())


def test_the_mean_so_far_is_that_of_all_scores_since_the_start() -> None:
    machine = alarm()
    machine.push(np.array([1.0, 12, 14, 12]))
    machine.push(np.array([20.0, 9]))
    assert machine.anomaly is not None
    assert machine.anomaly.mean == pytest.approx((12 + 14 + 12 + 20 + 9) / 5)
    assert Anomaly(0, "sudden").mean == 0
