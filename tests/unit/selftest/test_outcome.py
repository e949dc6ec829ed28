"""A self-test is compared with the first ones; what is detected worse is an event with messages, until it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from monitor.config.plant import Notify
from monitor.notify.outbox import deliveries_of
from monitor.notify.rules import Rules
from monitor.notify.wording import sentence
from monitor.selftest.outcome import Outcome, first_level, store_result
from monitor.selftest.own_sound import OwnSound
from monitor.selftest.run import Detectability, SelfTest
from monitor.store import queries
from monitor.store.database import Store
from monitor.store.rows import stream_id
from monitor.store.selftests import StoredSelfTest, self_tests
from monitor.store.writer import StoreWriter
from support.listening import wait_until

BANDS = np.array([100.0, 1000.0, 4000.0], np.float32)
RULES = Rules(
    Notify.model_validate(
        {
            "channels": [{"name": "phone", "command": "true"}],
            "rules": [{"to": ["phone"]}],
        }
    )
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with one stream."""
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as opened:
        with opened.begin() as connection:
            stream_id(connection, "hall-3", "pump", 1000.0)
        yield opened


def stored(store: Store, now: float, clicks: float | None, squeal: float | None = -9.0, **facts: object) -> Outcome:
    """Stores a self-test with these levels."""
    loss = np.array(facts.pop("loss", [0.0, 0.0, 0.0]))
    own = OwnSound(16_000, 0.05, BANDS, loss, (), 0.0)
    faults = (Detectability("clicks", clicks, 2.0), Detectability("squeal", squeal, 3.0))
    given = {"model_id": "1f0c", "origin": "0a0a", "lost_db": 6.0, **facts}
    [stream] = queries.streams(store)
    return store_result(store, stream, SelfTest(faults, own, 5, 0, 40, 20.0), RULES, now=now, **given)  # type: ignore[arg-type]


def test_the_first_self_test_has_nothing_to_be_compared_with(store: Store) -> None:
    outcome = stored(store, 1.0, None)
    assert outcome.event is None
    assert not any(row.lost for row in outcome.rows)
    [stream] = queries.streams(store)
    assert [(row.fault, row.level_db) for row in self_tests(store, stream.id)] == [("clicks", None), ("squeal", -9.0)]


def test_a_level_that_rises_begins_an_event_and_a_message_and_one_that_falls_again_ends_it(store: Store) -> None:
    assert stored(store, 1.0, -18.0).event is None
    assert stored(store, 2.0, -15.0).event is None, "three decibels are within what a self-test varies by"
    outcome = stored(store, 3.0, -6.0, loss=[0.0, 3.0, 20.0])
    assert outcome.is_new
    assert outcome.event is not None
    assert outcome.event.kind == "self-test"
    assert outcome.event.ended is None
    assert [one.stage for one in deliveries_of(store, outcome.event.id)] == ["began"]
    text = sentence(outcome.event, "began")
    assert "pump on hall-3 has been monitored less well than at first since" in text
    assert "clicks reported from -6 dB on, at first from -16.5 dB on" in text
    assert "the microphone hears up to 20 dB less at 4.0 kHz" in text
    assert "Check whether its microphone is covered" in text
    still = stored(store, 4.0, None)
    assert not still.is_new
    assert still.event is not None
    assert still.event.id == outcome.event.id
    assert "clicks not reported at any level" in still.event.note
    ended = stored(store, 5.0, -18.0)
    assert ended.event is not None
    assert ended.event.ended == 5.0
    assert stored(store, 6.0, -18.0).event is None


def test_a_new_configured_model_begins_anew_and_a_relearnt_one_does_not(store: Store) -> None:
    stored(store, 1.0, -18.0)
    assert stored(store, 2.0, 0.0, origin="0b0b", model_id="0b0b").event is None
    assert stored(store, 3.0, 0.0, model_id="2f2f").event is not None


def test_the_first_three_levels_count_and_not_those_that_were_worse() -> None:
    def row(level: float | None, *, lost: bool = False) -> StoredSelfTest:
        return StoredSelfTest(0.0, "", "clicks", level, None, {"origin": "a", "lost": lost})

    assert first_level([], "clicks", "a") is None
    assert first_level([row(None)], "clicks", "a") is None
    assert first_level([row(-12), row(0, lost=True), row(-18), row(-15), row(6), row(6)], "clicks", "a") == -15
    assert first_level([row(-12)], "clicks", "b") is None
    assert first_level([row(-12)], "squeal", "a") is None


def test_the_event_outlives_a_restart_of_the_monitor(store: Store, tmp_path: Path) -> None:
    stored(store, 1.0, -18.0)
    stored(store, 2.0, 0.0)
    writer = StoreWriter(f"sqlite:///{tmp_path / 'store.sqlite'}", "hall-3")
    writer.stream("pump", "1f0c", "microphone")
    wait_until(lambda: queries.streams(store)[0].model_id == "1f0c", "the writer has opened the store")
    writer.close()
    [event] = queries.events(store, kinds=["self-test"])
    assert event.ended is None
