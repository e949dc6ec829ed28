"""What is too old is deleted, what people have judged is kept, and a file does not grow for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from monitor.config.plant import Store as StoreSettings
from monitor.core.events import Event
from monitor.store import queries, retention, tables
from monitor.store.database import Store
from monitor.store.minute_row import MinuteRow
from monitor.store.retention import Retention, forget_files, used_bytes
from monitor.store.writer import StoreWriter
from support.listening import DEADLINE_S, wait_until
from support.score_rows import MINUTE, START

DAY_S = 86_400.0
FOR_EVER = Retention(1e9, 1e9, 1e12)


def event(start_s: float, end_s: float | None = None, kind: str = "anomaly") -> Event:
    return Event(kind, start_s, start_s + 5 if end_s is None else end_s, START + start_s, "mic", stream="pump")


OLD, JUDGED, LOCKED, WITH_CLIP, LONG, NEW = (
    event(0), event(10), event(20), event(30), event(40, 2 * DAY_S + 100), event(2 * DAY_S),
)  # fmt: skip


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A store with three days of minutes of two streams, and with these events."""
    Store.open(store_url).close()
    with Store.open(store_url) as opened:
        with opened.begin() as connection:
            for number in (1, 2):  # the numbers of new streams
                values = {"host": "h", "name": f"s{number}", "first_seen": 0.0, "last_seen": 0.0}
                connection.execute(tables.streams.insert().values(values))
                columns = MinuteRow("", 0, 0.1, 0.2, 30.0, 40.0, 0.3, 0.4, -30.0, {"normal": 60.0}).columns()
                rows = [{"stream_id": number, "minute": int(MINUTE) + i, **columns} for i in range(3 * 1440)]
                connection.execute(tables.minutes.insert(), rows)
        writer = StoreWriter(store_url, "hall-3")
        for one in (OLD, JUDGED, LOCKED, WITH_CLIP, LONG, NEW):
            writer.event(one)
        writer.files(WITH_CLIP.id, clip="a.flac", picture="a.png", clip_start=START)
        writer.files(JUDGED.id, clip="b.flac")
        writer.close()
        assert writer.error is None
        with opened.begin() as connection:
            judged = {"event_id": JUDGED.id, "verdict": "real", "time": 0.0, "by": "anna"}
            connection.execute(tables.verdicts.insert().values(judged))
            connection.execute(tables.events.update().where(tables.events.c.id == LOCKED.id).values(locked=True))
        yield opened


def clean(store: Store, kept: Retention, now: float) -> int:
    """Deletes what is too old; returns the number of transactions."""
    steps = 1
    while kept.step(store, now):
        steps += 1
    return steps


def minutes(store: Store, stream: int) -> list[float]:
    values = queries.minutes(store, stream, since=START, until=START + 3 * DAY_S)
    return ((values.time - START) / 60).tolist()


def test_nothing_is_deleted_that_is_young_enough(store: Store) -> None:
    assert not FOR_EVER.step(store, START + 3 * DAY_S)
    assert (len(minutes(store, 1)), len(queries.events(store))) == (3 * 1440, 6)


def test_minutes_are_deleted_by_age_in_small_transactions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MANY_MINUTES", 500)
    kept = replace(FOR_EVER, keep_minutes_s=DAY_S)
    assert clean(store, kept, START + 3 * DAY_S) >= 2 * 2 * 1440 / 500
    for stream in (1, 2):
        assert minutes(store, stream) == list(range(2 * 1440, 3 * 1440))
    assert len(queries.events(store)) == 6


def test_events_are_deleted_by_age_but_not_those_that_people_need(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MANY_EVENTS", 1)
    clean(store, replace(FOR_EVER, keep_events_s=DAY_S), START + 3 * DAY_S)
    kept = {one.id for one in queries.events(store)}
    assert kept == {one.id for one in (JUDGED, LOCKED, WITH_CLIP, LONG, NEW)}
    assert len(minutes(store, 1)) == 3 * 1440


def test_an_event_goes_with_its_deliveries(store: Store) -> None:
    with store.begin() as connection:
        values = {"id": OLD.id, "event_id": OLD.id, "channel": "c", "stage": "began", "state": "sent"}
        connection.execute(tables.deliveries.insert().values(created=0.0, due=0.0, **values))
    clean(store, replace(FOR_EVER, keep_events_s=DAY_S), START + 3 * DAY_S)
    with store.reading() as connection:
        assert connection.execute(sa.select(tables.deliveries)).all() == []


def test_an_event_whose_clip_was_deleted_says_so(store: Store) -> None:
    with store.begin() as connection:
        forget_files(connection, WITH_CLIP.id, "deleted after 90 days")
    found = queries.event(store, WITH_CLIP.id)
    assert (found.clip, found.picture, found.clip_start, found.note) == ("", "", None, "deleted after 90 days")


def test_a_file_that_is_too_large_loses_its_oldest_minutes_and_shrinks(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite"
    columns = MinuteRow("", 0, 0.1, 0.2, 30.0, 40.0, 0.3, 0.4, -30.0, {"normal": 60.0}).columns()
    with Store.open(f"sqlite:///{file}") as store:
        with store.begin() as connection:
            for number in (1, 2):
                values = {"host": "h", "name": f"s{number}", "first_seen": 0.0, "last_seen": 0.0}
                connection.execute(tables.streams.insert().values(values))
            for day in range(10):
                rows = [
                    {"stream_id": stream, "minute": int(MINUTE) + 1440 * day + i, **columns}
                    for stream in (1, 2)
                    for i in range(1440)
                ]
                connection.execute(tables.minutes.insert(), rows)
        with store.reading() as connection:
            before = used_bytes(connection)
        kept = replace(FOR_EVER, max_bytes=before / 2)
        clean(store, kept, START + 30 * DAY_S)
        with store.reading() as connection:
            assert before / 4 < used_bytes(connection) <= before / 2
            oldest = connection.execute(
                sa.select(sa.func.min(tables.minutes.c.minute)).group_by(tables.minutes.c.stream_id)
            ).all()
        assert len(set(oldest)) == 1  # of both streams
        assert oldest[0][0] > int(MINUTE) + 3 * 1440
    assert file.stat().st_size < 0.7 * before


def test_the_writer_deletes_at_its_start_what_is_too_old(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    now = int(time.time() / 60)
    writer = StoreWriter(url, "hall-3", retention=Retention.of(StoreSettings(keep_minutes_days=1)))
    committed = threading.Event()
    writer.after_commit = committed.set
    for age in (3000, 1500, 1000, 0):
        writer.minute(MinuteRow("pump", now - age, seconds={"normal": 60.0}))

    def ages() -> list[int]:
        with Store.open(url, create=False) as store:
            values = queries.minutes(store, 1, since=0, until=60 * now + 60)
        return [now - round(time / 60) for time in values.time]

    assert committed.wait(DEADLINE_S)
    wait_until(lambda: ages() == [1000, 0], "the deletion")
    writer.close()
    assert writer.error is None


def test_the_settings_say_what_is_kept() -> None:
    kept = Retention.of(StoreSettings(keep_minutes_days=2, keep_events_days=3, max_mb=5))
    assert kept == Retention(2 * DAY_S, 3 * DAY_S, 5e6)
