"""Messages are sent while the store is away, once, and what people do at the store counts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from monitor.config.plant import Notify
from monitor.core.events import Event
from monitor.notify import acknowledgement, muting
from monitor.notify.notifier import Notifier
from monitor.notify.outbox import enqueue
from monitor.notify.pace import Pace
from monitor.notify.rules import Rules
from monitor.store import queries, rows
from monitor.store.database import Store
from monitor.store.spooled_writer import SpooledWriter
from monitor.store.tables import deliveries, events
from support.cut_link import CutLink
from support.listening import wait_until
from support.spools import HOST, away, caught_up, stored
from support.webhook import Receiver

pytestmark = pytest.mark.long


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
