"""A monitor counts as working as long as it scores, not as long as its process lives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.core.events import State
from monitor.service.status_progress import ScoringProgress
from support.clock import Clock
from support.outputs import score_rows
from support.snapshots import stream


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def progress(clock: Clock) -> ScoringProgress:
    return ScoringProgress(clock.monotonic)


ROWS = replace(score_rows(), stream="press")


def test_a_stream_that_is_scored_makes_progress(clock: Clock, progress: ScoringProgress) -> None:
    for _ in range(100):
        progress.snapshot(stream("press"))
        progress.scores(ROWS)
        clock.sleep(1.0)
        assert progress.stall(10.0) == ""
    assert progress.scored_s_ago("press") == pytest.approx(1.0)


def test_sound_that_is_published_but_not_scored_is_a_stall(clock: Clock, progress: ScoringProgress) -> None:
    for _ in range(12):
        progress.snapshot(stream("press"))
        progress.snapshot(stream("fan"))
        progress.scores(replace(ROWS, stream="fan"))
        clock.sleep(1.0)
    assert "press" in progress.stall(10.0)
    assert progress.stalled("press", 10.0)
    assert not progress.stalled("fan", 10.0)


def test_an_engine_that_publishes_nothing_is_a_stall_whatever_the_state(
    clock: Clock, progress: ScoringProgress
) -> None:
    progress.snapshot(stream("press", State.LOST))
    clock.sleep(11.0)
    assert "the engine has not reported for 11 s" in progress.stall(10.0)


@pytest.mark.parametrize("state", [State.LOST, State.NO_SIGNAL, State.OFF, State.OVERLOADED])
def test_where_nothing_can_be_scored_nothing_stalls(clock: Clock, progress: ScoringProgress, state: State) -> None:
    for _ in range(100):
        progress.snapshot(stream("press", state))
        clock.sleep(1.0)
    assert progress.stall(10.0) == ""


def test_when_sound_comes_back_there_is_time_for_the_first_score(clock: Clock, progress: ScoringProgress) -> None:
    progress.snapshot(stream("press", State.LOST))
    clock.sleep(100.0)
    progress.snapshot(stream("press", State.LOST))
    progress.snapshot(stream("press", State.LISTENING))
    clock.sleep(9.0)
    progress.snapshot(stream("press", State.LISTENING))
    assert progress.stall(10.0) == ""
    clock.sleep(2.0)
    progress.snapshot(stream("press", State.LISTENING))
    assert "press" in progress.stall(10.0)


def test_a_stream_that_has_ended_stalls_nothing_and_may_begin_anew(clock: Clock, progress: ScoringProgress) -> None:
    progress.snapshot(stream("press", finished=True))
    clock.sleep(100.0)
    assert progress.stall(10.0) == ""
    progress.snapshot(stream("press", State.LISTENING))
    assert progress.stall(10.0) == ""
    clock.sleep(5.0)
    progress.snapshot(stream("press"))
    assert progress.stall(10.0) == ""
