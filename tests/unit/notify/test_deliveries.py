"""What is sent, when, and what is not: with a clock that the test sets."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from monitor.core.events import Event, new_event_id
from monitor.notify.acknowledgement import acknowledge, acknowledge_events, ongoing_events
from monitor.notify.muting import mute
from monitor.notify.outbox import deliveries_summary, enqueue, newest_deliveries
from monitor.store import queries, rows
from monitor.store.database import Store
from monitor.store.entries import Acknowledgement, StreamIds
from monitor.store.tables import audit, deliveries
from monitor.store.tables import events as events_table
from support.listening import wait_until
from support.outbox import NOON, Outbox, busy
from support.postgres import PostgresServer, waits

HOUR = 3600.0


def test_an_event_is_sent_within_seconds_and_once() -> None:
    box = Outbox()
    box.begin()
    box.wait(4)
    assert box.phone.stages == ["began press 1"]
    box.wait(100, step_s=10)
    box.restart()
    box.wait(100, step_s=10)
    assert len(box.phone.tried) == 1
    [row] = box.rows()
    assert (row.state, row.attempts, row.why) == ("sent", 1, None)
    assert row.sent - NOON <= 5


def test_the_end_of_an_event_that_was_sent_is_sent_too() -> None:
    box = Outbox()
    event = box.begin()
    box.wait(60, step_s=10)
    box.end(event)
    box.wait()
    assert box.phone.stages == ["began press 1", "ended press 1"]
    assert "press 1 on hall sounded unusual for 60 s" in box.phone.contents[1]["text"]


def test_no_end_is_sent_where_the_rule_does_not_want_it() -> None:
    box = Outbox({"ended": False})
    event = box.begin()
    box.wait()
    box.end(event)
    box.wait()
    assert box.phone.stages == ["began press 1"]


def test_an_event_that_ends_before_it_is_sent_is_one_message_that_says_both() -> None:
    box = Outbox()
    event = box.begin()
    box.now += 0.5
    box.end(event)
    box.wait(20)
    [content] = box.phone.contents
    assert content["stage"] == "began"
    assert content["event"]["ended"] == "2025-11-27T12:00:00.500Z"


def test_an_event_without_duration_is_sent_without_an_end() -> None:
    box = Outbox({"kinds": ["gap", "drift"]})
    box.begin(kind="gap", end_s=0.0, lost_samples=800)
    box.write(Event("gap", 0.0, 0.2, box.now, "a microphone", stream="press 1"))
    box.wait(20)
    assert box.phone.stages == ["began press 1"]
    assert box.states() == ["sent", "held back"]  # the second one falls into the cool-down


def test_only_the_kinds_and_streams_of_a_rule_are_sent() -> None:
    box = Outbox({"streams": "press *", "kinds": "anomaly"})
    box.begin("fan")
    box.begin(kind="off")
    box.wait()
    assert box.rows() == []
    box.begin()
    box.wait()
    assert box.phone.stages == ["began press 1"]


# How long an event has to last


def test_an_event_that_is_shorter_than_after_s_is_not_sent() -> None:
    box = Outbox({"after_s": 60})
    event = box.begin()
    box.wait(30, step_s=10)
    box.end(event)
    box.wait(100, step_s=10)
    assert box.phone.tried == []
    [row] = box.rows()
    assert (row.state, row.why) == ("held back", "it lasted only 30 s")


def test_an_event_that_lasts_is_sent_after_after_s() -> None:
    box = Outbox({"after_s": 60})
    box.begin()
    box.wait(59, step_s=10)
    assert box.phone.tried == []
    box.wait(5)
    assert box.phone.stages == ["began press 1"]


def test_an_event_that_is_over_when_it_is_first_heard_of_is_measured_as_well() -> None:
    box = Outbox({"after_s": 10})
    box.begin(end_s=3.0)
    box.begin("press 2", end_s=12.0)
    box.now += 12
    box.wait()
    assert box.phone.stages == ["began press 2"]


# Cool-down


def test_within_the_cool_down_an_event_is_recorded_and_not_sent() -> None:
    box = Outbox({"cool_down_s": 300})
    box.end(box.begin())
    box.wait(10)
    event = box.begin()
    box.wait(10)
    box.end(event)
    box.wait(400, step_s=10)
    assert box.phone.stages == ["began press 1"]
    assert [(row.state, row.why) for row in box.rows()][1] == (
        "held back",
        "cool-down of 5 min after the message at 12:00; it ended before",
    )


def test_an_event_that_outlasts_the_cool_down_is_sent_at_its_end() -> None:
    box = Outbox({"cool_down_s": 300})
    box.end(box.begin())
    box.wait(10)
    box.begin()
    box.wait(280, step_s=10)
    assert len(box.phone.sent) == 1
    box.wait(30)
    assert box.phone.stages == ["began press 1"] * 2


def test_the_cool_down_is_of_one_stream_and_kind_and_channel() -> None:
    box = Outbox({"to": ["phone", "mail"], "cool_down_s": 300}, channels=["phone", "mail"])
    for stream, kind in (("press 1", "anomaly"), ("press 1", "lost"), ("press 2", "anomaly")):
        box.begin(stream, kind)
        box.wait(4)
    for channel in box.channels.values():
        assert channel.stages == ["began press 1", "began press 1", "began press 2"]


# Quiet hours and maintenance


def test_an_event_of_quiet_hours_is_sent_in_the_morning_if_it_still_lasts() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    box = Outbox({"quiet": "22:00-06:00"}, zone=berlin)
    box.now = NOON + 10 * HOUR  # 23:00 in Berlin
    lasting = box.begin("press 1")
    over = box.begin("press 2")
    box.wait(10)
    assert {(row.state, row.why) for row in box.rows()} == {("waiting", "quiet hours until 2025-11-28 06:00")}
    box.end(over)
    box.wait(7 * HOUR - 20, step_s=600)
    assert box.phone.tried == []
    box.wait(20)
    assert box.phone.stages == ["began press 1"]
    assert sorted(box.states()) == ["held back", "sent"]
    assert lasting.id == box.phone.contents[0]["event"]["id"]


def test_an_end_in_quiet_hours_is_told_when_they_are_over_because_the_beginning_was_told() -> None:
    box = Outbox({"quiet": "12:30-13:00"})
    event = box.begin()
    box.wait(HOUR * 0.6, step_s=60)
    box.end(event)
    box.wait(60, step_s=10)
    assert box.phone.stages == ["began press 1"]
    box.wait(HOUR / 2, step_s=60)
    assert box.phone.stages == ["began press 1", "ended press 1"]


def test_a_muted_stream_is_recorded_and_not_sent_and_others_are() -> None:
    box = Outbox()
    for event in (box.begin("press 1"), box.begin("press 2")):
        box.wait()
        box.end(event)
    box.wait()
    box.now += HOUR
    streams = {one.name: one.id for one in queries.streams(box.store)}
    mute(box.store, [streams["press 1"]], box.now + 2 * HOUR, "anna")
    event = box.begin("press 1")
    box.begin("press 2")
    box.wait(10)
    box.end(event)
    box.wait(3 * HOUR, step_s=600)
    assert box.phone.stages[4:] == ["began press 2"]
    assert box.rows("began")[2].why == "muted until 15:00; it ended before"


def test_unmuting_sends_what_still_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Outbox({"cool_down_s": 0})
    monkeypatch.setattr("time.time", lambda: box.now)
    box.end(box.begin())
    box.wait()
    [stream] = queries.streams(box.store)
    mute(box.store, [stream.id], box.now + 50 * HOUR, "anna")
    box.begin()
    box.wait(10)
    assert len(box.phone.sent) == 1
    mute(box.store, [stream.id], None, "anna")
    box.wait(4)
    assert box.phone.stages == ["began press 1"] * 2


# Reminders, acknowledging, escalation


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


# Many events


def test_many_events_are_one_message() -> None:
    box = Outbox()
    for number in range(100):
        box.begin(f"press {number}")
        box.now += 0.01
    box.wait(20, step_s=4)
    [content] = box.phone.contents
    assert (content["stage"], content["count"], len(content["events"])) == ("digest", 100, 100)
    assert len({one["delivery"] for one in content["events"]}) == 100
    assert content["text"].startswith("100 messages at once")
    assert set(box.states()) == {"sent"}


def test_few_events_are_a_message_each() -> None:
    box = Outbox(digest_from=5)
    for number in range(4):
        box.begin(f"press {number}")
    box.wait(20)
    assert len(box.phone.sent) == 4


def test_a_flood_makes_few_messages_that_have_a_limit() -> None:
    box = Outbox()
    for second in range(10):
        box.write(*(Event("anomaly", 0.0, 0.1, box.now, "x", stream=f"press {second * 15 + n}") for n in range(15)))
        box.wait(1)
    box.wait(60, step_s=5)
    contents = box.phone.contents
    assert len(contents) <= 4
    assert sum(one["count"] for one in contents) == 150
    assert max(len(one["events"]) for one in contents) <= 100
    assert set(box.states()) == {"sent"}


def test_ten_thousand_events_are_one_message_and_need_little_memory() -> None:
    box = Outbox()
    example = box.begin()
    with box.store.begin() as connection:
        stored = connection.execute(sa.select(events_table)).mappings().one()
        many = [{**stored, "id": new_event_id()} for _ in range(10_000)]
        connection.execute(events_table.insert(), many)
        row = connection.execute(sa.select(deliveries)).mappings().one()
        connection.execute(
            deliveries.insert(),
            [{**row, "id": new_event_id(), "event_id": one["id"], "stage": "ended"} for one in many],
        )
    tracemalloc.start()
    box.wait(5, step_s=5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    [content] = box.phone.contents
    assert (content["count"], len(content["events"])) == (10_001, 100)
    assert len(box.phone.sent[0].body) < 200_000
    assert peak < 20e6
    assert set(box.states()) == {"sent"}
    assert example.id in {one["event"]["id"] for one in content["events"]}


def test_a_flood_of_one_stream_is_one_message_and_the_rest_is_held_back() -> None:
    box = Outbox()
    for _ in range(50):
        box.write(Event("anomaly", 0.0, 0.1, box.now, "x", stream="press 1"))
        box.now += 0.05
    box.wait(300, step_s=20)
    assert len(box.phone.sent) == 1
    assert box.states().count("held back") == 49


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
