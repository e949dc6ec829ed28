"""Reminders are sent until an event ends or somebody acknowledges it, and others are told if nobody does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from monitor.core.events import Event
from monitor.notify.acknowledgement import acknowledge, acknowledge_events, ongoing_events
from monitor.notify.outbox import enqueue
from monitor.store import queries, rows
from monitor.store.database import Store
from monitor.store.entries import Acknowledgement, StreamIds
from support.listening import wait_until
from support.outbox import NOON, Outbox, busy
from support.postgres import PostgresServer, waits

HOUR = 3600.0


def test_reminders_are_sent_until_the_event_ends() -> None:
    box = Outbox({"remind_s": 600})
    event = box.begin()
    box.wait(2000, step_s=50)
    box.end(event)
    box.wait(2000, step_s=50)
    assert box.phone.stages == [
        "began press 1", "reminder 1 press 1", "reminder 2 press 1", "reminder 3 press 1", "ended press 1"
    ]  # fmt: skip
    assert box.phone.contents[1]["text"].startswith("Reminder 1: press 1 on hall has sounded unusual since 12:00:00")


def test_reminders_end_when_somebody_acknowledges_and_the_end_is_still_told() -> None:
    box = Outbox({"remind_s": 600})
    event = box.begin()
    box.wait(700, step_s=50)
    assert ongoing_events(box.store) == [event.id]
    assert acknowledge(box.store, [event.id], "anna") == 1
    assert acknowledge(box.store, [event.id], "otto") == 0
    box.wait(1900, step_s=50)
    box.end(event)
    box.wait()
    assert box.phone.stages == ["began press 1", "reminder 1 press 1", "ended press 1"]
    assert box.rows("reminder 2")[0].why == "acknowledged by anna"
    assert box.phone.contents[2]["event"]["acknowledged_by"] == "anna"


def test_of_two_people_who_acknowledge_at_the_same_time_the_first_is_noted(postgres: PostgresServer) -> None:
    store = Store.open(postgres.new_database())
    event = Event("anomaly", 0.0, None, NOON, "mic", stream="press 1")
    with store.begin() as connection:
        rows.write_event(connection, rows.stream_id(connection, "hall", "press 1", NOON),
                         rows.event_columns(event, None, None))  # fmt: skip
    with ThreadPoolExecutor(1) as other:
        with store.begin() as connection:
            assert acknowledge_events(connection, [event.id], "anna") == 1
            later = other.submit(acknowledge, store, [event.id], "otto")
            wait_until(lambda: waits(store), "the second one, who waits")
        assert later.result() == 0
    assert queries.events(store)[0].acknowledged_by == "anna"


def test_an_acknowledgement_at_the_screen_ends_reminders_at_once() -> None:
    box = Outbox({"remind_s": 600})
    event = box.begin()
    box.wait(5)
    with box.store.begin() as connection:
        Acknowledgement(event.id, "screen", box.now).write(connection, StreamIds(box.host))
        stored = queries.event_in(connection, event.id)
        assert stored is not None
        enqueue(connection, stored, box.rules)
    [reminder] = box.rows("reminder 1")
    assert (reminder.state, reminder.why) == ("held back", "acknowledged by screen")


def test_others_are_told_if_nobody_acknowledges() -> None:
    box = Outbox({"escalate_to": "boss", "escalate_after_s": 1800}, channels=["phone", "boss"])
    event = box.begin()
    box.wait(1700, step_s=50)
    assert box.channels["boss"].tried == []
    box.wait(200, step_s=10)
    assert box.channels["boss"].stages == ["escalated press 1"]
    assert box.channels["boss"].contents[0]["text"].startswith("Nobody has acknowledged this: ")
    box.end(event)
    box.wait()
    assert box.channels["boss"].stages == ["escalated press 1", "ended press 1"]


@pytest.mark.parametrize("how", ["acknowledged", "ended"])
def test_nobody_else_is_told_of_what_is_acknowledged_or_over(how: str) -> None:
    box = Outbox({"escalate_to": "boss", "escalate_after_s": 1800}, channels=["phone", "boss"])
    event = box.begin()
    box.wait(60, step_s=10)
    if how == "acknowledged":
        acknowledge(box.store, [event.id], "anna")
    else:
        box.end(event)
    box.wait(4000, step_s=100)
    assert box.channels["boss"].tried == []
    assert box.rows("escalated")[0].state == "held back"


def test_escalation_does_not_need_a_channel_that_works() -> None:
    box = Outbox({"escalate_to": "boss", "escalate_after_s": 1800}, channels=["phone", "boss"])
    box.phone.failure = busy()
    box.begin()
    box.wait(2000, step_s=40)
    assert box.phone.sent == []
    assert box.channels["boss"].stages == ["escalated press 1"]


def test_escalation_waits_for_quiet_hours_as_the_message_did() -> None:
    box = Outbox({"quiet": "11:00-13:00", "escalate_to": "boss", "escalate_after_s": 60}, channels=["phone", "boss"])
    box.begin()
    box.wait(HOUR - 10, step_s=60)
    assert box.channels["boss"].tried == []
    box.wait(90, step_s=5)
    assert [one.stages for one in box.channels.values()] == [["began press 1"], ["escalated press 1"]]
