"""An entry means the same after it has waited in a file, and when it is written late."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from monitor.core.events import Event
from monitor.store import rows
from monitor.store.database import Store
from monitor.store.entries import (
    KINDS,
    Acknowledgement,
    AuditEntry,
    Entry,
    EventChange,
    EventEntry,
    MinuteEntry,
    ModelEntry,
    StreamEntry,
    StreamIds,
    as_text,
    of_text,
    write_all,
)
from monitor.store.minute_row import MinuteRow
from monitor.store.tables import audit, events, minutes
from support.score_rows import MINUTE, START

EVENT = Event("anomaly", 0.1, None, START + 1 / 3, "pump\udcff.wav", peak=1 / 7, stream="pump")
ENTRIES: tuple[Entry, ...] = (
    EventEntry("pump", rows.event_columns(EVENT, 1 / 3, math.nan)),
    EventChange(EVENT.id, {"clip": None, "note": "too long"}),
    Acknowledgement(EVENT.id, "screen", START),
    MinuteEntry(MinuteRow("pump", int(MINUTE), score_mean=1 / 3, seconds={"normal": 59.9})),
    StreamEntry("pump", "1f0c", "mic", START),
    ModelEntry("1f0c", "pump-3", {"score": math.inf}, {"from": ["a", None, True]}, START),
    AuditEntry("ann", "reload", "settings", None, ["a"], START),
)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_an_entry_is_the_same_after_it_has_waited_in_a_file(entry: Entry) -> None:
    again = of_text(entry.kind, as_text(entry))
    assert repr(again) == repr(entry)  # NaN is not equal to itself
    assert (again.about, again.seen, again.for_messages) == (entry.about, entry.seen, entry.for_messages)


def test_every_kind_of_entry_can_wait_in_a_file() -> None:
    assert {type(entry) for entry in ENTRIES} == set(KINDS.values())


def test_numbers_of_numpy_can_wait_in_a_file() -> None:
    row = MinuteRow("pump", np.int64(5), score_mean=np.float32(0.5))  # type: ignore[arg-type]
    plain = MinuteEntry(MinuteRow("pump", 5, score_mean=0.5))
    assert as_text(of_text("minute", as_text(MinuteEntry(row)))) == as_text(plain)


def test_an_acknowledgement_that_comes_late_keeps_its_time_and_does_not_replace_an_earlier_one(store_url: str) -> None:
    ids = StreamIds("hall-3")
    with Store.open(store_url) as store, store.begin() as connection:
        ENTRIES[0].write(connection, ids)
        for by, at in (("screen", START + 5), ("ann", START + 9)):
            Acknowledgement(EVENT.id, by, at).write(connection, ids)
        assert connection.execute(sa.select(events.c.acknowledged_by, events.c.acknowledged)).one() == (
            "screen",
            START + 5,
        )
        assert connection.execute(sa.select(audit.c.by, audit.c.time)).all() == [("screen", START + 5)]


def test_many_minutes_at_once_are_the_same_as_one_after_another(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    entries = [
        MinuteEntry(MinuteRow(f"press {stream}", int(minute), share_mean=share, seconds={"normal": 20.0}))
        for stream, minute, share in zip(
            generator.integers(0, 3, 200), generator.integers(0, 40, 200), generator.random(200), strict=True
        )
    ]
    found = []
    for name, parts in (("singly", [[one] for one in entries]), ("together", [entries[:90], entries[90:]])):
        ids = StreamIds("hall-3")
        with Store.open(f"sqlite:///{tmp_path / name}.sqlite") as store, store.begin() as connection:
            for part in parts:
                write_all(connection, part, ids)
            found.append(connection.execute(sa.select(minutes).order_by(*minutes.primary_key)).all())
    assert found[0] == found[1]
    assert len(found[0]) > 60
