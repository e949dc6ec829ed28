"""Verdicts wait for a broker that is away, in a bounded amount of memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.integrations import mqtt_verdicts
from monitor.integrations.mqtt_topics import Topics
from monitor.integrations.mqtt_verdicts import LONGEST_REQUEST, VerdictDesk
from monitor.store import verdicts
from monitor.store.database import Store
from support.listening import wait_until
from support.postgres import PostgresServer
from support.stored import fill, stored_event

EVENT = stored_event(1)
TOPICS = Topics("acoustic-monitor", "hall-3")


def test_verdicts_wait_in_the_store_while_the_broker_is_away_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_verdicts, "MOST_READY", 3)
    monkeypatch.setattr(mqtt_verdicts, "WAITING", 2)
    monkeypatch.setattr(mqtt_verdicts, "LOOK_S", 0.01)
    url = f"sqlite:///{tmp_path / 'monitor.sqlite'}"
    with Store.open(url) as store:
        fill(store, {}, [EVENT])
        desk = VerdictDesk(url, "hall-3", TOPICS)
        wait_until(lambda: desk._seen is not None, "a desk that looks for new verdicts")
        for number in range(10):
            verdicts.record(store, EVENT.id, "disturbance", by=f"person {number}")
        published, most = [], 0
        while len(published) < 10:
            wait_until(lambda: len(desk.ready) > 0, "a verdict to publish")
            most = max(most, len(desk.ready))
            published.append(desk.ready.popleft().payload)
        desk.close()
    assert most <= 4
    assert [f"person {number}" in payload for number, payload in enumerate(published)] == [True] * 10


def test_of_two_verdicts_at_the_same_time_both_are_published(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_verdicts, "LOOK_S", 0.01)
    url, other = postgres.new_database(), stored_event(2)
    with Store.open(url) as store:
        fill(store, {}, [EVENT, other])
        desk = VerdictDesk(url, "hall-3", TOPICS)
        wait_until(lambda: desk._seen is not None, "a desk that looks for new verdicts")
        with store.begin() as connection:
            verdicts.record_in(connection, EVENT.id, "sensor", by="ann")
            verdicts.record(store, other.id, "disturbance", by="ben")  # has a higher number, and is there first
            wait_until(lambda: len(desk.ready) == 1, "the verdict that is there")
        wait_until(lambda: len(desk.ready) == 2, "the other one")
        desk.close()
    assert ["ann" in message.payload for message in desk.ready] == [False, True]


def test_answers_beyond_a_bound_are_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_verdicts, "MOST_READY", 3)
    desk = VerdictDesk(f"sqlite:///{tmp_path / 'none.sqlite'}", "hall-3", TOPICS)
    for _ in range(10):
        desk.refuse(f'{{"request": "{"x" * LONGEST_REQUEST}"}}', "it is too long.")
    desk.close()
    assert len(desk.ready) == 3
    assert desk.lost == 7
    assert all(len(message.payload) < LONGEST_REQUEST for message in desk.ready)
