"""Messages wait in the outbox until they are sent, also over a restart, and it says what has become of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from monitor.core.events import Event
from monitor.notify.acknowledgement import acknowledge
from monitor.notify.muting import mute
from monitor.notify.outbox import deliveries_summary, newest_deliveries
from monitor.store import queries
from monitor.store.tables import audit
from support.outbox import NOON, Outbox, busy

HOUR = 3600.0


# Restarts, and several computers


def test_what_waits_is_sent_after_a_restart() -> None:
    box = Outbox({"after_s": 60})
    box.begin()
    box.restart()
    box.wait(70)
    assert box.phone.stages == ["began press 1"]


def test_an_event_that_a_killed_monitor_left_open_is_told_to_have_ended_where_it_was_told_to_have_begun() -> None:
    box = Outbox()
    event = box.begin()
    box.wait()
    box.restart()
    box.end(replace(event, cut_off=True))
    box.wait()
    assert box.phone.stages == ["began press 1", "ended press 1"]
    assert "until the monitoring ended" in box.phone.contents[1]["text"]


def test_an_event_of_before_the_rules_is_not_sent_when_a_restart_ends_it() -> None:
    box = Outbox({"streams": "other"})
    event = box.begin()
    later = Outbox()
    later.end(replace(event, cut_off=True))
    later.wait()
    assert later.phone.tried == []


def test_computers_that_share_a_store_send_their_own_events_only() -> None:
    one, other = Outbox(), Outbox(host="yard")
    one.begin("press 1")
    other.begin("saw")
    one.wait()
    other.wait()
    assert one.phone.stages == ["began press 1"]
    assert other.phone.stages == ["began saw"]
    assert other.phone.contents[0]["host"] == "yard"


def test_an_event_is_in_the_outbox_once_however_often_it_is_written() -> None:
    box = Outbox({"to": ["phone", "mail"]}, channels=["phone", "mail"])
    event = box.begin()
    box.write(replace(event, reminders=1), replace(event, reminders=2), event)
    assert sorted((row.channel, row.stage) for row in box.rows()) == [("mail", "began"), ("phone", "began")]
    box.wait()
    box.end(event)
    box.end(event)
    assert len(box.rows()) == 4


def test_the_outbox_is_written_with_the_event_or_not_at_all() -> None:
    box = Outbox()
    event = Event("anomaly", 0.0, None, box.now, "x", stream="press 1")
    with pytest.raises(RuntimeError, match="power failure"):
        box.write(event, then=RuntimeError("power failure"))
    assert (box.rows(), queries.events(box.store)) == ([], [])


def test_everything_works_in_either_database(store_url: str) -> None:
    rule = {"remind_s": 600, "escalate_to": "boss", "escalate_after_s": 900}
    box = Outbox(rule, channels=["phone", "boss"], url=store_url)
    events = [box.begin(f"press {number}") for number in range(7)]
    single = box.begin("fan", "lost")
    box.wait(4)
    assert box.phone.contents[0]["count"] == 8
    box.end(single)
    box.wait(20)
    assert box.phone.stages == ["digest", "ended fan"]
    second = box.begin("fan", "lost")
    box.wait(4)
    streams = {one.name: one.id for one in queries.streams(box.store)}
    mute(box.store, [streams["press 1"]], box.now + HOUR, "anna")
    acknowledge(box.store, [one.id for one in events[2:]], "anna")
    box.end(second)
    box.phone.failures = [busy("it is busy")]
    box.wait(1400, step_s=60)
    assert box.phone.stages[2:] == ["reminder 1 press 0", "reminder 2 press 0"]
    assert box.channels["boss"].stages == ["escalated press 0"]
    assert [row.why for row in box.rows("reminder 1") if row.event_id == events[1].id] == ["muted until 13:00"]
    summary = deliveries_summary(box.store, "hall", box.now)
    assert (summary.waiting, summary.given_up) == (0, 0)
    assert len(newest_deliveries(box.store, ["sent", "held back", "waiting"], 100)) == len(box.rows())


# What is known of the outbox


def test_the_summary_says_how_many_messages_wait_and_for_how_long() -> None:
    box = Outbox({"after_s": 100})
    assert deliveries_summary(box.store, "hall", box.now).as_mapping() == {
        "waiting": 0, "oldest_waiting_s": None, "stuck": 0, "given_up": 0, "last_error": "",
    }  # fmt: skip
    box.phone.failure = busy("it is busy")
    box.begin()
    box.wait(50, step_s=10)
    assert deliveries_summary(box.store, "hall", box.now).waiting == 0  # it is not due yet
    box.wait(650, step_s=10)
    summary = deliveries_summary(box.store, "hall", box.now)
    assert (summary.waiting, summary.stuck, summary.last_error) == (1, 1, "it is busy")
    assert summary.oldest_waiting_s is not None
    assert 580 <= summary.oldest_waiting_s <= 600
    assert deliveries_summary(box.store, "yard", box.now).waiting == 0


def test_deliveries_are_listed_with_what_they_are_about() -> None:
    box = Outbox()
    event = box.begin()
    box.wait()
    [row] = newest_deliveries(box.store, ["sent"], 10)
    assert (row.event, row.host, row.stream, row.kind, row.channel) == (event.id, "hall", "press 1", "anomaly", "phone")
    assert newest_deliveries(box.store, ["waiting"], 10) == []


def test_what_people_do_is_in_the_audit_trail() -> None:
    box = Outbox()
    event = box.begin()
    acknowledge(box.store, [event.id], "anna")
    [stream] = queries.streams(box.store)
    mute(box.store, [stream.id], NOON, "otto")
    mute(box.store, [stream.id], None, "otto")
    with box.store.reading() as connection:
        entries = [(row.by, row.what, row.subject, row.facts) for row in connection.execute(sa.select(audit))]
    assert entries == [
        ("anna", "acknowledge", event.id, {"before": None, "after": True}),
        ("otto", "mute", "hall/press 1", {"before": None, "after": NOON}),
        ("otto", "mute", "hall/press 1", {"before": NOON, "after": None}),
    ]
