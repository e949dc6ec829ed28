"""A store on a server may be away at any time: what happens is kept in the spool, and copied in order, once."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from monitor.notify import muting
from monitor.store import copier, event_lock, queries, verdicts
from monitor.store.database import Store
from monitor.store.spooled_writer import SpooledWriter
from monitor.store.tables import audit, minutes
from support.cut_link import CutLink
from support.listening import wait_until
from support.postgres import PostgresServer
from support.spools import HOST, MINUTE, START, away, caught_up, event, minute, stored, writing

pytestmark = pytest.mark.long


def test_what_happens_while_the_server_is_away_is_there_afterwards_in_order_and_once(
    url: str, direct: str, link: CutLink
) -> None:
    with writing(url) as writer:
        writer.event(began := event(1, ended=False))
        caught_up(writer)
        link.cut()
        writer.event(replace(began, end_s=9.0))
        away(writer)
        for number in range(60):
            writer.minute(minute(number))
        writer.event(second := event(20, ended=False))
        writer.files(second.id, clip="a.flac")
        writer.audit(by="monitor", what="reload", subject="settings")
        wait_until(lambda: writer.kept_aside >= 63, "the entries in the spool")
        wait_until(lambda: "no connection" in writer.trouble, "the reason")  # at first, that the connection was lost
        assert f"{writer.kept_aside} entries are kept aside" in writer.trouble
        assert writer.error is None  # nothing is lost
        link.mend()
        caught_up(writer)
        assert writer.trouble == ""
        writer.event(replace(second, end_s=30.0))
    first, other = stored(direct)
    assert (first.id, first.ended) == (began.id, START + 9)
    assert (other.id, other.ended, other.clip) == (second.id, START + 30, "a.flac")
    with Store.open(direct) as store, store.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(minutes)) == 60
        assert connection.scalar(sa.select(sa.func.count()).select_from(audit)) == 1


@contextlib.contextmanager
def read_only(address: str) -> Iterator[None]:
    """The database is one that may only be read, as that of a standby server."""
    name = address.rpartition("/")[2]

    def switch(to: str) -> None:
        with Store.open(address) as store, store.begin() as connection:
            connection.exec_driver_sql("SET transaction_read_only = off")
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = {to}")

    switch("on")
    try:
        yield
    finally:
        switch("off")


def test_a_server_that_is_frozen_stopped_read_only_or_refuses_the_password_holds_nobody_up(
    direct: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copier, "SLOW_S", 0.2)
    with writing(direct) as writer:
        writer.event(event(0))
        caught_up(writer)
        with postgres.frozen():
            writer.event(event(1))
            away(writer)
            assert "does not answer" in writer.trouble
        caught_up(writer)
        postgres.stop()
        try:
            writer.event(event(2))
            away(writer)
        finally:
            postgres.start()
        caught_up(writer)
    with read_only(direct), writing(direct) as writer:
        writer.event(event(3))
        wait_until(lambda: "in a read-only transaction" in writer.trouble, "the refusal")
    wrong = direct.replace("a%20secret", "another")
    with writing(wrong) as writer:
        writer.event(event(4))
        wait_until(lambda: "password authentication failed" in writer.trouble, "the refusal")
        assert "another" not in writer.trouble
    with writing(direct) as writer:
        caught_up(writer)
    assert [one.start_s for one in stored(direct)] == [0, 1, 2, 3, 4]


def test_a_monitor_that_is_started_while_the_server_is_away_goes_on_with_the_spool(
    url: str, direct: str, link: CutLink
) -> None:
    link.cut()
    first = SpooledWriter(url, HOST, Path("spool.sqlite"))
    first.event(left := event(0, ended=False))
    first.minute(minute(2))
    first.close()
    first.finish()  # as if it had been killed: the event is still open
    assert stored(direct) == []
    with writing(url) as writer:
        writer.event(event(1000))
        away(writer)
        link.mend()
        caught_up(writer)
        found = stored(direct)
    assert [(one.start_s, one.ended, one.cut_off) for one in found] == [
        (0, (MINUTE + 3) * 60, True),
        (1000, START + 1005, False),
    ]
    assert found[0].id == left.id


def test_a_slow_server_loses_nothing(direct: str) -> None:
    """Each transaction takes as long as on a server that is overloaded; it is said only if it does not answer."""
    with Store.open(direct) as store, store.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION slow() RETURNS trigger AS 'BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END' LANGUAGE plpgsql"
        )
        connection.exec_driver_sql("CREATE TRIGGER slow BEFORE UPDATE ON spools FOR EACH ROW EXECUTE FUNCTION slow()")
    with writing(direct) as writer:
        for number in range(1500):
            writer.minute(minute(number))
        caught_up(writer)
        assert writer.error is None
    with Store.open(direct) as store, store.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(minutes)) == 1500


def test_what_people_changed_in_the_store_meanwhile_survives(url: str, direct: str, link: CutLink) -> None:
    with writing(url) as writer:
        writer.event(began := event(0, ended=False))
        writer.stream("pump", "1f0c", "mic")
        caught_up(writer)
        link.cut()
        writer.event(replace(began, reminders=1))
        writer.files(began.id, clip="a.flac")
        away(writer)
        writer.acknowledge(began.id, by="screen")  # after the person at the store
        with Store.open(direct) as store:
            verdicts.record(store, began.id, "real fault", by="ann", comment="the bearing")
            event_lock.set_locked(store, began.id, True, by="ann")
            muting.mute(store, [one.id for one in queries.streams(store)], START + 1e9, "ann")
        link.mend()
        caught_up(writer)
        writer.event(replace(began, reminders=1, end_s=9.0))
    [found] = stored(direct)
    assert (found.verdict, found.verdict_by, found.locked) == ("real fault", "ann", True)
    assert (found.acknowledged_by, found.reminders, found.clip) == ("ann", 1, "a.flac")
    assert found.ended == START + 9
    with Store.open(direct) as store:
        assert queries.streams(store)[0].muted_until == START + 1e9


def test_a_spool_that_is_too_large_loses_its_oldest_minutes_and_says_so(
    url: str, direct: str, link: CutLink, caplog: pytest.LogCaptureFixture
) -> None:
    link.cut()
    with writing(url, max_bytes=600_000) as writer:
        writer.event(event(0))
        for number in range(3000):
            writer.minute(minute(number))
            if number % 500 == 0:
                wait_until(lambda: not writer._waiting, "the spool")
        wait_until(lambda: writer.lost, "the loss")
        assert "spool.sqlite became too large (store.max_mb)" in str(writer.error)
        link.mend()
        caught_up(writer)
        lost = writer.lost
    with Store.open(direct) as store, store.reading() as connection:
        kept = connection.scalars(sa.select(minutes.c.minute).order_by(minutes.c.minute)).all()
    assert kept == list(range(MINUTE + lost, MINUTE + 3000))
    assert len(stored(direct)) == 1
    assert caplog.text.count("has become too large") == 1


KILLED = """
import sys
from monitor.store import copier
copier.TOGETHER = 7  # many transactions, so that it is killed in and between them
from pathlib import Path
from monitor.core.events import Event
from monitor.store.minute_row import MinuteRow
from monitor.store.spooled_writer import SpooledWriter

url, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
writer = SpooledWriter(url, "hall-3", Path("spool.sqlite"))
for number in range(first, first + count):
    at = 1_764_252_000.0 + number
    writer.event(Event("anomaly", number, number + 1.0, at, "mic", stream="pump"))
    writer.minute(MinuteRow("pump", 29_404_200 + number, score_mean=number, seconds={"normal": 20.0}))
    writer.minute(MinuteRow("pump", 29_404_200 + number, score_mean=number, seconds={"off": 10.0}))
    writer.audit(by="monitor", what="number", subject=str(number))
writer.close()
print(first + count, flush=True)
writer._copier._thread.join()
"""


def test_kill_9_while_the_spool_is_copied_loses_nothing_and_writes_nothing_twice(
    url: str, direct: str, link: CutLink
) -> None:
    moments = random.Random(7)
    first = 0
    for attempt in range(4):
        if attempt == 2:
            link.cut()
        if attempt == 3:
            link.mend()
        arguments = [sys.executable, "-c", KILLED, url, str(first), "40"]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            first = int(child.stdout.readline())  # all is in the spool
            time.sleep(moments.uniform(0.0, 0.15))
            child.send_signal(signal.SIGKILL)
    with writing(url) as writer:
        writer.event(event(0, kind="off"))
        caught_up(writer)
    assert [one.start_s for one in stored(direct) if one.kind == "anomaly"] == list(range(first))
    with Store.open(direct) as store, store.reading() as connection:
        rows = connection.execute(sa.select(minutes).order_by(minutes.c.minute)).all()
        numbers = connection.scalars(sa.select(audit.c.subject).order_by(audit.c.id)).all()
    assert [row.minute - MINUTE for row in rows] == list(range(first))
    assert {(row.normal_s, row.off_s) for row in rows} == {(20, 10)}  # each part was added once
    assert numbers == [str(number) for number in range(first)]
