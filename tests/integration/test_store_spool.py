"""A store on a server may be away at any time: what happens is kept in the spool, and copied in order, once."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.config.plant import Notify
from monitor.core import background_worker
from monitor.core.events import Event
from monitor.notify import acknowledgement, delivery_worker, muting
from monitor.notify.notifier import Notifier
from monitor.notify.outbox import enqueue
from monitor.notify.pace import Pace
from monitor.notify.rules import Rules
from monitor.store import copier, event_lock, queries, rows, spool, verdicts
from monitor.store.database import Store, StoreError
from monitor.store.entries import Acknowledgement
from monitor.store.minute_row import MinuteRow
from monitor.store.records import StoredEvent
from monitor.store.spooled_writer import SpooledWriter
from monitor.store.tables import audit, deliveries, events, minutes, models, streams
from monitor.store.writer import StoreWriter
from support.cut_link import CutLink
from support.listening import wait_until
from support.postgres import PostgresServer
from support.webhook import Receiver

pytestmark = pytest.mark.long

HOST = "hall-3"
START = 1_764_252_000.0
MINUTE = 29_404_200


@pytest.fixture(autouse=True)
def soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is done again after a while is done again soon, so that the tests take seconds."""
    for module in (background_worker, copier):
        monkeypatch.setattr(module, "FIRST_RETRY_S", 0.02)
        monkeypatch.setattr(module, "LAST_RETRY_S", 0.1)
    monkeypatch.setattr(copier, "LOOK_S", 0.1)
    monkeypatch.setattr(delivery_worker, "LOOK_S", 0.1)


@pytest.fixture
def link(postgres: PostgresServer) -> Iterator[CutLink]:
    """A link to the server that can be cut."""
    made = CutLink(postgres.port)
    yield made
    made.cut()


@pytest.fixture
def direct(postgres: PostgresServer) -> str:
    """The address of a new store, by which the test looks into it."""
    return postgres.new_database()


@pytest.fixture
def url(direct: str, link: CutLink, postgres: PostgresServer) -> str:
    """The address of the same store by the link."""
    return direct.replace(f":{postgres.port}/", f":{link.port}/")


def event(number: int = 0, *, ended: bool = True, stream: str = "pump", kind: str = "anomaly") -> Event:
    return Event(kind, number, number + 5.0 if ended else None, START + number, "mic", stream=stream)


def minute(number: int, stream: str = "pump") -> MinuteRow:
    return MinuteRow(stream, MINUTE + number, score_mean=number, share_mean=0.5, seconds={"normal": 60.0})


def stored(address: str) -> list[StoredEvent]:
    """The events in a store; none if there is none yet."""
    try:
        with Store.open(address, create=False) as store:
            return queries.events(store, newest_first=False)
    except StoreError:
        return []


def away(writer: StoreWriter) -> None:
    """Waits until a writer has noticed that its store is away."""
    wait_until(lambda: writer.away_since is not None, "the outage")


def caught_up(writer: SpooledWriter) -> None:
    """Waits until all is in the store."""

    def is_so() -> bool:
        return not writer._waiting and not writer._writing and writer.away_since is None and not _left(writer)

    wait_until(is_so, "the entries in the store")


def _left(writer: SpooledWriter) -> int:
    with writer._spool.open() as store:
        return spool.count(store)


@contextlib.contextmanager
def writing(address: str, **options: Any) -> Iterator[SpooledWriter]:
    """A writer that is ended."""
    writer = SpooledWriter(address, HOST, Path("spool.sqlite"), **options)
    try:
        yield writer
    finally:
        writer.close()
        writer.finish()


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


def test_a_monitor_that_gets_another_name_sends_the_messages_that_wait_and_ends_what_it_left_open(
    url: str, direct: str, link: CutLink, receiver: Receiver
) -> None:
    notify = settings_of(receiver)
    link.cut()
    writer = SpooledWriter(url, "hall-9", Path("spool.sqlite"))
    writer.on_event = Notifier(notify, writer.messages_url, "hall-9").on_event  # which is killed before it sends
    writer.event(lasting("press 1"))
    writer.close()
    writer.finish()
    with telling(url, notify) as renamed:
        wait_until(lambda: ("began", "press 1") in told(receiver), "the message")
        link.mend()
        renamed.event(lasting("press 1"))
        wait_until(lambda: len(stored(direct)) == 2 and stored(direct)[0].ended, "the end of the event")
        caught_up(renamed)
    assert {one.host for one in stored(direct)} == {HOST}


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


# What may happen to a monitor, in any order.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["begin", "change", "end", "files", "acknowledge"]), st.integers(0, 2)),
        st.tuples(st.just("minute"), st.integers(0, 3)),
        st.tuples(st.sampled_from(["cut", "mend", "restart", "wait", "judge"]), st.just(0)),
    ),
    max_size=25,
)


@given(steps=STEPS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_outages_and_restarts_leave_the_same_rows_as_without_them(
    steps: list[tuple[str, int]], postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    direct, expected = postgres.new_database(), f"sqlite:///{folder / 'expected.sqlite'}"
    link = CutLink(postgres.port)
    url = direct.replace(f":{postgres.port}/", f":{link.port}/")
    made = Both(url, expected, folder)
    try:
        for number, (step, which) in enumerate(steps):
            if step == "cut":
                link.cut()
            elif step == "mend":
                link.mend()
            elif step == "restart":
                made.restart()
            elif step == "wait":
                made.wait(caught_up if link._listener is not None else lambda writer: None)
            elif step == "judge":
                made.judge(direct)
            else:
                made.write(step, which, number)
        link.mend()
        made.wait(caught_up)
    finally:
        made.close()
        link.cut()
    assert rows_of(direct) == rows_of(expected)


class Both:
    """A writer that may lose its server, and one that writes the same into a file."""

    def __init__(self, url: str, expected: str, folder: Path) -> None:
        self.url, self.expected, self.folder = url, expected, folder
        self.events: dict[int, Event] = {}
        self.open()

    def open(self) -> None:
        self.writers: list[StoreWriter] = [
            SpooledWriter(self.url, HOST, self.folder / "spool.sqlite"),
            StoreWriter(self.expected, HOST),
        ]

    def close(self) -> None:
        for writer in self.writers:
            writer.close()
            writer.finish()

    def restart(self) -> None:
        self.close()
        self.open()
        self.events = {}

    def wait(self, until: Any) -> None:
        until(self.writers[0])
        wait_until(lambda: not self.writers[1]._waiting and not self.writers[1]._writing, "the file")

    def judge(self, direct: str) -> None:
        """A person judges what is in the store now, in both of them."""
        ids = {one.id for one in stored(direct)}
        self.wait(lambda writer: None)
        for one in sorted(ids):
            for address in (direct, self.expected):
                with Store.open(address) as store:
                    event_lock.set_locked(store, one, True, by="ann")

    def write(self, step: str, which: int, number: int) -> None:
        at = START + 60 * number
        if step == "minute":
            self._each("minute", minute(which))
        elif step == "begin":
            self.events[which] = Event("anomaly", at, None, at, "mic", stream=f"press {which}")
            self._each("event", self.events[which])
        elif which in self.events:
            one = self.events[which]
            if step == "files":
                self._each("files", one.id, clip=f"{number}.flac", clip_start=at)
            elif step == "acknowledge":
                for writer in self.writers:  # at the same time, which `acknowledge` takes from the clock
                    writer.write(Acknowledgement(one.id, "screen", at))
            else:
                changes = {"end_s": at + 1} if step == "end" else {"reminders": number}
                self.events[which] = replace(one, **changes)  # type: ignore[arg-type]
                self._each("event", self.events[which], peak_share=1.0 + number / 7)

    def _each(self, what: str, *arguments: Any, **options: Any) -> None:
        for writer in self.writers:
            getattr(writer, what)(*arguments, **options)


def rows_of(address: str) -> dict[str, list[tuple[Any, ...]]]:
    """What is in a store, without what differs in any two of them: numbers of rows, and times of changes by people."""
    of_events = [one for one in events.c if one.name != "stream_id"]
    of_minutes = [one for one in minutes.c if one.name != "stream_id"]
    wanted = {
        "streams": sa.select(*(one for one in streams.c if one.name != "id")).order_by(streams.c.name),
        "events": sa.select(streams.c.name, *of_events).join(streams).order_by(events.c.id),
        "minutes": sa.select(streams.c.name, *of_minutes).join(streams).order_by(streams.c.name, minutes.c.minute),
        "audit": sa.select(audit.c.by, audit.c.what, audit.c.subject).order_by(audit.c.subject, audit.c.what),
    }
    with Store.open(address) as store, store.reading() as connection:
        return {name: [tuple(row) for row in connection.execute(chosen)] for name, chosen in wanted.items()}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with Receiver() as made:
        yield made


def settings_of(receiver: Receiver, **rule: Any) -> Notify:
    channels = [{"name": "phone", "webhook": receiver.url}]
    return Notify.model_validate({"channels": channels, "rules": [{"to": "phone", **rule}], "digest_from": 10_000})


@contextlib.contextmanager
def telling(address: str, notify: Notify) -> Iterator[SpooledWriter]:
    """A writer and a notifier as a running monitor has them."""
    writer = SpooledWriter(address, HOST, Path("spool.sqlite"))
    notifier = Notifier(notify, writer.messages_url, HOST, pace=Pace(collect_s=0.02, first_retry_s=0.05))
    writer.on_event, writer.after_commit = notifier.on_event, notifier.wake
    notifier.start()
    try:
        yield writer
    finally:
        writer.close()
        notifier.close()
        writer.finish()


def told(receiver: Receiver) -> list[tuple[str, str]]:
    """Stage and stream of all messages that were received."""
    return [(one.content["stage"], one.content["stream"]) for one in receiver.taken]


def sent(address: str) -> list[tuple[str, str]]:
    """Stage and state of all deliveries in a store."""
    with Store.open(address) as store, store.reading() as connection:
        rows = connection.execute(sa.select(deliveries.c.stage, deliveries.c.state).order_by(deliveries.c.id))
        return [tuple(row) for row in rows]


def lasting(stream: str) -> Event:
    """An anomaly that begins now."""
    return Event("anomaly", 0.0, None, time.time(), "mic", stream=stream)


def test_messages_go_out_while_the_server_is_away_and_not_once_more_afterwards(
    url: str, direct: str, link: CutLink, receiver: Receiver
) -> None:
    notify = settings_of(receiver, remind_s=1.0)
    with telling(url, notify) as writer:
        writer.event(first := lasting("press 1"))
        wait_until(lambda: len(receiver.taken) >= 2, "the first reminder")
        caught_up(writer)
        link.cut()
        writer.event(lasting("press 2"))
        away(writer)
        wait_until(lambda: ("reminder 3", "press 1") in told(receiver), "reminders of what began before the outage")
        wait_until(lambda: ("reminder 1", "press 2") in told(receiver), "reminders of what began in it")
        writer.event(replace(first, end_s=time.time() - first.wall_time))
        wait_until(lambda: ("ended", "press 1") in told(receiver), "the end")
    with telling(url, notify) as writer:  # restarted while the server is away
        writer.event(lasting("press 3"))
        wait_until(lambda: ("began", "press 3") in told(receiver), "a message after the restart")
        link.mend()
        caught_up(writer)
    assert len(told(receiver)) == len(set(told(receiver)))
    states = sent(direct)
    assert states.count(("began", "sent")) == 3
    assert len([one for one in states if one[1] == "sent"]) == len(receiver.taken)


def test_what_people_do_at_the_server_ends_reminders_and_mutes_streams(direct: str, receiver: Receiver) -> None:
    with telling(direct, settings_of(receiver, remind_s=1.0, ended=False)) as writer:
        writer.event(first := lasting("press 1"))
        wait_until(lambda: ("reminder 1", "press 1") in told(receiver), "a reminder")
        caught_up(writer)
        with Store.open(direct) as store:
            acknowledgement.acknowledge(store, [first.id], "ann")
            muting.mute(store, [one.id for one in queries.streams(store)], time.time() + 1000, "ann")
        wait_until(lambda: ("reminder 2", "held back") in sent(direct) or sent(direct)[-1][1] == "held back", "the end")
        before = len(receiver.taken)
        writer.event(lasting("press 1"))
        wait_until(lambda: ("began", "waiting") in sent(direct), "the message that waits")
        assert len(receiver.taken) == before


def test_a_message_that_another_program_puts_into_the_outbox_is_sent_once(direct: str, receiver: Receiver) -> None:
    notify = settings_of(receiver)
    with telling(direct, notify) as writer:
        writer.stream("press 1", "1f0c", "mic")
        caught_up(writer)
        test = Event("self-test", 0.0, None, time.time(), "", stream="press 1")
        with Store.open(direct) as store, store.begin() as connection:
            stream = rows.stream_id(connection, HOST, "press 1", time.time())
            rows.write_event(connection, stream, rows.event_columns(test, None, None))
            found = queries.event_in(connection, test.id)
            assert found is not None
            enqueue(connection, found, Rules(notify))
        wait_until(lambda: told(receiver) == [("began", "press 1")], "the message")
        wait_until(lambda: sent(direct) == [("began", "sent")], "the state in the store")
        with Store.open(direct) as store, store.begin() as connection:
            connection.execute(events.update().values(ended=time.time()))
            ended = queries.event_in(connection, test.id)
            assert ended is not None
            enqueue(connection, ended, Rules(notify))
        wait_until(lambda: sent(direct) == [("began", "sent"), ("ended", "sent")], "the end")
    assert told(receiver) == [("began", "press 1"), ("ended", "press 1")]
