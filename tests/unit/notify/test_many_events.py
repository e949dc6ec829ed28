"""Many events are few messages."""

from __future__ import annotations

import tracemalloc

import pytest
import sqlalchemy as sa

from monitor.core.events import Event, new_event_id
from monitor.store.tables import deliveries
from monitor.store.tables import events as events_table
from support.outbox import Outbox


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


@pytest.mark.long
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
