"""A recording over days has pieces from every part of them, and makes up for what was missed."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import ConfigError, DataError
from monitor.sources.recording_plan import PLAN, RecordingPlan, Run

T = 1_795_000_000.0
DAY_S = 86_400.0


def carried_out(plan: RecordingPlan, *, now: float = T, away: tuple[float, float] = (0.0, 0.0), seed: int = 1,
                step_back: tuple[float, float] = (0.0, 0.0)) -> list[Run]:  # fmt: skip
    """The runs of a plan, if all goes well but for a time in which the computer is off or its clock is set back."""
    chance, runs = random.Random(seed), []
    while not plan.complete:
        run = plan.next_run(now, chance)
        if away[0] <= run.at < away[1]:
            now = away[1]
            continue
        if step_back[1] and run.at > step_back[0]:
            now, step_back = run.at - step_back[1], (0.0, 0.0)
            continue
        runs.append(run)
        plan.done += run.pieces
        now = run.at + run.pieces * plan.piece_s
    return runs


@given(st.integers(1, 200), st.floats(2.0, 500.0), st.integers(0, 999))
def test_each_part_of_the_period_has_its_piece_and_none_overlap(pieces: int, distance_s: float, seed: int) -> None:
    over_s = pieces * max(20.0, distance_s)
    runs = carried_out(RecordingPlan.new(pieces, over_s, 10.0, T), seed=seed)
    assert [run.pieces for run in runs] == [1] * pieces
    slot_s = over_s / pieces
    for number, run in enumerate(runs):
        assert T + number * slot_s - 1 <= run.at <= T + (number + 1) * slot_s - 10 + 1
    assert all(later.at - earlier.at >= 10 - 1e-6 for earlier, later in itertools.pairwise(runs))


def test_the_times_of_day_are_random() -> None:
    runs = carried_out(RecordingPlan.new(720, 3 * DAY_S, 10.0, T))
    within = np.array([(run.at - T) % 360 for run in runs])
    assert within.std() > 60
    assert [run.at for run in runs] != [
        run.at for run in carried_out(RecordingPlan.new(720, 3 * DAY_S, 10.0, T), seed=2)
    ]


def test_what_is_missed_while_the_computer_is_off_is_spread_over_the_time_that_remains() -> None:
    plan = RecordingPlan.new(720, 3 * DAY_S, 10.0, T)
    times = np.array([run.at for run in carried_out(plan, away=(T + DAY_S, T + 2 * DAY_S))]) - T
    assert len(times) == 720
    assert times.max() < 3 * DAY_S
    assert not ((times > DAY_S) & (times < 2 * DAY_S)).any()
    by_quarter = np.histogram(times, np.linspace(2 * DAY_S, 3 * DAY_S, 5))[0]
    assert by_quarter.min() >= 110  # not one stretch after the restart


def test_if_too_little_time_remains_the_period_is_extended_and_not_filled_in_one_stretch() -> None:
    plan = RecordingPlan.new(720, 3 * DAY_S, 10.0, T)
    times = np.array([run.at for run in carried_out(plan, away=(T + DAY_S, T + 4 * DAY_S))]) - T
    assert len(times) == 720
    assert np.diff(times[times > 4 * DAY_S]).mean() == pytest.approx(360, rel=0.1)
    assert plan.until == pytest.approx(T + 6 * DAY_S, rel=1e-3)


@pytest.mark.parametrize("back_s", [60.0, 3600.0, 20 * 365 * DAY_S], ids=["a minute", "an hour", "to the beginning"])
def test_a_clock_that_is_set_back_delays_nothing_for_long(back_s: float) -> None:
    plan = RecordingPlan.new(100, DAY_S, 10.0, T)
    runs = carried_out(plan, step_back=(T + DAY_S / 2, back_s))
    assert len(runs) == 100
    waits = np.diff([run.at for run in runs])
    assert waits[waits > 0].max() < 3 * DAY_S / 100


def test_hardly_longer_than_the_minutes_pieces_are_recorded_in_runs_so_that_there_is_time_to_open_the_microphone() -> (
    None
):
    runs = carried_out(RecordingPlan.new(60, 660.0, 10.0, T))
    assert sum(run.pieces for run in runs) == 60
    assert {run.pieces for run in runs[:-1]} == {5}
    assert runs[-1].at + 10 * runs[-1].pieces <= T + 660
    [all_at_once] = carried_out(RecordingPlan.new(60, 600.0, 10.0, T))
    assert all_at_once.pieces == 60


def test_a_plan_is_read_as_it_was_written_and_another_command_is_refused(tmp_path: Path) -> None:
    assert RecordingPlan.load(tmp_path) is None
    plan = RecordingPlan.new(720, 3 * DAY_S, 10.0, T)
    plan.done = 34
    plan.save(tmp_path)
    assert RecordingPlan.load(tmp_path) == plan
    plan.require_same(tmp_path, 720, 3 * DAY_S)
    with pytest.raises(ConfigError, match=r"120 minutes over 72 hours is in this folder already \(34 of 720 pieces\)"):
        plan.require_same(tmp_path, 720, 4 * DAY_S)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pieces": 3}', '{"pieces":3,"over_s":"x","piece_s":1,'
                         '"began":0,"until":0,"planned_until":0,"done":0}', "[" * 100_000,
                         '{"pieces":3.5,"over_s":9,"piece_s":1,"began":0,"until":0,"planned_until":0,"done":0}',
                         ])  # fmt: skip
def test_a_damaged_plan_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / PLAN).write_text(content)
    with pytest.raises(DataError, match=r"recording-plan\.json: is damaged: delete it"):
        RecordingPlan.load(tmp_path)
