"""The spool keeps entries in order until they are taken out, and does not grow for ever."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from monitor.core.events import Event
from monitor.notify.outbox import add
from monitor.store import rows, spool
from monitor.store.database import Store
from monitor.store.entries import AuditEntry, DeliveryEntry, EventEntry, MinuteEntry, StreamIds
from monitor.store.minute_row import MinuteRow
from monitor.store.spool import Spool
from monitor.store.tables import deliveries, events
from support.score_rows import START


@pytest.fixture
def kept(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool.sqlite", "hall-3")


def noted(number: int) -> AuditEntry:
    return AuditEntry("ann", "reload", str(number), None, None, START)


def write_event(store: Store, kept: Spool, ended: float | None) -> str:
    event = Event("anomaly", 0.0, ended, START, "mic", stream="pump")
    with store.begin() as connection:
        entry = EventEntry("pump", rows.event_columns(event, None, None))
        kept.append(connection, entry)
        entry.write(connection, StreamIds("hall-3"))
        add(connection, event.id, "phone", "began", due=START)
    return event.id


def test_entries_come_out_in_order_those_of_each_run_for_themselves(kept: Spool) -> None:
    for one in (kept, again := Spool(kept.file, "hall-3")):
        with one.open() as store:
            for number in range(3):
                with store.begin() as connection:
                    one.append(connection, noted(number))
            assert spool.own_runs(store)[-1] == one.run
    with again.open() as store:
        assert spool.count(store) == 6
        first = spool.waiting(store, 100)
        assert [(one.run, one.entry) for one in first] == [(kept.run, noted(number)) for number in range(3)]
        spool.take_out(store, first[1].number)
        assert [one.entry for one in spool.waiting(store, 100)] == [noted(2)]
        spool.take_out(store, first[2].number)
        assert [one.run for one in spool.waiting(store, 2)] == [again.run] * 2


def test_a_copy_of_a_spool_has_no_right_to_the_name_of_a_run_that_may_go_on_in_the_original(kept: Spool) -> None:
    with kept.open() as store:
        assert spool.own_runs(store) == [kept.run]
    again = Spool(kept.file, "hall-3")
    with again.open() as store:
        assert spool.own_runs(store) == [kept.run, again.run]
    copied = Spool(Path(shutil.copy(kept.file, kept.file.with_name("copy.sqlite"))), "hall-3")
    with copied.open() as store:
        assert spool.own_runs(store) == [copied.run]


def test_what_happens_to_a_message_is_an_entry_whoever_changes_it(kept: Spool) -> None:
    with kept.open() as store:
        event_id = write_event(store, kept, ended=5.0)
    with Store.open(f"sqlite:///{kept.file}") as other, other.begin() as connection:  # as who sends messages
        connection.execute(deliveries.update().values(state="sent"))
    with kept.open() as store:
        found = [one.entry for one in spool.waiting(store, 10)]
    assert [type(one) for one in found] == [EventEntry, DeliveryEntry, DeliveryEntry]
    assert isinstance(found[1], DeliveryEntry)
    assert (found[1].row["event_id"], found[1].row["state"]) == (event_id, "sent")


def test_an_entry_of_a_newer_version_is_given_out_as_unreadable(kept: Spool) -> None:
    with kept.open() as store:
        with store.begin() as connection:
            connection.execute(spool.journal.insert().values(run=kept.run, kind="smell", facts="{}"))
            connection.execute(spool.journal.insert().values(run=kept.run, kind="audit", facts='{"odour": 1}'))
        assert [(one.entry, one.why.split(":")[0]) for one in spool.waiting(store, 10)] == [
            (None, "smell"),
            (None, "audit"),
        ]


def test_minutes_are_dropped_before_events_if_the_file_is_too_large(
    kept: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "DROPPED", 2)
    with kept.open() as store, store.begin() as connection:
        kept.append(connection, noted(0))
        for number in range(3):
            kept.append(connection, MinuteEntry(MinuteRow("pump", number)))
        assert spool.drop_oldest(connection, 1e9) == 0
        assert [spool.drop_oldest(connection, 0.0) for _ in range(4)] == [2, 1, 1, 0]


def test_old_events_are_forgotten_when_they_are_copied_but_not_those_that_last_or_wait_for_a_message(
    kept: Spool,
) -> None:
    with kept.open() as store:
        done, lasting, waiting = (write_event(store, kept, ended) for ended in (5.0, None, 5.0))
        with store.begin() as connection:
            connection.execute(deliveries.update().where(deliveries.c.event_id != waiting).values(state="sent"))
        later = START + spool.KEEP_S + 100
        spool.forget_old(store, later)
        with store.reading() as connection:
            assert len(connection.scalars(sa.select(events.c.id)).all()) == 3  # they are not copied yet
        spool.take_out(store, 1000)
        spool.forget_old(store, later)
        with store.reading() as connection:
            assert set(connection.scalars(sa.select(events.c.id))) == {lasting, waiting}
    assert done not in {lasting, waiting}
