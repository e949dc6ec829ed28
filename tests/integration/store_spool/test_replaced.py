"""Whatever becomes of the state folder, of the database and of the monitor's name, no new event is lost."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from monitor.store.database import Store, StoreError
from monitor.store.spooled_writer import SpooledWriter
from monitor.store.tables import models, streams
from support.listening import wait_until
from support.spools import HOST, MINUTE, START, caught_up, event, minute, stored, writing

pytestmark = pytest.mark.long


def test_a_second_monitor_with_the_same_name_is_told_to_take_another_one(direct: str) -> None:
    with writing(direct) as first:
        first.event(event(0, ended=False))
        caught_up(first)
        second = SpooledWriter(direct, HOST, Path("other.sqlite"))
        second.event(event(1))
        wait_until(lambda: second.trouble, "the refusal")
        assert f"another monitor writes into it under the name {HOST}: give one of them another name (state.host)" in (
            second.trouble
        )
        assert [(one.start_s, one.ended) for one in stored(direct)] == [(0, None)]  # not ended by the second one
        assert first.trouble == ""
        second.close()
        second.finish()
    renamed = SpooledWriter(direct, "hall-4", Path("other.sqlite"))  # what it has kept aside gets the new name
    renamed.event(event(2))
    caught_up(renamed)
    renamed.close()
    renamed.finish()
    assert {(one.host, one.start_s) for one in stored(direct)} == {(HOST, 0), ("hall-4", 1), ("hall-4", 2)}


def test_a_state_folder_that_was_restored_from_a_backup_loses_no_new_entry(direct: str) -> None:
    with writing(direct) as writer:
        writer.event(event(0))
        caught_up(writer)
    backup = Path("spool.sqlite").read_bytes()
    with writing(direct) as writer:
        writer.event(event(1))
        caught_up(writer)
    Path("spool.sqlite").write_bytes(backup)
    for end in ("-wal", "-shm"):
        Path(f"spool.sqlite{end}").unlink(missing_ok=True)
    with writing(direct) as writer:
        writer.event(event(2))
        caught_up(writer)
    assert [one.start_s for one in stored(direct)] == [0, 1, 2]


def test_an_empty_database_that_replaces_the_store_gets_the_streams_and_models_again(
    direct: str, caplog: pytest.LogCaptureFixture
) -> None:
    with writing(direct) as writer:
        writer.stream("pump", "1f0c", "mic")
        writer.model("1f0c", "pump-3", {"score": 2.0}, {})
        writer.event(began := event(0, ended=False))
        caught_up(writer)
        assert caplog.text == ""
        with Store.open(direct) as store, store.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
        writer.event(replace(began, end_s=9.0))
        wait_until(lambda: models_of(direct) == [("pump", "1f0c", {"score": 2.0})], "the stream with its model")
    assert [(one.id, one.ended) for one in stored(direct)] == [(began.id, START + 9)]


def models_of(address: str) -> list[tuple[Any, ...]]:
    """The streams in a store, with their models and the limits of these; none if there is none yet."""
    joined = streams.join(models, streams.c.model_id == models.c.id)
    with contextlib.suppress(StoreError), Store.open(address, create=False) as store, store.reading() as connection:
        chosen = sa.select(streams.c.name, models.c.id, models.c.limits).select_from(joined)
        return [tuple(row) for row in connection.execute(chosen)]
    return []


def test_a_spool_that_is_deleted_while_the_monitor_runs_loses_nothing_that_happens_from_then_on(direct: str) -> None:
    with writing(direct) as writer:
        for number in range(5):
            writer.event(event(number))
            caught_up(writer)
        Path("spool.sqlite").unlink()
        writer.event(event(5))
        wait_until(lambda: len(stored(direct)) == 6, "the event of the new spool")
        assert writer.trouble == ""
    assert [one.start_s for one in stored(direct)] == list(range(6))


def test_a_state_folder_from_a_backup_does_not_change_the_end_of_an_event_that_lasted_then(direct: str) -> None:
    with writing(direct) as writer:
        writer.event(began := event(0, ended=False))
        caught_up(writer)
        with contextlib.closing(sqlite3.connect("spool.sqlite")) as connection:
            connection.execute("VACUUM INTO 'backup.sqlite'")
        writer.event(replace(began, end_s=9.0))
        caught_up(writer)
    for end in ("-wal", "-shm"):
        Path(f"spool.sqlite{end}").unlink(missing_ok=True)
    Path("backup.sqlite").replace("spool.sqlite")
    with writing(direct) as writer:
        writer.event(event(1000))
        caught_up(writer)
    assert [(one.ended, one.cut_off) for one in stored(direct)] == [(START + 9, False), (START + 1005, False)]


def test_events_of_a_monitor_whose_state_folder_is_gone_are_ended(direct: str) -> None:
    with writing(direct) as writer:
        writer.event(event(0, ended=False))
        writer.minute(minute(1))
        caught_up(writer)
    Path("spool.sqlite").unlink()
    with writing(direct) as writer:
        writer.event(event(1000))
        wait_until(lambda: stored(direct)[0].ended, "the end of the event")
    assert (stored(direct)[0].ended, stored(direct)[0].cut_off) == ((MINUTE + 2) * 60, True)
