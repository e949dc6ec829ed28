"""The alarm reports the same as a plain machine that looks at one score after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import schema
from monitor.config.loader import load_config
from monitor.core.events import State
from monitor.detection.alarm import Alarm
from monitor.detection.alarm_rules import decisions_per_window, kth_of_last, rows_per_decision
from monitor.detection.anomaly import Anomaly
from monitor.detection.cusum import Limits
from support.builders import pieces

HOP_S = 0.01
THRESHOLD = 10.0
USUAL = np.arange(1, 100) / 10  # 99 normal scores, 0.1 to 9.9: the p-value of 9.95 is 1 %, that of 5.05 one half
NO_CUSUM = math.inf


def alarm(
    *,
    block: int = 1,
    k: int = 1,
    n: int = 1,
    warm_up: int = 0,
    run_up: int = 0,
    hold: int = 0,
    release: int = 1,
    ratio: float = 0.8,
    cool_down: int = 0,
    remind: int = 10_000,
    limit: float = NO_CUSUM,
    window: int = 1,
    normal_scores: np.ndarray = USUAL,
) -> Alarm:
    """An alarm with times given in rows."""
    of_alarm = alarm_settings(
        block=block, k=k, n=n, warm_up=warm_up, run_up=run_up, hold=hold, release=release, ratio=ratio,
        cool_down=cool_down, remind=remind,
    )  # fmt: skip
    return Alarm(of_alarm, Limits(THRESHOLD, limit, normal_scores), HOP_S, window)


def alarm_settings(
    *,
    block: int = 1,
    k: int = 1,
    n: int = 1,
    warm_up: int = 0,
    run_up: int = 0,
    hold: int = 0,
    release: int = 1,
    ratio: float = 0.8,
    cool_down: int = 0,
    remind: int = 10_000,
) -> schema.Alarm:
    """Settings with times given in rows."""
    times = {
        "block": block, "warm_up": warm_up, "run_up": run_up, "hold": hold, "release": release, "cool_down": cool_down,
    }  # fmt: skip
    return schema.Alarm(
        **{f"{name}_s": rows * HOP_S for name, rows in times.items()},
        **{"k": k, "n": n, "release_ratio": ratio, "remind_s": remind * HOP_S},
    )


def reports(machine: Alarm, scores: Sequence[float]) -> list[tuple[int, int, int | None]]:
    """What is reported of these scores one by one: (row at which it is reported, start, end)."""
    found = []
    for row, score in enumerate(scores):
        found += [(row, anomaly.start, anomaly.end) for anomaly in machine.push(np.array([score]))]
    return found


class Plain:
    """The reference: one row at a time, in the words of the specification, from a record of everything."""

    def __init__(self, settings: dict[str, float], limit: float, window: int, normal_scores: Sequence[float]) -> None:
        self.s, self.limit, self.normal_scores = settings, limit, list(normal_scores)
        self.block = max(1, settings["block"])
        self.every = math.ceil(window / self.block)
        self.run_up = max(settings["run_up"], window - 1)  # a mean across a gap decides nothing
        self.gap = False
        self.scores: list[float] = []
        self.mean_rows: list[np.ndarray] = []
        self.decided: list[int] = []  # all rows with a decision
        self.states: list[str] = []
        self.events: list[tuple] = []
        self.begin(0, settings["warm_up"])

    def begin(self, row: int, warm_up: float) -> None:
        self.state = "LISTENING"
        self.life, self.ready, self.first = row, row + warm_up, None
        self.votes: list[bool] = []
        self.sum, self.grew_from, self.rose_from = 0.0, None, None
        self.start, self.quiet_from, self.cool_until = None, None, 0

    def facts(self, end: int) -> tuple:
        """What is known of the anomaly by its rows before `end`."""
        part = self.scores[self.start : end]
        mean_rows = [self.mean_rows[row] for row in self.decided if self.start <= row < end]
        return (self.cause, self.start, max(part), float(np.mean(part)), np.mean(mean_rows, axis=0).tolist())

    def row(self, score: float, mean_row: np.ndarray) -> None:
        row = len(self.scores)
        self.scores.append(score)
        self.mean_rows.append(mean_row)
        if math.isnan(score):
            if self.first is not None:
                if self.start is not None:
                    self.events.append(("end", row, *self.facts(row)))
                self.begin(row, 0)
                self.gap = True
        else:
            if self.first is None:
                self.first = row
                if self.gap:
                    self.ready, self.gap = row + self.run_up, False
            if (row - self.first) % self.block == 0:
                self.decided.append(row)
                if row >= self.ready:
                    self.decide(row, score)
        self.states.append(self.state)

    def decide(self, row: int, score: float) -> None:
        self.votes = [*self.votes, score > THRESHOLD][-int(self.s["n"]) :]
        if self.limit < math.inf and (row - self.first) // self.block % self.every == 0:
            as_high = sum(normal >= score for normal in self.normal_scores)
            surprising = min(3.0, -math.log((1 + as_high) / (1 + len(self.normal_scores))))
            before, self.sum = self.sum, min(max(0.0, self.sum + surprising - 1.5), 1.25 * self.limit)
            if before == 0 < self.sum:
                self.grew_from = max(self.life, self.first, row - self.every * self.block + 1)
        if self.votes[-1] and self.rose_from is None:
            self.rose_from = row
            while self.rose_from > max(self.life, self.first) and self.scores[self.rose_from - 1] > THRESHOLD:
                self.rose_from -= 1
        if not any(self.votes):
            self.rose_from = None
        self.begin_or_warn(row) if self.start is None else self.end_or_remind(row, score)

    def begin_or_warn(self, row: int) -> None:
        sudden, lasting = sum(self.votes) >= self.s["k"], self.sum > self.limit
        if (sudden or lasting) and row >= self.cool_until:
            self.state, self.reported, self.reminded = "ANOMALY", row, row
            self.cause, self.start = ("sudden", self.rose_from) if sudden else ("lasting", self.grew_from)
            self.events.append(("begin", row, *self.facts(row + 1)))
        else:
            self.state = "WARNING" if any(self.votes) or self.sum > 0.5 * self.limit else "NORMAL"

    def end_or_remind(self, row: int, score: float) -> None:
        if score < self.s["ratio"] * THRESHOLD and not self.sum > 0.5 * self.limit:
            self.quiet_from = row if self.quiet_from is None else self.quiet_from
        else:
            self.quiet_from = None
        known = row + 1 if self.quiet_from is None else self.quiet_from
        long_quiet = self.quiet_from is not None and row + 1 - self.quiet_from >= self.s["release"]
        if long_quiet and row + 1 - self.reported >= self.s["hold"]:
            self.events.append(("end", self.quiet_from, *self.facts(known)))
            self.begin(row + 1, 0)
            self.first, self.state, self.cool_until = row, "NORMAL", row + self.s["cool_down"]
        elif row - self.reminded >= self.s["remind"]:
            self.reminded = row
            self.events.append(("remind", row, *self.facts(known)))


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


# Other settings


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


# The share of the limit


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from([1.0, 5.0, 9.95, 10.5, 13.0, math.nan]), st.integers(1, 9)), max_size=30),
    cuts=st.lists(st.integers(1, 25), min_size=1, max_size=5),
    block=st.integers(0, 5),
    n=st.integers(1, 4),
    k=st.integers(1, 4),
    limit=st.sampled_from([NO_CUSUM, 2.0, 4.0]),
    warm_up=st.integers(0, 12),
)
def test_the_share_of_the_limit_is_above_100_per_cent_exactly_where_an_alarm_begins(
    rows, cuts, block, n, k, limit, warm_up
) -> None:
    """Whichever way it is raised, however the scores are divided, and without a value where there are no decisions."""
    scores = np.array([score for score, times in rows for _ in range(times)])
    options = {"block": block, "n": n, "k": min(k, n), "limit": limit, "warm_up": warm_up}
    machine, whole = alarm(**options), alarm(**options)
    whole.push(scores)
    traces = [np.empty((0, 2))]
    for part in pieces(len(scores), cuts):
        before = machine.anomaly
        machine.push(scores[part])
        traces.append(machine.trace)
        if before is None and machine.anomaly is not None:
            assert machine.trace[machine.anomaly.reported - part.start, 0] > 1
        if machine.state is State.NORMAL:
            assert machine.share_of_limit <= 1
        if machine.state is State.LISTENING:
            assert math.isnan(machine.share_of_limit)
    trace = np.concatenate(traces)
    np.testing.assert_array_equal(trace, whole.trace)
    assert np.isnan(trace[np.isnan(scores)]).all()


def test_the_share_of_the_limit_is_that_of_the_sum_where_it_is_nearer_to_its_limit() -> None:
    machine = alarm(limit=4.0)
    for _ in range(3):
        machine.push(np.array([9.95]))
    assert machine.lasting_sum > 0.99
    assert machine.share_of_limit == machine.lasting_sum
    machine.push(np.array([9.95]))
    assert machine.state is State.ANOMALY
    assert machine.share_of_limit > 1


# Against the reference

LEVELS = [1.0, 7.9, 8.0, 9.0, 9.95, 10.0, 10.5, 13.0]


@settings(max_examples=400, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.one_of(st.sampled_from(LEVELS), st.sampled_from([1.0, 9.95, 13.0, math.nan])), st.integers(1, 9)),
        max_size=40,
    ),
    late=st.integers(0, 6),
    cuts=st.lists(st.integers(1, 25), min_size=1, max_size=5),
    times=st.fixed_dictionaries(
        {
            "block": st.integers(0, 5), "warm_up": st.integers(0, 12), "run_up": st.integers(0, 12),
            "hold": st.integers(0, 12), "release": st.integers(0, 8), "cool_down": st.integers(0, 20),
            "remind": st.integers(1, 30),
        }
    ),
    n=st.integers(1, 4),
    k=st.integers(1, 4),
    ratio=st.sampled_from([0.8, 1.0]),
    limit=st.sampled_from([NO_CUSUM, 2.0, 4.0, 7.0]),
    window=st.integers(1, 9),
)  # fmt: skip
def test_it_reports_the_same_as_a_plain_machine_in_any_portions(
    rows, late, cuts, times, n, k, ratio, limit, window
) -> None:
    """States, and what each report says by the scores that had come then. The same settings again change nothing."""
    scores = np.array([math.nan] * late + [score for score, times in rows for _ in range(times)])
    rolling = np.stack((np.arange(len(scores), dtype=float), scores), axis=1)
    options = times | {"n": n, "k": min(k, n), "ratio": ratio}
    plain = Plain(options, limit, window, USUAL)
    for score, mean_row in zip(scores, rolling, strict=True):
        plain.row(float(score), mean_row)
    machine = alarm(**options, limit=limit, window=window)
    found: list[Anomaly] = []
    for part in pieces(len(scores), cuts):
        found += machine.push(scores[part], rolling[part].__getitem__)
        machine.change(alarm_settings(**options), Limits(THRESHOLD, limit, USUAL))
        assert machine.state == plain.states[part.stop - 1]
        assert (machine.anomaly is not None) == (machine.state is State.ANOMALY)
    expected = list(plain.events)
    if lasting := machine.finish():
        found.append(lasting)
        expected.append(("end", len(scores), *plain.facts(len(scores))))
    ids: list[str] = []
    for anomaly, (what, row, cause, start, peak, mean, mean_row) in zip(found, expected, strict=True):
        if what == "begin":
            assert anomaly.id not in ids
            ids.append(anomaly.id)
            reported, reminders = row, 0
        reminders += what == "remind"
        assert (anomaly.id, anomaly.reported, anomaly.reminders) == (ids[-1], reported, reminders)
        assert (anomaly.end, anomaly.cause, anomaly.start) == (row if what == "end" else None, cause, start)
        assert (anomaly.peak, anomaly.mean) == (peak, pytest.approx(mean))
        assert anomaly.mean_row == pytest.approx(mean_row)


def test_times_are_rounded_to_rows_and_a_decision_takes_one_at_least() -> None:
    assert [rows_per_decision(schema.Alarm(block_s=s), 0.01) for s in (0, 0.001, 0.5, 0.514)] == [1, 1, 50, 51]
