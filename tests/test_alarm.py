"""The alarm says the same as a plain machine that looks at one score after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from builders import pieces
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import config
from monitor.alarm import Alarm, Anomaly
from monitor.snapshot import State

HOP_S = 0.01
THRESHOLD = 10.0


def alarm(persistence: int = 3, release: int = 4, ratio: float = 0.8) -> Alarm:
    """An alarm with times given in rows."""
    settings = config.Alarm(persistence_s=persistence * HOP_S, release_s=release * HOP_S, release_ratio=ratio)
    return Alarm(settings, THRESHOLD, HOP_S)


def heard(scores: list[float], cuts: list[int] | None = None, **options: float) -> tuple[list[tuple], State, Alarm]:
    """What is told of these scores, as (row after which it was known, start, end, peak); the state; the alarm.

    With `cuts` the row is that of the end of the piece.
    """
    machine = alarm(**options)  # type: ignore[arg-type]
    told = []
    for part in pieces(len(scores), cuts or [1]):
        for anomaly in machine.update(np.array(scores[part])):
            told.append((part.stop, anomaly.start, anomaly.end))
    return told, machine.state, machine


@dataclass
class Plain:
    """The reference: one row at a time, in the words of the specification."""

    persistence: int
    release: int
    ratio: float
    state: str = "LISTENING"
    states: list[str] = field(default_factory=list)
    events: list[tuple[str, int, float]] = field(default_factory=list)  # what, at which row, peak
    start: int = 0
    above: int = 0
    below: int = 0
    peak: float = -np.inf

    def row(self, number: int, score: float) -> None:
        level = self.ratio * THRESHOLD
        if self.state == "LISTENING" and not np.isnan(score):
            self.state = "NORMAL"
        if self.state == "NORMAL" and score > THRESHOLD:
            self.state, self.start, self.above, self.peak = "WARNING", number, 0, -np.inf
            if self.persistence == 0:
                self.begin()
        if self.state == "WARNING":
            if score < level:
                self.state = "NORMAL"
            else:
                self.above += 1
                self.peak = max(self.peak, score)
                if self.above == self.persistence:
                    self.begin()
        elif self.state == "ANOMALY":
            self.peak = max(self.peak, score)
            self.below = self.below + 1 if score < level else 0
            if self.below == self.release:
                self.events.append(("end", number + 1 - self.release, self.peak))
                self.state = "NORMAL"
        self.states.append(self.state)

    def begin(self) -> None:
        self.state, self.below = "ANOMALY", 0
        self.events.append(("begin", self.start, np.nan))


# In words


def test_before_the_first_score_it_listens_then_all_is_normal() -> None:
    machine = alarm()
    assert machine.state is State.LISTENING
    assert machine.update(np.full(7, np.nan)) == []
    assert machine.state is State.LISTENING
    machine.update(np.array([np.nan, 1.0]))
    assert machine.state is State.NORMAL
    machine.update(np.empty(0))
    assert machine.state is State.NORMAL


def test_a_first_score_above_the_threshold_is_a_warning_at_once() -> None:
    told, state, machine = heard([np.nan, np.nan, 11.0])
    assert (told, state) == ([], State.WARNING)
    assert machine.anomaly is not None
    assert machine.anomaly.start == 2


def test_the_threshold_itself_is_not_above_it() -> None:
    assert heard([10.0] * 50)[:2] == ([], State.NORMAL)


def test_above_the_threshold_for_the_persistence_begins_an_anomaly() -> None:
    assert heard([1, 1, 11, 11])[:2] == ([], State.WARNING)
    assert heard([1, 1, 11, 11, 11])[:2] == ([(5, 2, None)], State.ANOMALY)


def test_a_warning_that_goes_below_the_release_level_was_nothing() -> None:
    told, state, machine = heard([1, 11, 11, 7.9, 11, 11, 7.9])
    assert (told, state, machine.anomaly) == ([], State.NORMAL, None)


def test_between_release_level_and_threshold_a_state_stays_as_it_is() -> None:
    """Hysteresis: 9 begins nothing, but lets neither a warning nor an anomaly end."""
    assert heard([9] * 20)[:2] == ([], State.NORMAL)
    assert heard([11, 9, 9])[:2] == ([(3, 0, None)], State.ANOMALY)
    assert heard([11, 11, 11] + [9] * 50)[:2] == ([(3, 0, None)], State.ANOMALY)
    assert heard([11, 11, 11] + [8] * 50)[1] is State.ANOMALY, "the level itself is not below it"


def test_below_the_release_level_for_the_release_ends_it_where_it_went_below() -> None:
    scores = [11, 12, 11, 11, 1, 1, 1]
    assert heard(scores)[:2] == ([(3, 0, None)], State.ANOMALY)
    assert heard([*scores, 1])[:2] == ([(3, 0, None), (8, 0, 4)], State.NORMAL)


def test_a_moment_above_the_release_level_begins_the_release_anew() -> None:
    told, state, _ = heard([11, 11, 11, 1, 1, 1, 9, 1, 1, 1, 1])
    assert (told, state) == ([(3, 0, None), (11, 0, 7)], State.NORMAL)


def test_a_second_anomaly_has_its_own_release() -> None:
    """Nothing is left of the first one's."""
    once = [11.0, 11, 11, 1, 1, 1, 1]
    told, state, _ = heard(once + once)
    assert told == [(3, 0, None), (7, 0, 3), (10, 7, None), (14, 7, 10)]
    assert heard(once + once[:6])[1] is State.ANOMALY
    assert state is State.NORMAL


def test_each_anomaly_is_told_twice_as_the_same_object_and_a_second_one_anew() -> None:
    machine = alarm(persistence=1, release=1)
    first, ended, second = machine.update(np.array([11.0, 1, 1, 12]))
    assert first is ended
    assert (first.start, first.end, first.peak) == (0, 1, 11)
    assert (second.start, second.end, second.peak) == (3, None, 12)
    assert machine.anomaly is second


def test_with_no_persistence_one_row_is_enough() -> None:
    assert heard([1, 11], persistence=0)[:2] == ([(2, 1, None)], State.ANOMALY)
    assert heard([1, 11, 1], persistence=0, release=1)[:2] == ([(2, 1, None), (3, 1, 2)], State.NORMAL)


def test_with_no_release_it_ends_with_the_first_row_below() -> None:
    assert heard([11, 11, 11, 1], release=0)[:2] == ([(3, 0, None), (4, 0, 3)], State.NORMAL)


def test_the_end_of_the_stream_ends_what_lasts_and_nothing_else() -> None:
    machine = alarm()
    machine.update(np.array([1.0, 11, 11, 11, 15, 11]))
    lasting = machine.finish()
    assert lasting is not None
    assert (lasting.start, lasting.end, lasting.peak) == (1, 6, 15)
    for scores in ([1.0], [1.0, 11], [np.nan], [11.0] * 3 + [1] * 4):
        machine.reset()
        machine.update(np.array(scores))
        assert machine.finish() is None


def test_after_the_end_the_last_state_can_still_be_seen_and_nothing_lasts() -> None:
    machine = alarm()
    machine.update(np.array([1.0, 11, 11, 11]))
    machine.finish()
    assert (machine.state, machine.anomaly) == (State.ANOMALY, None)
    assert machine.finish() is None


def test_another_stream_begins_at_row_0_without_a_past() -> None:
    for ended in (False, True):
        machine = alarm()
        machine.update(np.array([11.0, 11, 11, 1, 1, 1]))
        if ended:
            machine.finish()
        machine.reset()
        assert (machine.state, machine.anomaly) == (State.LISTENING, None)
        [begun] = machine.update(np.array([1.0, 11, 11, 11, 1, 1, 1]))
        assert (begun.start, begun.end) == (1, None)


def test_a_threshold_that_is_changed_counts_from_the_next_row_on() -> None:
    machine = alarm()
    machine.update(np.full(5, 9.0))
    machine.threshold = 5.0
    assert [a.start for a in machine.update(np.full(5, 9.0))] == [5]


def test_the_peak_is_the_highest_score_of_the_anomaly_with_its_warning() -> None:
    machine = alarm()
    for portion in ([11.0, 14, 11], [12, 11], [1, 1, 1, 1]):
        machine.update(np.array(portion))
    last = alarm()
    [begun, ended] = last.update(np.array([11.0, 14, 11, 12, 11, 1, 1, 1, 1, 99.0]))
    assert begun.peak == ended.peak == 14


def test_the_mean_is_that_of_the_scores_from_start_to_end() -> None:
    for cuts in ([20], [1], [6, 1]):
        machine, told = alarm(), []
        scores = np.array([1.0, 12, 14, 12, 14, 2, 2, 2, 2, 1])
        for part in pieces(len(scores), cuts):
            told += machine.update(scores[part])
        assert told[-1].end == 5
        assert told[-1].mean == pytest.approx(scores[1:5].mean())


def test_a_moment_below_the_release_level_is_part_of_the_mean() -> None:
    scores = np.array([1.0, 12, 14, 12, 2, 3, 14, 2, 2, 2, 2])
    for cuts in ([20], [1], [5, 2]):
        machine, told = alarm(), []
        for part in pieces(len(scores), cuts):
            told += machine.update(scores[part])
        assert (told[-1].start, told[-1].end) == (1, 7)
        assert told[-1].mean == pytest.approx(scores[1:7].mean())


def test_the_mean_so_far_is_that_of_all_scores_since_the_start() -> None:
    machine = alarm()
    machine.update(np.array([1.0, 12, 14, 12]))
    machine.update(np.array([20.0, 9]))
    assert machine.anomaly is not None
    assert machine.anomaly.mean == pytest.approx((12 + 14 + 12 + 20 + 9) / 5)
    assert Anomaly(0).mean == 0


# Against the reference


@settings(max_examples=250, deadline=None)
@given(
    warm_up=st.integers(0, 6),
    scores=st.lists(st.sampled_from([1.0, 7.9, 8.0, 9.0, 10.0, 10.5, 13.0]), max_size=60),
    stretch=st.integers(1, 4),
    cuts=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    persistence=st.integers(0, 6),
    release=st.integers(0, 6),
    ratio=st.sampled_from([0.8, 1.0]),
)
def test_it_says_the_same_as_a_plain_machine_in_any_portions(
    warm_up, scores, stretch, cuts, persistence, release, ratio
) -> None:
    rows = np.array([np.nan] * warm_up + list(np.repeat(scores, stretch)))
    plain = Plain(persistence, max(1, release), ratio)
    for number, score in enumerate(rows):
        plain.row(number, score)
    machine = alarm(persistence, release, ratio)
    events: list[tuple[str, int]] = []
    for part in pieces(len(rows), cuts):
        for anomaly in machine.update(rows[part]):
            known = [kind for kind, at in events if at == anomaly.start and kind == "begin"]
            if not known:
                events.append(("begin", anomaly.start))
            else:
                assert anomaly.end is not None
                events.append(("end", anomaly.end))
                assert anomaly.peak == next(p for kind, at, p in plain.events if (kind, at) == ("end", anomaly.end))
        # Also the state is right after every portion.
        assert machine.state == plain.states[part.stop - 1]
    assert events == [(kind, at) for kind, at, _ in plain.events]
    lasting = machine.finish()
    assert (lasting is not None) == (plain.state == "ANOMALY")
    if lasting is not None:
        assert (lasting.start, lasting.end, lasting.peak) == (plain.start, len(rows), plain.peak)
