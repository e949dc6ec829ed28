"""What a self-test means: compared with the first ones, stored, and an event if faults are detected worse."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from monitor.core.events import Band, new_event_id
from monitor.core.text import band_range
from monitor.notify.outbox import enqueue
from monitor.notify.rules import Rules
from monitor.selftest.faults import MissingHarmonic
from monitor.selftest.own_sound import OwnSound
from monitor.selftest.run import Detectability, SelfTest
from monitor.store import rows
from monitor.store.database import Store
from monitor.store.queries import event_in
from monitor.store.records import StoredEvent, StoredStream
from monitor.store.selftests import StoredSelfTest, self_tests_in, write_in
from monitor.store.tables import events

KIND = "self-test"  # of the event
FIRST = 3  # so many of the first self-tests are what later ones are compared with
LOSS_DB = 6.0  # from which loss of the microphone on it is mentioned


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a self-test: its rows in the store, and its event."""

    rows: tuple[StoredSelfTest, ...]  # a row for each fault
    loss: str  # what the microphone hears less well; empty if it does not
    event: StoredEvent | None  # that lasts, or has just ended; None: all faults are detected as at first
    is_new: bool = False  # whether the event has begun with this self-test


def store_result(
    store: Store,
    stream: StoredStream,
    result: SelfTest,
    rules: Rules,
    *,
    model_id: str,
    origin: str,
    lost_db: float,
    now: float,
) -> Outcome:
    """Stores a self-test; its event and the messages of that stand in the store in the same transaction.

    A fault is detected worse than at first if its level is at least `lost_db` above the median of its first three
    levels, or if it is not reported at any level any more. Levels are compared as long as the configured model is the
    same, also when models that were relearnt take its place. The event lasts until all faults are detected as at first.

    Args:
        store: the store.
        stream: that was tested.
        result: of the test.
        rules: which channels are told of the event.
        model_id: of the bundle that was tested.
        origin: model id of the configured model.
        lost_db: rise of a level from which on detectability is lost (`selftest.lost_db`).
        now: Unix time.

    Raises:
        StoreError: if the store cannot be written.
    """
    loss = loss_text(result.own)
    with store.begin() as connection:
        before = self_tests_in(connection, stream.id)
        made = [
            _row(one, result, first_level(before, one.fault, origin), model_id, origin, lost_db, now)
            for one in result.faults
        ]
        for row in made:
            write_in(connection, stream.id, row)
        lost = [row for row in made if row.lost]
        note = "; ".join([*map(lost_text, lost), *([loss] if loss and lost else [])])
        event_id, is_new = _write_event(connection, stream, note, model_id, now)
        event = event_in(connection, event_id) if event_id else None
        if event is not None:
            enqueue(connection, event, rules)
    return Outcome(tuple(made), loss, event, is_new)


def first_level(before: Sequence[StoredSelfTest], fault: str, origin: str) -> float | None:
    """The level that a fault is compared with: the median of its first ones with the same configured model.

    Args:
        before: the earlier self-tests of the stream, oldest first. Those that found it detected worse do not count.
        fault: its name.
        origin: model id of the configured model.

    Returns:
        None if there is none yet.
    """
    levels = [
        one.level_db
        for one in before
        if one.fault == fault and one.facts.get("origin") == origin and one.level_db is not None and not one.lost
    ]
    return statistics.median(levels[:FIRST]) if levels else None


def lost_text(row: StoredSelfTest) -> str:
    """How much worse a fault is detected than at first, in words."""
    first = row.facts.get("first_db")
    now = "not reported at any level" if row.level_db is None else f"reported from {level_of(row)} on"
    if why := row.facts.get("untested"):
        now = f"not testable ({why})"
    return f"{row.fault} {now}" + ("" if first is None else f", at first from {level_text(first, row.fault)} on")


def level_of(row: StoredSelfTest) -> str:
    """The level from which on a fault is reported, in words."""
    if row.facts.get("untested"):
        return "not tested"
    return "at no level" if row.level_db is None else level_text(row.level_db, row.fault)


def level_text(level_db: float, fault: str) -> str:
    """A level of a fault in words: +3 dB, -12 dB; of a missing harmonic 6 dB less."""
    if fault == MissingHarmonic.name:
        return f"{level_db:g} dB less"
    return f"{level_db:+g} dB" if level_db else "0 dB"


def loss_text(own: OwnSound) -> str:
    """Where the microphone hears less than when the model was made, in words; empty if it hears as well."""
    most = float(own.loss_db.max())
    if most < LOSS_DB:
        return ""
    concerned = own.band_hz[own.loss_db >= 0.5 * most]
    where = band_range(Band(float(concerned.min()), float(concerned.max()), 0.0, "missing"))
    return f"the microphone hears up to {most:.0f} dB less at {where} than when the model was made"


def _row(
    one: Detectability,
    result: SelfTest,
    first_db: float | None,
    model_id: str,
    origin: str,
    lost_db: float,
    now: float,
) -> StoredSelfTest:
    worse = one.level_db is None or (first_db is not None and one.level_db - first_db >= lost_db - 1e-9)
    facts: dict[str, Any] = {
        "origin": origin,
        "first_db": first_db,
        "lost": first_db is not None and worse,
        "untested": one.untested,
        "trials": [asdict(trial) for trial in one.trials],
        "stretches": result.stretches,
        "left_out": result.left_out,
        "pieces": result.pieces,
        "level_dbfs": round(result.own.level_dbfs, 1),
        "loss_db": [round(float(loss), 1) for loss in np.asarray(result.own.loss_db)],
    }
    return StoredSelfTest(now, model_id, one.fault, one.level_db, one.delay_s, facts)


def _write_event(
    connection: sa.Connection, stream: StoredStream, note: str, model_id: str, now: float
) -> tuple[str, bool]:
    """Begins the event of a stream, goes on with the one that lasts, or ends it.

    Args:
        connection: in a transaction that writes.
        stream: the stream.
        note: what is detected worse; empty: nothing is.
        model_id: of the bundle that was tested.
        now: Unix time.

    Returns:
        the id of the event, "" if there is none; and whether it is new.
    """
    open_one = sa.select(events.c.id).where(
        events.c.stream_id == stream.id, events.c.kind == KIND, events.c.ended.is_(None)
    )
    lasting = connection.scalar(open_one)
    if lasting is not None:
        changes = {"note": note} if note else {"ended": now}
        connection.execute(events.update().where(events.c.id == lasting).values(**changes))
        return lasting, False
    if not note:
        return "", False
    columns = {"id": new_event_id(), "kind": KIND, "onset": now, "reported": now, "model_id": model_id, "bands": [],
               "cut_off": False, "note": note}  # fmt: skip
    rows.write_event(connection, stream.id, columns)
    return str(columns["id"]), True
