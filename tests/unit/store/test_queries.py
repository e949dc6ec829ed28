"""What is asked of a store: streams, events by time, name and kind, and minute values of steps of any length."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from monitor.core.events import Band, Event
from monitor.guide import page
from monitor.store import queries, rows, tables
from monitor.store.database import Store, StoreError
from monitor.store.minute_row import MinuteRow
from monitor.store.records import StoredEvent
from monitor.store.writer import StoreWriter
from support.score_rows import MINUTE, START
from support.stored import NOW, fill, minute_values, stored_event

HISS = (Band(2100.0, 2800.0, 0.6, "new"), Band(310.0, 420.0, 0.2, "missing"))


def event(start_s: float, end_s: float | None = None, kind: str = "anomaly", stream: str = "pump") -> Event:
    return Event(kind, start_s, end_s, START + start_s, "mic", stream=stream, bands=HISS)


EVENTS = (
    event(0, 10), event(20, 30, kind="lost"), event(40, 400, stream="fan"), event(60, kind="off"), event(500, 510),
)  # fmt: skip


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A store with these events, and two hours of minutes of the pump."""
    writer = StoreWriter(store_url, "hall-3")
    for one in EVENTS:
        writer.event(one)
    for minute in range(120):
        seconds = {"normal": 50.0, "off": 10.0} if minute < 60 else {"not_heard": 60.0}
        values = {"share_mean": minute / 100, "share_max": 1.5 * minute / 100, "level": -30.5, "error_mean": 0.25}
        heard = minute < 60
        writer.minute(MinuteRow("pump", int(MINUTE) + minute, seconds=seconds, **(values if heard else {})))
    writer.stream("pump", "1f0c", "microphone: USB")
    writer.close()
    assert writer.error is None
    with Store.open(store_url, create=False) as opened:
        yield opened


def starts(events: list[StoredEvent]) -> list[float]:
    return [one.onset - START for one in events]


def test_streams_have_their_host_model_and_microphone(store: Store) -> None:
    fan, pump = queries.streams(store)
    assert (fan.name, fan.host, fan.model_id, fan.source) == ("fan", "hall-3", "", "")
    assert (pump.name, pump.model_id, pump.source, pump.muted_until) == ("pump", "1f0c", "microphone: USB", None)
    assert pump.last_seen == START + 120 * 60


def test_events_come_newest_first_or_oldest_first_and_no_more_than_asked_for(store: Store) -> None:
    assert starts(queries.events(store)) == [500, 60, 40, 20, 0]
    assert starts(queries.events(store, limit=2)) == [500, 60]
    assert starts(queries.events(store, limit=2, newest_first=False)) == [0, 20]


def test_events_of_a_time_are_those_of_which_a_part_is_in_it(store: Store) -> None:
    assert starts(queries.events(store, since=START + 100)) == [500, 60, 40]
    assert starts(queries.events(store, until=START + 40)) == [20, 0]
    assert starts(queries.events(store, since=START + 25, until=START + 40)) == [20]


def test_events_are_chosen_by_stream_and_kind(store: Store) -> None:
    fan, pump = queries.streams(store)
    assert starts(queries.events(store, streams=[fan.id])) == [40]
    assert len(queries.events(store, streams=[fan.id, pump.id])) == len(EVENTS)
    assert starts(queries.events(store, kinds=["lost", "off"])) == [60, 20]


def test_an_event_is_read_as_it_was_written(store: Store) -> None:
    [stored] = queries.events(store, streams=[queries.streams(store)[0].id])
    assert (stored.id, stored.bands, stored.host) == (EVENTS[2].id, HISS, "hall-3")
    assert (stored.ended, stored.lost_samples, stored.verdict) == (START + 400, 0, "")


def test_the_verdict_of_an_event_is_the_newest_one(store: Store, store_url: str) -> None:
    with Store.open(store_url) as writing, writing.begin() as connection:
        for verdict in ("false alarm", "real"):
            values = {"event_id": EVENTS[0].id, "verdict": verdict, "by": "anna", "time": time.time()}
            connection.execute(tables.verdicts.insert().values(values))
    assert queries.event(store, EVENTS[0].id).verdict == "real"


def test_an_event_is_found_by_a_unique_beginning_of_its_id(store: Store) -> None:
    assert queries.event(store, EVENTS[1].id.upper()).id == EVENTS[1].id
    assert queries.event(store, EVENTS[1].id[:-1]).kind == "lost"
    for beginning, said in ((EVENTS[0].id[:2], "several"), ("ffff", "no event ffff"), ("%", "no event %")):
        with pytest.raises(StoreError, match=said):
            queries.event(store, beginning)


def test_minutes_are_read_with_their_units(store: Store) -> None:
    values = queries.minutes(store, pump_id(store), since=START, until=START + 7200)
    assert values.step_s == 60
    assert values.time == pytest.approx(START + 60 * np.arange(120))
    assert values.share_mean[:60] == pytest.approx(np.arange(60) / 100)
    assert values.level[:60] == pytest.approx(-30.5)
    assert np.isnan(values.share_mean[60:]).all()
    assert np.isnan(values.score_mean).all()
    assert values.seconds["normal"][:60].tolist() == [50] * 60
    assert values.seconds["not_heard"].tolist() == [0] * 60 + [60] * 60


def test_longer_steps_have_means_highest_values_and_sums_of_seconds(store: Store) -> None:
    begin = START - START % 600 + 600
    values = queries.minutes(store, pump_id(store), since=begin, until=begin + 1800, step_s=600)
    first = round((begin - START) / 60)
    assert values.step_s == 600
    assert values.time == pytest.approx(begin + 600 * np.arange(3))
    expected = [np.mean(np.arange(first + 10 * i, first + 10 * i + 10)) / 100 for i in range(3)]
    assert values.share_mean == pytest.approx(expected)
    assert values.share_max == pytest.approx([1.5 * (first + 10 * i + 9) / 100 for i in range(3)], abs=1e-3)
    assert values.level == pytest.approx(-30.5)
    assert values.seconds["normal"].tolist() == [500] * 3


def test_a_time_without_values_has_none(store: Store) -> None:
    for step_s in (60, 3600):
        values = queries.minutes(store, pump_id(store), since=0, until=1000, step_s=step_s)
        assert len(values.time) == len(values.share_mean) == len(values.seconds["normal"]) == 0


def test_rows_keep_to_the_table_that_other_programs_read(store: Store) -> None:
    """The units of the guide: per mille of the limit, tenths of dBFS, Unix time divided by 60."""
    with store.reading() as connection:
        [row] = connection.execute(
            sa.text(f"SELECT share_mean, level, normal_s FROM minutes WHERE minute = {int(MINUTE) + 20}")
        ).all()
        assert tuple(row) == (200, -305, 50)


def pump_id(store: Store) -> int:
    return next(one.id for one in queries.streams(store) if one.name == "pump")


def test_an_event_that_is_written_again_is_the_same_one(store: Store, store_url: str) -> None:
    writer = StoreWriter(store_url, "hall-3")
    writer.event(replace(EVENTS[4], end_s=520.0, reminders=2))
    writer.close()
    [stored] = queries.events(store, since=START + 500, kinds=["anomaly"])
    assert (stored.ended, stored.reminders) == (START + 520, 2)


def test_the_query_of_the_guide_is_one_that_sqlite_takes(tmp_path: Path) -> None:
    [query] = re.findall(r"```sql\n(.*?)```", page("store"), flags=re.DOTALL)
    now = int(time.time() / 60)
    writer = StoreWriter(f"sqlite:///{tmp_path / 'store.sqlite'}", "hall-3")
    for age, share in ((10, 0.9), (200, 0.5), (20 * 1440, 1.5)):
        writer.minute(MinuteRow("pump", now - age, share_max=share))
    writer.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "store.sqlite")) as connection:
        assert connection.execute(query).fetchall() == [("pump", (now - 10) // 60, 0.9)]


def test_a_file_that_is_damaged_somewhere_is_said_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite"
    with Store.open(f"sqlite:///{file}") as store, store.begin() as connection:
        stream = rows.stream_id(connection, "hall-3", "pump", START)
        columns = MinuteRow("", 0, 0.1, 0.2, 30.0, 40.0, 0.3, 0.4, -30.0, {"normal": 60.0}).columns()
        many = [{"stream_id": stream, "minute": int(MINUTE) + number, **columns} for number in range(5000)]
        connection.execute(tables.minutes.insert(), many)
    with file.open("r+b") as damaged:  # in the middle, so that the first rows can be read
        damaged.seek(file.stat().st_size // 2)
        damaged.write(b"\xff" * (file.stat().st_size // 4))
    with Store.open(f"sqlite:///{file}", create=False) as store, pytest.raises(StoreError, match="damaged"):
        queries.minutes(store, stream, since=START, until=START + 60 * 5000)


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ("UPDATE events SET onset = 'yesterday'", queries.events),
        ("UPDATE events SET bands = '[{\"hz\": 1}]'", queries.events),
        ("UPDATE events SET bands = '{'", queries.events),
        ("UPDATE streams SET last_seen = 'now'", queries.streams),
        ("UPDATE minutes SET share_max = 'much'", lambda store: queries.minutes(store, 1, since=0.0, until=NOW)),
    ],
)
def test_a_value_that_cannot_be_one_is_said_in_a_sentence(
    tmp_path: Path, change: str, read: Callable[[Store], object]
) -> None:
    file = tmp_path / "store.sqlite"
    with Store.open(f"sqlite:///{file}") as store:
        fill(store, {"fan": minute_values(0.1)}, [stored_event(stream="fan")])
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute(change)
        other.commit()
    with Store.open(f"sqlite:///{file}", create=False) as store, pytest.raises(StoreError, match="cannot be read"):
        read(store)
