"""The writer holds nobody up, loses nothing that fits into memory, and writes nothing twice."""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from monitor.core.events import Event
from monitor.store import queries, tables
from monitor.store import writer as module
from monitor.store.database import Store
from monitor.store.minute_row import MinuteRow
from monitor.store.records import StoredEvent
from monitor.store.retention import Retention
from monitor.store.writer import StoreWriter
from support.listening import DEADLINE_S, wait_until
from support.score_rows import MINUTE, START


def event(number: int = 0, *, ended: bool = True, stream: str = "pump", kind: str = "anomaly") -> Event:
    return Event(kind, number, number + 5.0 if ended else None, START + number, "mic", stream=stream)


def stored(url: str) -> list[StoredEvent]:
    with Store.open(url, create=False) as store:
        return queries.events(store, newest_first=False)


def closed(writer: StoreWriter) -> StoreWriter:
    writer.close()
    assert writer.error is None
    return writer


def test_ten_thousand_events_at_once_are_all_there_in_few_transactions(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    commits: list[int] = []
    writer = StoreWriter(url, "hall-3", close_s=120.0)
    writer.after_commit = lambda: commits.append(1)
    for number in range(10_000):
        writer.event(event(number))
    closed(writer)
    found = stored(url)
    assert len({one.id for one in found}) == len(found) == 10_000
    assert len(commits) < 500


def test_what_is_written_survives_a_writer_that_is_never_closed(store_url: str) -> None:
    committed = threading.Event()
    writer = StoreWriter(store_url, "hall-3")
    writer.after_commit = committed.set
    writer.event(event())
    assert committed.wait(DEADLINE_S)
    assert len(stored(store_url)) == 1
    closed(writer)


def test_events_that_a_killed_monitor_left_open_are_cut_off_when_their_stream_was_last_heard(store_url: str) -> None:
    first = StoreWriter(store_url, "hall-3")
    first.event(event(ended=False))
    first.event(event(10, ended=False, kind="lost", stream="fan"))
    first.minute(MinuteRow("pump", int(MINUTE), seconds={"normal": 60.0}))
    first.minute(MinuteRow("pump", int(MINUTE) + 1, seconds={"normal": 60.0}))
    closed(first)
    other = StoreWriter(store_url, "hall-4")
    other.event(event(30, ended=False, stream="saw"))
    closed(other)
    told: list[StoredEvent] = []
    again = StoreWriter(store_url, "hall-3")
    again.on_event = lambda _, event: told.append(event)
    again.event(event(500, ended=False, kind="off"))
    closed(again)
    by_stream = {(one.stream, one.kind): one for one in stored(store_url)}
    pump, fan = by_stream["pump", "anomaly"], by_stream["fan", "lost"]
    assert (pump.ended, pump.cut_off) == (START + 120, True)
    assert (fan.ended, fan.cut_off) == (START + 10, True)
    assert by_stream["saw", "anomaly"].ended is None  # it goes on, on another computer
    assert by_stream["pump", "off"].ended is None
    assert {(one.stream, one.kind, one.cut_off) for one in told[:2]} == {
        ("pump", "anomaly", True),
        ("fan", "lost", True),
    }


def test_a_hook_that_comes_later_is_told_of_the_events_that_were_cut_off(store_url: str) -> None:
    first = StoreWriter(store_url, "hall-3")
    first.event(left := event(ended=False))
    closed(first)
    told: list[tuple[str, bool]] = []
    committed = threading.Event()
    again = StoreWriter(store_url, "hall-3")
    again.after_commit = committed.set
    again.stream("pump", "1f0c", "mic")  # opens the store
    assert committed.wait(DEADLINE_S)
    again.on_event = lambda _, event: told.append((event.id, event.cut_off))
    again.stream("pump", "1f0c", "mic")
    again.stream("pump", "1f0c", "mic")
    closed(again)
    assert told == [(left.id, True)]


def test_what_comes_after_the_end_is_counted_as_lost(store_url: str) -> None:
    writer = closed(StoreWriter(store_url, "hall-3"))
    writer.event(event())
    assert writer.lost == 1


def test_the_hook_of_events_writes_in_the_same_transaction(store_url: str) -> None:
    def fill_outbox(connection: sa.Connection, event: StoredEvent) -> None:
        values = {"event_id": event.id, "channel": "c", "stage": "began", "state": "waiting"}
        connection.execute(tables.deliveries.insert().values(id=event.id, created=0.0, due=0.0, **values))

    writer = StoreWriter(store_url, "hall-3")
    writer.on_event = fill_outbox
    writer.event(one := event())
    closed(writer)
    with Store.open(store_url) as store, store.reading() as connection:
        assert connection.scalars(sa.select(tables.deliveries.c.event_id)).all() == [one.id]


def test_a_hook_that_fails_loses_no_event(store_url: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(connection: sa.Connection, event: StoredEvent) -> None:
        connection.execute(tables.deliveries.insert().values(id=event.id, event_id=None))

    def fail_otherwise(connection: sa.Connection, event: StoredEvent) -> None:
        raise ZeroDivisionError

    for hook in (fail, fail_otherwise):
        writer = StoreWriter(store_url, "hall-3")
        writer.on_event = hook
        writer.event(event())
        closed(writer)
    assert len(stored(store_url)) == 2
    assert caplog.text.count("could not be put into the outbox") == 2


def test_an_entry_that_cannot_be_written_is_counted_and_holds_up_no_other(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    writer = StoreWriter(store_url, "hall-3")
    with caplog.at_level(logging.ERROR):
        writer.event(event(1))
        writer.event(event(2, kind=None))  # type: ignore[arg-type]
        writer.minute(MinuteRow("pump", "soon"))  # type: ignore[arg-type]
        writer.event(event(4))
        writer.close()
    assert [one.start_s for one in stored(store_url)] == [1, 4]
    assert writer.lost == 2
    assert str(writer.error).startswith("store: 2 entries missing")
    assert caplog.text.count("could not be written and is lost") == 2


def test_a_store_that_is_away_at_the_start_gets_everything_when_it_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "not yet mounted"
    writer = StoreWriter(f"sqlite:///{folder / 'store.sqlite'}", "hall-3")
    writer.event(event())
    wait_until(lambda: writer.trouble, "the trouble")
    assert "there is no folder" in writer.trouble
    folder.mkdir()
    wait_until(lambda: not writer.trouble, "the recovery")
    closed(writer)
    assert len(stored(f"sqlite:///{folder / 'store.sqlite'}")) == 1


def test_memory_stays_flat_while_the_store_is_away_and_what_is_lost_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUED", 100)
    folder = tmp_path / "not yet mounted"
    writer = StoreWriter(f"sqlite:///{folder / 'store.sqlite'}", "hall-3")
    for number in range(1000):
        writer.event(event(number))
    assert len(writer._waiting) <= 100
    assert writer.lost >= 800
    folder.mkdir()
    wait_until(lambda: not writer.trouble and not writer._waiting, "the recovery")
    writer.close()
    found = stored(f"sqlite:///{folder / 'store.sqlite'}")
    assert len(found) == 1000 - writer.lost
    assert found[-1].start_s == 999  # the newest are kept
    assert f"{writer.lost} entries missing" in str(writer.error)


def test_what_cannot_be_written_before_the_end_is_counted() -> None:
    writer = StoreWriter("sqlite:////nowhere/store.sqlite", "hall-3")
    for number in range(5):
        writer.event(event(number))
    writer.close()
    writer.close()
    assert writer.lost == 5
    assert "no folder /nowhere" in str(writer.error)
    assert "5 entries missing" in str(writer.error)


def test_a_file_that_is_moved_away_is_begun_anew(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    committed = threading.Event()
    writer = StoreWriter(url, "hall-3")
    writer.after_commit = committed.set
    writer.event(event(1))
    assert committed.wait(DEADLINE_S)
    (tmp_path / "store.sqlite").rename(tmp_path / "old.sqlite")
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"store.sqlite{suffix}").rename(tmp_path / f"old.sqlite{suffix}")
    writer.event(event(2))
    closed(writer)
    assert [one.start_s for one in stored(url)] == [2]


def test_files_of_an_event_are_noted_and_what_is_not_given_stays(store_url: str) -> None:
    writer = StoreWriter(store_url, "hall-3")
    writer.event(one := event())
    writer.files(one.id, clip="2025/a.flac", clip_start=START - 10, note="speech was muted")
    writer.files(one.id, picture="2025/a.png")
    writer.event(replace(one, reminders=1))  # a later report does not forget them
    closed(writer)
    [found] = stored(store_url)
    assert (found.clip, found.picture, found.clip_start) == ("2025/a.flac", "2025/a.png", START - 10)
    assert (found.note, found.reminders) == ("speech was muted", 1)


def test_names_with_characters_that_no_database_takes_are_written_with_question_marks(store_url: str) -> None:
    writer = StoreWriter(store_url, "hall-3")
    writer.event(replace(event(), source="pump\udcff\0.wav"))
    writer.stream("pump", "1f0c", "pump\udcff.wav")
    closed(writer)
    assert [one.source for one in stored(store_url)] == ["pump??.wav"]


def test_models_are_noted_once_with_their_newest_limits(store_url: str) -> None:
    for limit in (100.0, 110.0):
        writer = StoreWriter(store_url, "hall-3")
        writer.model("1f0c", "pump-3", {"score": limit}, {"from": "40 recordings"})
        closed(writer)
    with Store.open(store_url) as store, store.reading() as connection:
        [row] = connection.execute(sa.select(tables.models)).mappings()
        assert (row["name"], row["limits"], row["calibration"]) == (
            "pump-3",
            {"score": 110.0},
            {"from": "40 recordings"},
        )


def test_numbers_that_a_database_does_not_take_are_left_out(store_url: str) -> None:
    writer = StoreWriter(store_url, "hall-3")
    writer.model("1f0c", "pump-3", {"score": 1.5, "lasting": math.inf}, {"a": [math.nan]})
    writer.event(replace(event(kind="warning"), peak=-math.inf))
    closed(writer)
    with Store.open(store_url) as store, store.reading() as connection:
        [row] = connection.execute(sa.select(tables.models)).mappings()
        assert (row["limits"], row["calibration"]) == ({"score": 1.5, "lasting": None}, {"a": [None]})
    assert [one.peak for one in stored(store_url)] == [None]


def test_a_minute_in_two_parts_is_one_row(store_url: str) -> None:
    """As after a restart within a minute, and after an answer of the database that got lost."""
    first = MinuteRow("pump", int(MINUTE), share_mean=0.4, share_max=0.5, seconds={"normal": 20.0})
    second = MinuteRow("pump", int(MINUTE), share_mean=0.8, share_max=0.9, seconds={"normal": 20.0, "off": 20.0})
    for row in (first, second, MinuteRow("pump", int(MINUTE), seconds={"normal": 40.0, "off": 20.0})):
        writer = StoreWriter(store_url, "hall-3")
        writer.minute(row)
        closed(writer)
    with Store.open(store_url) as store:
        values = queries.minutes(store, 1, since=START, until=START + 60)
    assert values.share_mean == pytest.approx([(20 * 0.4 + 40 * 0.8) / 60], abs=1e-3)
    assert values.share_max == pytest.approx([0.9])
    assert (values.seconds["normal"].tolist(), values.seconds["off"].tolist()) == ([40], [20])


def test_two_monitors_write_into_one_store_at_once(store_url: str) -> None:
    writers = [StoreWriter(store_url, f"hall-{number}", close_s=120.0) for number in range(2)]
    for number in range(300):
        for writer in writers:
            writer.event(event(number))
    for writer in writers:
        closed(writer)
    assert sorted((one.host, one.start_s) for one in stored(store_url)) == [
        (f"hall-{host}", number) for host in range(2) for number in range(300)
    ]


class NeverDone(Retention):
    """There is always more to delete."""

    def step(self, store: Store, now: float) -> bool:
        return True


def test_the_end_does_not_wait_until_all_that_is_too_old_is_deleted(tmp_path: Path) -> None:
    writer = StoreWriter(f"sqlite:///{tmp_path / 'store.sqlite'}", "hall-3", retention=NeverDone(1.0, 1.0, 1.0))
    writer.event(event())
    closing = threading.Thread(target=writer.close, daemon=True)
    closing.start()
    closing.join(DEADLINE_S)
    assert not closing.is_alive()
    assert writer.error is None


def test_nobody_waits_for_the_store(tmp_path: Path) -> None:
    """A store that does not answer holds up neither those who write nor the end of the program."""
    writer = StoreWriter(f"sqlite:///{tmp_path / 'store.sqlite'}", "hall-3", close_s=0.1)
    holding, release = threading.Event(), threading.Event()

    def hold(connection: sa.Connection, event: StoredEvent) -> None:
        holding.set()
        release.wait()

    writer.on_event = hold
    writer.event(event())
    assert holding.wait(DEADLINE_S)
    for number in range(100):
        writer.event(event(number))
    writer.close()
    assert writer.lost == 101
    assert "did not finish" in str(writer.error)
    release.set()
