"""What is sent, when, and what is not: with a clock that the test sets."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from monitor.core.events import Event
from monitor.notify.muting import mute
from monitor.store import queries
from support.outbox import NOON, Outbox

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
