"""The rows of the hall: the worst first, from live values or from the store alone, and what changed between two."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.core.events import State, new_event_id
from monitor.notify.acknowledgement import acknowledge
from monitor.store import fleet, tables
from monitor.store.database import Store
from monitor.web.hall.hall_data import NOT_RUNNING, Row, StoredHall, changes, rows
from support.web_server import HOST, fill_hour

NOW = time.time()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with an hour of three streams."""
    with Store.open(f"sqlite:///{tmp_path / 'monitor.sqlite'}") as made:
        fill_hour(made, ["pump 2", "pump 10", "fan"], NOW)
        yield made


def add_event(store: Store, stream_id: int, kind: str = "anomaly", **values: Any) -> str:
    """Stores an event that began a minute ago and lasts; returns its id."""
    event_id = new_event_id()
    row = {"id": event_id, "stream_id": stream_id, "kind": kind, "onset": NOW - 60, "reported": NOW - 58}
    with store.begin() as connection:
        connection.execute(tables.events.insert().values(**{**row, **values}))
    return event_id


def hall(store: Store, live: dict[str, Any] | None = None, now: float = NOW) -> list[Row]:
    """The rows at a time."""
    stored = StoredHall()
    stored.refresh(store, now)
    return rows(stored, live or {}, HOST, now)


def live_values(state: State, share: float | None = 0.5, event: dict[str, Any] | None = None) -> dict[str, Any]:
    """Live values of a stream."""
    return {"state": state.value, "share_of_limit": share, "event": event}


def states(found: list[Row]) -> list[tuple[str, str]]:
    """Names and states in order."""
    return [(row["name"], row["state"]) for row in found]


def test_streams_in_one_state_are_in_the_order_of_their_names_as_people_count(store: Store) -> None:
    assert states(hall(store)) == [("fan", "NORMAL"), ("pump 2", "NORMAL"), ("pump 10", "NORMAL")]


def test_the_worst_stream_comes_first_and_an_anomaly_that_was_seen_after_the_warnings(store: Store) -> None:
    event_id = add_event(store, 1)
    add_event(store, 2, "warning")
    assert states(hall(store)) == [("pump 2", "ANOMALY"), ("pump 10", "WARNING"), ("fan", "NORMAL")]
    acknowledge(store, [event_id], "anna")
    found = hall(store)
    assert states(found) == [("pump 10", "WARNING"), ("pump 2", "ANOMALY"), ("fan", "NORMAL")]
    assert (found[1]["seen"], found[1]["new"], found[1]["since"]) == (True, 0, pytest.approx(NOW - 60))


def test_live_values_count_more_than_what_is_stored(store: Store) -> None:
    add_event(store, 1)
    event = {"id": "x", "kind": "off", "began": NOW - 30}
    live = {"pump 2": live_values(State.OFF, None, event), "fan": live_values(State.WARNING, 0.934)}
    found = {row["name"]: row for row in hall(store, live)}
    assert (found["pump 2"]["state"], found["pump 2"]["since"], found["pump 2"]["share"]) == ("OFF", NOW - 30, None)
    assert (found["fan"]["state"], found["fan"]["share"]) == ("WARNING", 93)


def test_a_stream_that_nobody_listens_to_is_not_shown_as_normal(store: Store) -> None:
    assert {row["state"] for row in hall(store, now=NOW + 600)} == {NOT_RUNNING}
    assert hall(store, now=NOW + 40 * 86_400) == [], "streams of long ago are left out"


def test_live_values_of_this_computer_are_not_those_of_a_stream_of_the_same_name_elsewhere(store: Store) -> None:
    with store.begin() as connection:
        values = {"host": "hall-4", "name": "fan", "first_seen": NOW, "last_seen": NOW}
        connection.execute(tables.streams.insert().values(**values))
    found = hall(store, {"fan": live_values(State.ANOMALY, 1.2)})
    assert [(row["host"], row["state"]) for row in found if row["name"] == "fan"] == [
        (HOST, "ANOMALY"), ("hall-4", "LISTENING"),
    ]  # fmt: skip
    assert {row["group"] for row in found} == {f"{HOST}: pump", HOST, "hall-4"}


def test_anomalies_of_the_last_day_wait_until_somebody_has_seen_or_judged_them(store: Store) -> None:
    first = add_event(store, 1, ended=NOW - 10)
    add_event(store, 1, onset=NOW - 3600, ended=NOW - 3000)
    add_event(store, 1, "warning", ended=NOW - 5)
    add_event(store, 1, onset=NOW - 90_000, ended=NOW - 89_000)
    [row] = [row for row in hall(store) if row["name"] == "pump 2"]
    assert (row["new"], row["event"]) == (2, first)
    with store.begin() as connection:
        judged = {"event_id": first, "verdict": "disturbance", "time": NOW, "by": "anna"}
        connection.execute(tables.verdicts.insert().values(**judged))
    [row] = [row for row in hall(store) if row["name"] == "pump 2"]
    assert row["new"] == 1


def test_an_event_that_has_lasted_for_days_is_still_shown(store: Store) -> None:
    add_event(store, 3, "off", onset=NOW - 3 * 86_400)
    [row] = [row for row in hall(store) if row["name"] == "fan"]
    assert (row["state"], row["since"]) == ("OFF", pytest.approx(NOW - 3 * 86_400))


def test_the_last_hour_has_a_value_for_each_minute_and_a_gap_where_nothing_was_heard(store: Store) -> None:
    with store.begin() as connection:
        gap = tables.minutes.c.minute.between(int(NOW // 60) - 20, int(NOW // 60) - 11)
        connection.execute(tables.minutes.delete().where(gap))
    spark = hall(store)[0]["spark"]
    assert len(spark) == 60
    assert spark.count(-1) == 11, "ten, and the minute that has just begun"
    assert all(0 <= one < 100 for one in spark if one != -1)


def test_a_stream_without_a_store_is_shown_too(store: Store) -> None:
    found = hall(store, {"new one": live_values(State.NORMAL)})
    assert [row["id"] for row in found if row["name"] == "new one"] == [None]


def test_only_what_changed_is_sent(store: Store) -> None:
    before = hall(store)
    known = {row["key"]: row for row in before}
    assert changes(known, hall(store)) == {}
    after = hall(store, {"fan": live_values(State.ANOMALY, 1.2)})
    assert changes(known, after) == {"rows": [{"key": "s3", "share": 120, "state": "ANOMALY"}]}
    after = hall(store, {"pump 10": live_values(State.ANOMALY, 1.2)})
    told = changes(known, after)
    assert told["order"] == ["s2", "s3", "s1"]
    assert changes({}, after)["rows"] == after


def test_when_the_monitor_has_ended_its_streams_are_not_shown_as_they_were(store: Store) -> None:
    stored = StoredHall()
    stored.refresh(store, NOW)
    gone = {"pump 2": NOW}
    assert dict(states(rows(stored, {}, HOST, NOW + 5, gone)))["pump 2"] == "NORMAL", "it may only be busy"
    later = rows(stored, {}, HOST, NOW + 11, gone)
    assert dict(states(later)) == {"pump 2": NOT_RUNNING, "fan": "NORMAL", "pump 10": "NORMAL"}
    assert next(row["since"] for row in later if row["name"] == "pump 2") == NOW
    with store.begin() as connection:  # another monitor of this computer listens to it
        connection.execute(tables.streams.update().values(last_seen=NOW + 60))
    stored.refresh(store, NOW + 61)
    assert dict(states(rows(stored, {}, HOST, NOW + 61, gone)))["pump 2"] == "NORMAL"


def test_a_name_cannot_turn_the_text_around_it(store: Store) -> None:
    with store.begin() as connection:
        connection.execute(tables.streams.update().where(tables.streams.c.name == "fan").values(name="\u202egnp.exe"))
    assert "?gnp.exe" in {row["name"] for row in hall(store)}


def add_elsewhere(store: Store, age_s: float = 5.0, state: str = "NORMAL") -> None:
    """A stream `fan` of another computer, whose clock is an hour behind, and its last sign of life."""
    with store.begin() as connection:
        values = {"host": "hall-4", "name": "fan", "first_seen": NOW - 9000, "last_seen": NOW - 3600}
        connection.execute(tables.streams.insert().values(**values))
        sign = {"version": "1", "started": NOW - 9000, "last_seen": time.time() - age_s, "spooled": 0}
        fleet.write_sign(connection, "hall-4", sign | {"facts": {"every_s": 30, "streams": {"fan": state}}})


def elsewhere(store: Store) -> Row:
    return next(row for row in hall(store) if row["host"] == "hall-4")


def test_a_stream_of_another_computer_is_as_its_signs_of_life_say_whatever_its_clock(store: Store) -> None:
    add_elsewhere(store, state="OFF")
    assert elsewhere(store)["state"] == "LISTENING", "being off is an event, which is not there yet or over"
    event_id = add_event(store, 4, "lost")
    assert elsewhere(store)["state"] == "LOST"
    with store.begin() as connection:
        connection.execute(tables.events.update().where(tables.events.c.id == event_id).values(ended=NOW))
        minute = {"stream_id": 4, "minute": int(NOW // 60), "share_max": 420, "level": -352, "normal_s": 60}
        connection.execute(tables.minutes.insert().values(**minute))
    found = elsewhere(store)
    assert (found["state"], found["share"], found["level"]) == ("NORMAL", 42, -35.2)
    assert found["heard"] == pytest.approx(NOW - 3600)


def test_streams_of_a_computer_that_is_silent_or_was_ended_are_not_running_since_then(store: Store) -> None:
    add_elsewhere(store, age_s=500.0)
    add_event(store, 4)
    found = elsewhere(store)
    assert (found["state"], found["since"]) == (NOT_RUNNING, pytest.approx(time.time() - 500, abs=60))
    with store.begin() as connection:
        connection.execute(tables.monitors.update().values(stopped=NOW - 30))
    found = elsewhere(store)
    assert (found["state"], found["since"]) == (NOT_RUNNING, pytest.approx(NOW - 30))


def test_a_stream_that_another_computer_does_not_list_any_more_is_not_running(store: Store) -> None:
    add_elsewhere(store)
    with store.begin() as connection:
        connection.execute(tables.monitors.update().values(facts={"every_s": 30, "streams": {"saw": "NORMAL"}}))
    assert elsewhere(store)["state"] == NOT_RUNNING
