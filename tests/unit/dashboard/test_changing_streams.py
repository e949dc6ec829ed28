"""Streams that are added and removed while they are shown: each key acts on the stream that the user sees."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.core.snapshot import Snapshot
from monitor.dashboard.day_totals import DayTotals
from monitor.dashboard.keyboard import DOWN, ENTER
from monitor.dashboard.plain_log import PlainLogs
from monitor.dashboard.render.view import View
from monitor.dashboard.viewer import Viewer
from support.snapshots import RecordedControls, countdown, snapshot, terminal


def streams(*names: str) -> tuple[Snapshot, ...]:
    return tuple(snapshot(stream=name) for name in names)


def keys_pressed(*steps: tuple[str, Sequence[Snapshot]]) -> tuple[str, RecordedControls]:
    """Presses the keys of each step while these streams are there; what the terminal shows then, and the controls."""
    out, controls = io.StringIO(), RecordedControls()
    left = list(steps)
    shown = list(left[0][1])

    def wait(seconds: float) -> str:
        if not left:
            time.sleep(seconds)
            return ""
        keys, shown[:] = left.pop(0)
        out.seek(0)
        out.truncate()
        return keys

    viewer = Viewer(lambda: shown, controls, countdown(len(steps) + 2), terminal(out, 100, 30), View(), Path())
    if failure := viewer.run(wait, 20.0):
        raise failure
    return out.getvalue(), controls


THREE = streams("press", "fan", "saw")


@pytest.mark.parametrize(
    "after",
    [streams("belt", "press", "fan", "saw"), streams("saw", "fan"), streams("fan", "press"), streams("fan")],
)
@pytest.mark.parametrize("keys", [DOWN + DOWN, DOWN + DOWN + ENTER])
def test_the_chosen_stream_stays_chosen_wherever_it_stands(keys: str, after: Sequence[Snapshot]) -> None:
    _, controls = keys_pressed((keys, THREE), ("\x0c", after), ("+", after))
    assert [name for _, name in controls.scaled] == ["fan"]


def test_a_key_that_is_pressed_as_streams_change_acts_on_the_stream_that_was_shown() -> None:
    _, controls = keys_pressed((DOWN + DOWN, THREE), ("+", streams("saw", "fan")))
    assert [name for _, name in controls.scaled] == ["fan"]


def test_if_the_stream_shown_is_removed_the_table_is_shown_again() -> None:
    shown, controls = keys_pressed(
        (DOWN + ENTER, THREE), ("\x0c", streams("fan", "saw")), ("\x0c", streams("fan", "saw"))
    )
    assert "fan" in shown
    assert "saw" in shown
    assert "press" not in shown
    assert not controls.scaled


def test_a_paused_screen_stays_and_its_keys_reach_only_streams_that_are_there_still() -> None:
    gone, left = streams("fan"), streams("saw", "press")
    shown, controls = keys_pressed((DOWN + " ", THREE), ("\x0c", gone), ("+", gone), ("a", gone), ("\x0c", gone))
    assert "press" in shown
    assert not controls.scaled, "press is not there any more"
    _, controls = keys_pressed((DOWN + " ", THREE), ("+", left), (" s", left), ("+", left))
    assert {name for _, name in controls.scaled} == {"press"}


def test_totals_of_the_day_follow_the_names_and_a_stream_that_begins_anew_loses_none() -> None:
    totals, noon = DayTotals(), 1_700_000_000.0
    press = replace(snapshot(stream="press"), anomalies=3, lost_s=8.0)
    fan = replace(snapshot(stream="fan"), anomalies=1, lost_s=0.0)
    assert totals.update((press, fan), noon) == ((3, 8.0), (1, 0.0))
    again = replace(press, anomalies=0, lost_s=0.0)
    assert totals.update((fan, again), noon) == ((1, 0.0), (3, 8.0))
    assert totals.update((replace(again, anomalies=2, lost_s=1.0),), noon) == ((5, 9.0),)


def test_a_log_of_one_stream_goes_on_when_a_second_one_is_added_and_repeats_nothing() -> None:
    lines: list[str] = []
    logs = PlainLogs(lambda text, _: lines.append(text))
    press, fan = streams("press", "fan")
    logs.update((press,))
    alone = len(lines)
    logs.update((press, fan))
    later = lines[alone:]
    assert [line for line in later if line.startswith("press: ")] == []
    assert any(line.startswith("fan: listening to") for line in later)
    logs.update((fan,))
    logs.update((fan, press))
    assert [line.split(":")[0] for line in lines if "listening to" in line][1:] == ["fan", "press"], "it was away"


@pytest.mark.parametrize("others", [(), streams("fan")])
def test_a_log_goes_on_at_once_where_a_stream_begins_anew_after_a_long_time(others: tuple[Snapshot, ...]) -> None:
    lines: list[str] = []
    logs = PlainLogs(lambda text, _: lines.append(text))
    logs.update((snapshot(stream="press", uptime_s=1e6), *others))
    before = len(lines)
    for uptime_s in (0.0, 5.0, 10.0, 20.0):
        logs.update((snapshot(stream="press", uptime_s=uptime_s), *(replace(one, uptime_s=uptime_s) for one in others)))
    later = lines[before:]
    assert sum("listening to" in line for line in later) >= 1
    summary = "2 streams: " if others else "NORMAL  score"
    assert sum(line.startswith(summary) for line in later) >= 2
