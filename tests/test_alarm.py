"""The alarm says the same as a plain machine that looks at one score after the other."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from builders import pieces, small_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monitor.config import schema as config
from monitor.detection.alarm import (
    MOST,
    Alarm,
    Anomaly,
    Limits,
    accumulate,
    decision_rows,
    evidence_every,
    persistent,
    surprise,
)
from monitor.config.loader import load_config
from monitor.core.snapshot import State

HOP_S = 0.01
THRESHOLD = 10.0
USUAL = np.arange(1, 100) / 10  # 99 normal scores, 0.1 to 9.9: the p-value of 9.95 is 1 %, that of 5.05 one half
NO_EVIDENCE = math.inf


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
    limit: float = NO_EVIDENCE,
    window: int = 1,
    normal_scores: np.ndarray = USUAL,
) -> Alarm:
    """An alarm with times given in rows."""
    times = {
        "block": block, "warm_up": warm_up, "run_up": run_up, "hold": hold, "release": release, "cool_down": cool_down,
    }  # fmt: skip
    settings = config.Alarm(
        **{f"{name}_s": rows * HOP_S for name, rows in times.items()},
        **{"k": k, "n": n, "release_ratio": ratio, "remind_s": remind * HOP_S},
    )
    return Alarm(settings, Limits(THRESHOLD, limit, normal_scores), HOP_S, window)


def told(machine: Alarm, scores: Sequence[float]) -> list[tuple[int, int, int | None]]:
    """What is told of these scores one by one, as (row at which it was told, start, end)."""
    heard = []
    for row, score in enumerate(scores):
        heard += [(row, anomaly.start, anomaly.end) for anomaly in machine.update(np.array([score]))]
    return heard


class Plain:
    """The reference: one row at a time, in the words of the specification, from a record of everything."""

    def __init__(self, settings: dict[str, float], limit: float, window: int, normal_scores: Sequence[float]) -> None:
        self.s, self.limit, self.normal_scores = settings, limit, list(normal_scores)
        self.block = max(1, settings["block"])
        self.every = math.ceil(window / self.block)
        self.run_up = max(settings["run_up"], window - 1)  # no mean across a hole is judged
        self.hole = False
        self.scores: list[float] = []
        self.profiles: list[np.ndarray] = []
        self.decided: list[int] = []  # all rows with a decision
        self.states: list[str] = []
        self.events: list[tuple] = []
        self.anew(0, settings["warm_up"])

    def anew(self, row: int, warm_up: float) -> None:
        self.state = "LISTENING"
        self.life, self.ready, self.first = row, row + warm_up, None
        self.votes: list[bool] = []
        self.sum, self.grew_from, self.rose_from = 0.0, None, None
        self.start, self.quiet_from, self.cool_until = None, None, 0

    def facts(self, end: int) -> tuple:
        part = self.scores[self.start : end]
        profiles = [self.profiles[row] for row in self.decided if self.start <= row < end]
        return (self.cause, self.start, max(part), float(np.mean(part)), np.mean(profiles, axis=0).tolist())

    def row(self, score: float, profile: np.ndarray) -> None:
        row = len(self.scores)
        self.scores.append(score)
        self.profiles.append(profile)
        if math.isnan(score):
            if self.first is not None:
                if self.start is not None:
                    self.events.append(("end", row, *self.facts(row)))
                self.anew(row, 0)
                self.hole = True
        else:
            if self.first is None:
                self.first = row
                if self.hole:
                    self.ready, self.hole = row + self.run_up, False
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
        self.judge(row) if self.start is None else self.watch(row, score)

    def judge(self, row: int) -> None:
        sudden, evidence = sum(self.votes) >= self.s["k"], self.sum > self.limit
        if (sudden or evidence) and row >= self.cool_until:
            self.state, self.told, self.reminded = "ANOMALY", row, row
            self.cause, self.start = ("sudden", self.rose_from) if sudden else ("evidence", self.grew_from)
            self.events.append(("begin", row, *self.facts(row + 1)))
        else:
            self.state = "WARNING" if any(self.votes) or self.sum > 0.5 * self.limit else "NORMAL"

    def watch(self, row: int, score: float) -> None:
        if score < self.s["ratio"] * THRESHOLD and not self.sum > 0.5 * self.limit:
            self.quiet_from = row if self.quiet_from is None else self.quiet_from
        else:
            self.quiet_from = None
        long_quiet = self.quiet_from is not None and row + 1 - self.quiet_from >= self.s["release"]
        if long_quiet and row + 1 - self.told >= self.s["hold"]:
            self.events.append(("end", self.quiet_from, *self.facts(self.quiet_from)))
            self.anew(row + 1, 0)
            self.first, self.state, self.cool_until = row, "NORMAL", row + self.s["cool_down"]
        elif row - self.reminded >= self.s["remind"]:
            self.reminded = row
            self.events.append(("remind", row))


# How surprising a score is


@given(scores=st.lists(st.integers(0, 12), max_size=30), normal=st.lists(st.integers(0, 12), min_size=1, max_size=30))
@settings(max_examples=150, deadline=None)
def test_surprise_is_minus_the_log_of_the_share_of_normal_scores_that_are_as_high(scores, normal) -> None:
    """Counted one by one, with the score itself among them; ties count as being as high."""
    found = surprise(np.array(scores, float), np.sort(np.array(normal, float)))
    shares = [(1 + sum(other >= score for other in normal)) / (1 + len(normal)) for score in scores]
    np.testing.assert_allclose(found, [min(3.0, -math.log(share)) for share in shares], rtol=1e-12)


@pytest.mark.parametrize("draw", ["normal", "lognormal", "standard_cauchy"])
def test_the_evidence_in_normal_sound_is_exponential_whatever_the_scores_are_like(draw: str) -> None:
    """Uniform p-values: -ln p is exponential, up to the cap, which one in twenty reaches."""
    generator = np.random.default_rng(1)
    normal, fresh = getattr(generator, draw)(size=20_000), getattr(generator, draw)(size=2000)
    evidence = surprise(fresh, np.sort(normal))
    assert evidence.max() == MOST
    below = evidence[evidence < MOST]
    assert stats.binomtest(len(evidence) - len(below), len(evidence), math.exp(-MOST)).pvalue > 1e-3
    truncated = stats.truncexpon(b=MOST)
    assert stats.kstest(below, truncated.cdf).pvalue > 1e-3


def test_few_normal_scores_make_nothing_very_surprising() -> None:
    """One in four is the rarest that three of them can tell."""
    np.testing.assert_allclose(surprise(np.array([1e9]), np.array([1.0, 2, 3])), np.log(4))


@given(st.lists(st.integers(0, 8), min_size=1, max_size=40), st.integers(1, 8), st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_what_k_of_n_decisions_exceed_is_the_kth_largest_of_the_last_n(scores, n, less) -> None:
    k = max(1, n - less)
    expected = []
    for stop in range(1, len(scores) + 1):
        last = sorted(scores[max(0, stop - n) : stop], reverse=True)
        expected.append(last[k - 1] if len(last) >= k else -np.inf)
    assert persistent(np.array(scores, float), k, n).tolist() == expected


@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.integers(1, 5), st.integers(0, 4))
@settings(max_examples=100, deadline=None)
def test_the_alarm_is_sudden_just_where_what_k_of_n_exceed_is_above_the_threshold(scores, n, less) -> None:
    """So the threshold is found on what it is compared with."""
    k = max(1, n - less)
    above = np.flatnonzero(persistent(np.array(scores, float), k, n) > THRESHOLD)
    begun = alarm(k=k, n=n).update(np.array(scores, float))
    assert [a.told for a in begun][:1] == above[:1].tolist()


@given(st.lists(st.floats(0, MOST), max_size=60), st.floats(0.5, 20))
@settings(max_examples=100, deadline=None)
def test_evidence_adds_up_above_its_drift_and_stays_between_zero_and_a_quarter_above_its_limit(added, limit) -> None:
    total, plain = np.zeros(1), 0.0
    for one in added:
        total = accumulate(total, np.array([one]), limit)
        plain = min(1.25 * limit, max(0.0, plain + one - 1.5))
        assert total[0] == pytest.approx(plain)


# Sudden anomalies


def test_before_the_first_score_it_listens_then_all_is_normal() -> None:
    machine = alarm()
    assert machine.state is State.LISTENING
    assert machine.update(np.full(7, np.nan)) == []
    assert machine.state is State.LISTENING
    machine.update(np.array([np.nan, 1.0]))
    assert machine.state is State.NORMAL
    machine.update(np.empty(0))
    assert machine.state is State.NORMAL


def test_k_of_the_last_n_decisions_above_the_threshold_are_an_anomaly() -> None:
    assert told(alarm(k=2, n=3), [1, 11, 1, 1, 11, 1, 1]) == []
    assert told(alarm(k=2, n=3), [1, 11, 1, 11]) == [(3, 1, None)]
    assert told(alarm(k=2, n=3), [1, 11, 11]) == [(2, 1, None)]
    assert told(alarm(k=3, n=3), [11, 11, 1, 11, 11]) == []
    assert told(alarm(k=3, n=3), [11, 11, 1, 11, 11, 11])[0] == (5, 0, None)


def test_the_threshold_itself_is_not_above_it() -> None:
    machine = alarm()
    assert told(machine, [10.0] * 50) == []
    assert machine.state is State.NORMAL


def test_fewer_than_k_of_n_are_a_warning_that_goes_by() -> None:
    machine = alarm(k=2, n=3)
    states = []
    for score in [1, 11, 1, 1, 1]:
        machine.update(np.array([score], float))
        states.append(machine.state.value)
    assert states == ["NORMAL", "WARNING", "WARNING", "WARNING", "NORMAL"]
    assert machine.anomaly is None


def test_only_the_score_at_the_end_of_each_block_decides() -> None:
    """Decisions are counted from the first score on."""
    scores = np.array([np.nan] * 3 + [1.0] + [11, 11, 11, 1] * 5)
    assert told(alarm(block=4), scores) == []
    assert told(alarm(block=4), [np.nan] * 3 + [1, 1, 1, 1, 11]) == [(7, 7, None)]


def test_a_sudden_anomaly_starts_where_the_scores_crossed_the_threshold() -> None:
    """Not at the decision, which may come later, nor with an excursion that had gone by when it came."""
    assert told(alarm(block=5), [1, 1, 1, 11, 11, 11]) == [(5, 3, None)]
    assert told(alarm(block=5), [1, 11, 1, 1, 11, 11]) == [(5, 4, None)]
    assert told(alarm(block=5, k=2, n=3), [1, 1, 1, 11, 11, 11, 1, 1, 1, 11, 11]) == [(10, 3, None)]


def test_the_articles_settings_decide_on_every_score() -> None:
    """No block, one of one, no evidence, no time."""
    settings = load_config(preset="toyadmos").alarm
    machine = Alarm(settings, Limits(THRESHOLD, NO_EVIDENCE, USUAL), HOP_S, 1)
    scores = np.array([11.0, 1, 1, 12] + [1.0] * 300)
    release = round(settings.release_s / HOP_S)
    found = machine.update(scores)
    assert [(a.start, a.told, a.end) for a in found] == [(0, 0, 4), (0, 0, 4)]
    assert machine.state is State.NORMAL
    machine.reset()
    begun, _, second = machine.update(np.array([11.0] + [1.0] * release + [12]))
    assert (begun.end, second.start, second.told) == (1, release + 1, release + 1)


@given(
    st.lists(st.sampled_from([1.0, 10.0, 10.5, 13.0, math.nan]), max_size=80),
    st.lists(st.integers(1, 12), min_size=1, max_size=4),
)
@settings(max_examples=80, deadline=None)
def test_with_the_articles_settings_a_score_above_the_threshold_is_an_anomaly_at_once(scores, cuts) -> None:
    settings = load_config(preset="toyadmos", overrides=["alarm.release_s=0"]).alarm
    machine = Alarm(settings, Limits(THRESHOLD, NO_EVIDENCE, USUAL), HOP_S, 1)
    flagged = np.zeros(len(scores), bool)
    for part in pieces(len(scores), cuts):
        machine.update(np.array(scores[part]))
        flagged[part.stop - 1] = machine.state is State.ANOMALY
        high = scores[part.stop - 1] > THRESHOLD
        between = 8 <= scores[part.stop - 1] <= THRESHOLD
        assert flagged[part.stop - 1] == high or between


# Evidence


def test_what_is_a_little_unusual_for_long_becomes_an_anomaly_by_evidence() -> None:
    """Each score of 9.95 adds 3 - 1.5."""
    machine = alarm(limit=10.0)
    assert told(machine, [5.05] * 4 + [9.95] * 7) == [(10, 4, None)]
    assert machine.anomaly is not None
    assert machine.anomaly.cause == "evidence"


def test_evidence_starts_where_it_began_to_grow() -> None:
    """What had grown and was gone again is not part of it; the rows of the window that grew are."""
    assert told(alarm(limit=4.0), [9.95, 5.05, 5.05, 5.05, 9.95, 9.95, 9.95])[0] == (6, 4, None)
    scores = np.repeat([5.05, 5.05, 9.95, 9.95, 9.95], 4)[3:]
    assert told(alarm(limit=4.0, block=2, window=4), scores)[0] == (16, 5, None)


def test_evidence_is_a_warning_from_half_its_limit_on() -> None:
    machine = alarm(limit=6.0)
    states = []
    for score in [9.95] * 5:
        machine.update(np.array([score]))
        states.append((machine.state.value, machine.evidence))
    assert states == [
        ("NORMAL", 0.25), ("NORMAL", 0.5), ("WARNING", 0.75), ("WARNING", 1.0), ("ANOMALY", 1.25)
    ]  # fmt: skip


@given(score=st.floats(0, 1e30), limit=st.floats(1.6, 50), window=st.integers(1, 9), block=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_a_single_loud_moment_is_never_an_anomaly_by_evidence(score, limit, window, block) -> None:
    """However loud, as long as the limit is beyond what one decision can add; k of n did not take it either."""
    machine = alarm(limit=limit, window=window, block=block, k=2, n=2)
    rows = np.full(100, 1.0)
    rows[40 : 40 + block] = score
    assert machine.update(rows) == []


def test_scores_that_share_a_window_count_once_as_evidence() -> None:
    assert evidence_every(200, 50) == 4
    assert evidence_every(201, 50) == 5
    assert evidence_every(1, 50) == 1
    often, rarely = alarm(limit=100.0, block=5), alarm(limit=100.0, block=5, window=20)
    for machine in (often, rarely):
        machine.update(np.full(61, 9.95))
    assert (often.evidence, rarely.evidence) == (pytest.approx(13 * 0.015), pytest.approx(4 * 0.015))


def test_evidence_has_an_end_when_the_sound_is_usual_again() -> None:
    """However long it lasted: it cannot grow far above its limit."""
    machine = alarm(limit=6.0)
    machine.update(np.full(5000, 9.5))
    assert machine.state is State.ANOMALY
    [ended] = machine.update(np.full(10, 5.05))
    assert 5000 <= ended.end <= 5008


def test_with_evidence_off_or_nothing_to_compare_with_only_sudden_anomalies_remain() -> None:
    bundle = small_bundle()
    threshold = bundle.thresholds["score"].value
    scores = np.full(100_000, 0.99 * threshold)
    with_it = Alarm(config.Alarm(), Limits.of(bundle, config.Alarm()), HOP_S, 30)
    assert [a.cause for a in with_it.update(scores)][:1] == ["evidence"]
    off = config.Alarm(evidence=False)
    assert Limits.of(bundle, off).evidence == math.inf
    silent = dataclasses.replace(bundle, normal_scores=bundle.normal_scores[:0])
    none = dataclasses.replace(bundle.thresholds["evidence"], value=0.0)
    without = dataclasses.replace(bundle, thresholds=bundle.thresholds | {"evidence": none})
    for judge, how in ((bundle, off), (silent, config.Alarm()), (without, config.Alarm())):
        machine = Alarm(how, Limits.of(judge, how), HOP_S, 30)
        assert machine.update(scores) == []
        assert (machine.state, machine.evidence) == (State.NORMAL, 0.0)
        assert [a.cause for a in machine.update(np.full(1000, 1.01 * threshold))] == ["sudden"]


def test_a_threshold_set_by_hand_moves_the_limit_of_evidence_in_proportion() -> None:
    bundle = small_bundle()
    threshold, limit = bundle.thresholds["score"].value, bundle.thresholds["evidence"].value
    own = Limits.of(bundle, config.Alarm())
    assert (own.threshold, own.evidence) == (threshold, limit)
    by_hand = Limits.of(bundle, config.Alarm(threshold=threshold * 3))
    assert (by_hand.threshold, by_hand.evidence) == (threshold * 3, pytest.approx(limit * 3))


def test_scaling_moves_the_threshold_and_the_limit_from_the_next_score_on() -> None:
    machine = alarm()
    machine.update(np.full(5, 9.0))
    machine.scale(0.5)
    assert machine.threshold == 5.0
    assert [a.start for a in machine.update(np.full(5, 9.0))] == [5]
    machine = alarm(limit=10.0)
    machine.update(np.full(6, 9.95))
    assert (machine.state, machine.evidence) == (State.WARNING, pytest.approx(0.9))
    machine.scale(10.0)
    assert machine.evidence == pytest.approx(0.09)
    assert told(machine, [9.95] * 2) == []
    machine.scale(0.1)
    assert [a.cause for a in machine.update(np.array([9.95]))] == ["evidence"]


# How it ends


def test_between_release_level_and_threshold_a_state_stays_as_it_is() -> None:
    """Hysteresis: 9 begins nothing, but does not let an anomaly end."""
    assert told(alarm(), [9] * 20) == []
    assert told(alarm(), [11] + [9] * 50) == [(0, 0, None)]
    assert told(alarm(), [11] + [8] * 50) == [(0, 0, None)], "the level itself is not below it"
    assert told(alarm(), [11] + [9] * 50 + [7.9]) == [(0, 0, None), (51, 0, 51)]


def test_below_the_release_level_for_the_release_ends_it_where_it_went_below() -> None:
    assert told(alarm(release=4), [11, 12, 1, 1, 1]) == [(0, 0, None)]
    assert told(alarm(release=4), [11, 12, 1, 1, 1, 1]) == [(0, 0, None), (5, 0, 2)]


def test_a_moment_above_the_release_level_begins_the_release_anew() -> None:
    assert told(alarm(release=4), [11, 1, 1, 1, 9, 1, 1, 1, 1]) == [(0, 0, None), (8, 0, 5)]


def test_an_anomaly_is_held_so_long_after_it_began() -> None:
    assert told(alarm(hold=8), [1, 11] + [1] * 6) == [(1, 1, None)]
    assert told(alarm(hold=8), [1, 11] + [1] * 7) == [(1, 1, None), (8, 1, 2)]


def test_evidence_above_half_its_limit_does_not_let_an_anomaly_end() -> None:
    machine = alarm(limit=6.0, release=1)
    heard = told(machine, [9.95] * 5 + [1.0] * 20)
    # 7.5 at the end, and 1.4 less with each usual score: below half of the limit after four.
    assert heard == [(4, 0, None), (8, 0, 8)]


def test_each_anomaly_is_told_twice_as_the_same_object_and_a_second_one_anew() -> None:
    machine = alarm()
    first, ended, second = machine.update(np.array([11.0, 1, 1, 12]))
    assert first is ended
    assert (first.start, first.end, first.peak) == (0, 1, 11)
    assert (second.start, second.end, second.peak) == (3, None, 12)
    assert machine.anomaly is second


def test_a_fault_that_is_told_in_the_cool_down_is_delayed_and_not_lost() -> None:
    scores = [11, 1] + [1] * 5 + [11] * 30
    assert told(alarm(cool_down=20), scores) == [(0, 0, None), (1, 0, 1), (21, 7, None)]
    short = [11, 1] + [1] * 5 + [11] * 5 + [1] * 30
    assert told(alarm(cool_down=20), short) == [(0, 0, None), (1, 0, 1)]


def test_evidence_that_grew_in_the_cool_down_is_delayed_and_not_lost() -> None:
    machine = alarm(cool_down=20, limit=4.0)
    assert told(machine, [11, 1, 1, 1] + [9.95] * 30)[2:] == [(21, 4, None)]


def test_an_anomaly_that_lasts_is_told_again_and_again() -> None:
    machine = alarm(remind=10)
    assert [row for row, _, _ in told(machine, [11] * 35)] == [0, 10, 20, 30]
    assert machine.anomaly is not None
    assert machine.anomaly.reminders == 3
    assert [row for row, _, _ in told(alarm(remind=10, block=4), [11] * 35)] == [0, 12, 24]


# Warm-up, holes


def test_nothing_is_judged_while_it_warms_up_and_what_lasts_is_told_right_after() -> None:
    assert told(alarm(warm_up=10), [11] * 9 + [1] * 30) == []
    assert told(alarm(warm_up=10), [1] * 5 + [11] * 30) == [(10, 5, None)]
    machine = alarm(warm_up=10)
    machine.update(np.full(10, 11.0))
    assert machine.state is State.LISTENING
    machine.update(np.full(1, 1.0))
    assert machine.state is State.NORMAL


def test_no_evidence_gathers_while_it_warms_up() -> None:
    machine = alarm(warm_up=10, limit=100.0)
    machine.update(np.full(10, 9.95))
    assert machine.evidence == 0
    machine.update(np.full(1, 9.95))
    assert machine.evidence > 0


def test_a_hole_ends_what_lasts_and_everything_begins_anew_behind_it_with_a_run_up() -> None:
    hole = [11, 11, 11, math.nan, math.nan] + [11] * 20
    assert told(alarm(), hole) == [(0, 0, None), (3, 0, 3), (5, 5, None)]
    assert told(alarm(run_up=10), [1] * 10 + hole) == [(10, 10, None), (13, 10, 13), (25, 15, None)]
    long = [1] * 10 + [math.nan] * 30 + [11] * 20
    assert told(alarm(run_up=10), long) == [(50, 40, None)]
    assert told(alarm(window=6), long) == [(45, 40, None)], "a mean across the hole is not judged"
    machine = alarm(k=2, n=2, limit=4.0)
    assert told(machine, [11, math.nan, 11, math.nan, 9.95, math.nan, 9.95, math.nan] * 10) == []


def test_another_stream_begins_at_row_0_without_a_past() -> None:
    for ended in (False, True):
        machine = alarm(k=2, n=3, limit=30.0)
        machine.update(np.array([9.95] * 10 + [11.0, 11, 11, 1]))
        if ended:
            machine.finish()
        machine.reset()
        assert (machine.state, machine.anomaly, machine.evidence) == (State.LISTENING, None, 0.0)
        assert told(machine, [1.0, 11, 11, 11]) == [(2, 1, None)]


def test_the_end_of_the_stream_ends_what_lasts_and_nothing_else() -> None:
    machine = alarm(k=2, n=2, release=4)
    machine.update(np.array([1.0, 11, 11, 15, 11, 1]))
    lasting = machine.finish()
    assert lasting is not None
    assert (lasting.start, lasting.end, lasting.peak, lasting.mean) == (1, 6, 15, pytest.approx(49 / 5))
    assert machine.anomaly is None
    assert machine.finish() is None
    for scores in ([1.0], [1.0, 11], [np.nan], [11.0] * 3 + [1] * 4):
        machine.reset()
        machine.update(np.array(scores))
        assert machine.finish() is None


def test_after_the_end_the_last_state_can_still_be_seen() -> None:
    machine = alarm()
    machine.update(np.array([1.0, 11]))
    machine.finish()
    assert machine.state is State.ANOMALY


# What is said of an anomaly


@pytest.mark.parametrize("cuts", [[30], [1], [6, 1]])
@pytest.mark.parametrize("block", [1, 4])
def test_peak_mean_and_profile_are_those_from_the_start_to_the_end(cuts: list[int], block: int) -> None:
    """With the scores between crossing and decision, and without the first one that is normal again."""
    scores = np.array([1.0, 1, 12, 14, 12, 17, 14, 13, 12, 19, 7, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    rolling = np.arange(40.0).reshape(20, 2)
    machine, found = alarm(block=block, release=2), []
    for part in pieces(len(scores), cuts):
        found += machine.update(scores[part], rolling[part].__getitem__)
    first, last = found[0], found[-1]
    assert first is last
    assert (last.start, last.end) == (2, 10 if block == 1 else 12)
    assert last.peak == 19
    assert last.mean == pytest.approx(scores[2 : last.end].mean())
    decided = [row for row in range(0, 20, block) if 2 <= row < last.end]
    np.testing.assert_allclose(last.mean_profile, rolling[decided].mean(axis=0))


def test_a_moment_below_the_release_level_is_part_of_the_anomaly() -> None:
    scores = np.array([1.0, 12, 14, 12, 2, 3, 14, 2, 2, 2, 2])
    machine, found = alarm(release=4), []
    for part in pieces(len(scores), [5, 2]):
        found += machine.update(scores[part], scores[part, None].__getitem__)
    assert (found[-1].start, found[-1].end) == (1, 7)
    assert found[-1].mean == pytest.approx(scores[1:7].mean())
    assert found[-1].mean_profile[0] == pytest.approx(scores[1:7].mean())


def test_the_mean_so_far_is_that_of_all_scores_since_the_start() -> None:
    machine = alarm()
    machine.update(np.array([1.0, 12, 14, 12]))
    machine.update(np.array([20.0, 9]))
    assert machine.anomaly is not None
    assert machine.anomaly.mean == pytest.approx((12 + 14 + 12 + 20 + 9) / 5)
    assert Anomaly(0, "sudden").mean == 0


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
    limit=st.sampled_from([NO_EVIDENCE, 2.0, 4.0, 7.0]),
    window=st.integers(1, 9),
)  # fmt: skip
def test_it_says_the_same_as_a_plain_machine_in_any_portions(
    rows, late, cuts, times, n, k, ratio, limit, window
) -> None:
    scores = np.array([math.nan] * late + [score for score, times in rows for _ in range(times)])
    rolling = np.stack((np.arange(len(scores), dtype=float), scores), axis=1)
    options = times | {"n": n, "k": min(k, n), "ratio": ratio}
    plain = Plain(options, limit, window, USUAL)
    for score, profile in zip(scores, rolling, strict=True):
        plain.row(float(score), profile)
    machine = alarm(**options, limit=limit, window=window)
    seen: list[Anomaly] = []
    ended = 0
    for part in pieces(len(scores), cuts):
        for anomaly in machine.update(scores[part], rolling[part].__getitem__):
            if not any(anomaly is other for other in seen):
                seen.append(anomaly)
            ended += anomaly.end is not None
        assert machine.state == plain.states[part.stop - 1]
        lasts = plain.states[part.stop - 1] == "ANOMALY"
        assert (machine.anomaly is not None) == lasts
    begun = [event for event in plain.events if event[0] == "begin"]
    assert [(a.told, a.cause, a.start) for a in seen] == [(row, cause, at) for _, row, cause, at, *_ in begun]
    assert sum(a.reminders for a in seen) == sum(event[0] == "remind" for event in plain.events)
    ends = [event[1:] for event in plain.events if event[0] == "end"]
    if lasting := machine.finish():
        assert lasting is seen[-1]
        ends.append((len(scores), *plain.facts(len(scores))))
    assert len(ends) == len(seen)
    for anomaly, (end, _, start, peak, mean, profile) in zip(seen, ends, strict=True):
        assert (anomaly.end, anomaly.start, anomaly.peak) == (end, start, peak)
        assert anomaly.mean == pytest.approx(mean)
        assert anomaly.mean_profile == pytest.approx(profile)


def test_times_are_rounded_to_rows_and_a_decision_takes_one_at_least() -> None:
    assert [decision_rows(config.Alarm(block_s=s), 0.01) for s in (0, 0.001, 0.5, 0.514)] == [1, 1, 50, 51]
