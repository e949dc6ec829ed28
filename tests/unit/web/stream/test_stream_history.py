"""The history of a stream: beside the time before, with gaps as gaps."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pytest

from monitor.store.database import Store
from monitor.store.records import MinuteValues
from monitor.web.stream.stream_charts import chart_values, state_strip
from monitor.web.stream.stream_facts import ModelChange
from monitor.web.stream.stream_history import RANGES, clock_changes, earlier_times, read_history, summary
from support.stored import fill, minute_values, stored_event

HOUR, DAY, MONTH = RANGES


pytestmark = pytest.mark.usefixtures("berlin")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")


def local(*moment: int) -> float:
    return datetime.datetime(*moment).timestamp()  # type: ignore[arg-type]


def by_the_clock(until: float, days: float, step_s: float = 60.0) -> MinuteValues:
    """Minutes whose share of the limit is the local hour of the day in hundredths."""
    values = minute_values(days, step_s, until=until)
    for state in values.seconds.values():
        state[:] = 0.0
    values.seconds["normal"][:] = step_s
    hours = np.array([datetime.datetime.fromtimestamp(one).hour for one in values.time])
    values.share_mean[:] = values.share_max[:] = hours / 100
    return values


@pytest.mark.parametrize("day", [(2026, 10, 28), (2026, 4, 1), (2026, 6, 10)])
def test_last_week_is_the_same_time_of_day_also_when_the_clock_was_changed_in_between(
    store: Store, day: tuple[int, int, int]
) -> None:
    now = local(*day, 15, 30)
    fill(store, {"pump": by_the_clock(now, 9)})
    found = read_history(store, 1, DAY, now)
    known = np.isfinite(found.series["share"].mean) & np.isfinite(found.before["share"].mean)
    assert known.mean() > 0.98
    np.testing.assert_allclose(found.series["share"].mean[known], found.before["share"].mean[known])


def test_a_time_that_the_clock_left_out_has_no_time_before() -> None:
    half_past_two = local(2026, 4, 5, 2, 30)  # a week earlier the clock went from 2:00 to 3:00
    found = earlier_times(np.array([half_past_two, half_past_two + 3600, half_past_two - 3600]), 7)
    assert np.isnan(found[0])
    assert found[1:].tolist() == [local(2026, 3, 29, 3, 30), local(2026, 3, 29, 1, 30)]


def test_what_was_not_heard_or_not_stored_stays_a_gap(store: Store) -> None:
    now = local(2026, 6, 10, 15, 30)
    values = by_the_clock(now, 0.5)
    silent, missing = slice(-30, -20), slice(-50, -40)
    values.share_mean[silent] = values.share_max[silent] = np.nan
    values.seconds["normal"][silent], values.seconds["not_heard"][silent] = 0.0, 60.0
    kept = np.ones(len(values.time), bool)
    kept[missing] = False
    cut = {name: getattr(values, name)[kept] for name in MinuteValues.__slots__ if name not in ("step_s", "seconds")}
    seconds = {state: one[kept] for state, one in values.seconds.items()}
    fill(store, {"pump": MinuteValues(60.0, seconds=seconds, **cut)})
    found = read_history(store, 1, HOUR, now)
    shown = chart_values(found, "share", limit=1.0, compare=True)
    times = dict(zip(shown["time"], shown["mean"], strict=True))
    assert len(times) == 60
    assert all(times[at] is None for at in values.time[silent].tolist() + values.time[missing].tolist())
    assert sum(one is None for one in times.values()) == 21  # and the minute that has just begun
    assert shown["before"] is None, "there is nothing a week ago"
    strip = [(round((end - begin) / 60), state) for begin, end, state in state_strip(found)]
    assert strip == [(9, "normal"), (10, "normal"), (10, "not_heard"), (20, "normal")]
    json.dumps(shown, allow_nan=False)


def test_a_month_is_shown_beside_the_month_before_with_events_and_changes_of_the_model(store: Store) -> None:
    now = local(2026, 6, 10, 15, 30)
    values = minute_values(61, 3600.0, until=now)
    lasting = stored_event(1, onset=now - 31 * 86_400, ended=None)
    fill(
        store, {"pump": values}, [stored_event(0, onset=now - 86_400), lasting, stored_event(2, onset=now, kind="gap")]
    )
    found = read_history(store, 1, MONTH, now)
    assert len(found.time) == 720
    assert found.has_before
    assert [one.id for one in found.events] == [lasting.id, stored_event(0).id], "one began before and lasts"
    changes = [ModelChange(now - 3600, "model promoted"), ModelChange(now - 40 * 86_400, "another model")]
    shown = chart_values(found, "error", limit=None, compare=True, changes=changes)
    assert [one["label"] for one in shown["models"]] == ["model promoted"]
    assert [one["id"] for one in shown["events"]] == [lasting.id, stored_event(0).id]
    assert len(shown["before"]) == 720
    said = summary(found)
    assert "of the limit on average" in said
    assert "The 30 days before" in said
    assert "2 anomalies" in said
    assert "not heard" in said


def test_the_axis_knows_when_the_clock_was_changed() -> None:
    assert clock_changes(local(2026, 10, 24), local(2026, 10, 26)) == [
        (local(2026, 10, 24), 7200), (local(2026, 10, 25, 3) - 3600, 3600)
    ]  # fmt: skip


def test_a_stream_without_values_says_so(store: Store) -> None:
    fill(store, {}, [stored_event(0)])
    assert summary(read_history(store, 1, HOUR, 1e9)) == "Nothing is stored of the last hour."
