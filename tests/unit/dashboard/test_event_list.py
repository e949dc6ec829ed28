"""The list of events: newest first, readable at every width."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from monitor.core.events import Event, State
from monitor.dashboard.layout import Screen
from monitor.dashboard.render.formatting import long_since
from monitor.dashboard.render.theme import COLOUR
from monitor.dashboard.render.view import View
from support.snapshots import ONGOING, START, drawn, snapshot


def test_the_newest_event_comes_first_and_an_ongoing_one_says_so() -> None:
    rows = [row[50:] for row in drawn(snapshot(State.ANOMALY))]
    first = next(i for i, row in enumerate(rows) if "Events" in row) + 1
    assert "ongoing" in rows[first]
    assert rows[first].endswith(" 355 %")
    assert rows[first + 1].split() == ["sudden:", "2.1-2.8", "kHz", "new"]
    assert "no sound" in rows[first + 2]
    assert "12.3 s" in rows[first + 3]
    assert not any("ongoing" in row for row in rows[first + 1 :])


@pytest.mark.parametrize(("width", "height"), [(120, 36), (160, 48), (200, 60), (60, 40)])
def test_the_highest_score_of_an_anomaly_is_a_share_of_its_limit(width: int, height: int) -> None:
    (row,) = [row for row in drawn(snapshot(State.ANOMALY), width, height) if "ongoing" in row]
    assert row.rstrip().endswith("355 % of limit")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (120, 36), (160, 48), (60, 40)])
@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Event("gap", 10.0, 10.4, START, "mic", lost_samples=6400), ("0.4 s", "not heard")),
        (Event("lost", 10.0, 45.0, START, "mic"), ("35 s", "no sound")),
        (Event("no signal", 10.0, None, START, "mic"), ("ongoing", "no signal")),
        (Event("off", 10.0, None, START, "mic"), ("ongoing", "off")),
        (Event("new mode", 10.0, 45.0, START, "mic"), ("35 s", "new mode")),
        (Event("drift", 10.0, 10.0, START, "mic", peak=0.31), ("adapted", "31 %")),
        (replace(ONGOING, end_s=495.0, peak=1e9), ("3 s", ">9,999 %")),
    ],
)
def test_every_kind_of_event_is_named_and_measured(
    width: int, height: int, event: Event, words: tuple[str, str]
) -> None:
    rows = drawn(snapshot(events=(event,)), width, height)
    first = next(i for i, row in enumerate(rows) if "─ Events ─" in row) + 1
    row = rows[first][rows[first - 1].index("─ Events") :]
    assert all(word in row for word in words), row
    assert "0.00 s" not in row


def test_an_anomaly_that_goes_on_says_for_how_long_after_a_reminder() -> None:
    reminded = replace(ONGOING, start_s=492.0 - 3700.0, reminders=1)
    assert "for 1h" in "\n".join(drawn(snapshot(State.ANOMALY, events=(reminded,))))
    assert [long_since(s) for s in (math.nan, 59, 2400, 3700, 90_000, 400_000)] == [
        "0m", "0m", "40m", "1h", "25h", "4d",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "kind", "reason"),
    [
        (State.OFF, "off", "too quiet to be running"),
        (State.NEW_MODE, "new mode", "runs in a way that was not heard in training"),
    ],
)
def test_a_machine_that_is_not_judged_is_an_event_and_no_alarm(state: State, kind: str, reason: str) -> None:
    event = Event(kind, 400.0, None, START, "mic")
    lines = Screen(snapshot(state, events=(event,)), View(now=START)).lines(120, 36, COLOUR)
    (row,) = [line for line in lines if any(part.text.strip() == kind for part in line)]
    assert not any(part.style == COLOUR.alert for part in row)
    text = "\n".join("".join(part.text for part in line) for line in lines)
    assert reason in text
    assert "ongoing" in text


def test_an_event_of_another_day_has_its_weekday() -> None:
    yesterday = replace(ONGOING, wall_time=START - 86_400.0)
    (row,) = [row for row in drawn(snapshot(State.ANOMALY, events=(yesterday,))) if "ongoing" in row]
    assert any(day in row for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))
