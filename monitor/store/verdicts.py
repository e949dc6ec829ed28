"""Verdicts: what people say an event was. The newest one of an event counts; the others are its history."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from monitor.core.errors import EXIT_USAGE, MonitorError
from monitor.core.text import printable
from monitor.store import audit
from monitor.store.database import Store, StoreError
from monitor.store.rows import parts
from monitor.store.tables import events
from monitor.store.tables import verdicts as verdicts_table

VERDICTS = ("real fault", "new but normal", "disturbance", "maintenance", "sensor")
MEANINGS = {
    "real fault": "the machine was, or is, faulty",
    "new but normal": "the machine may sound so: the next model learns it",
    "disturbance": "people, neighbours, traffic: not the machine",
    "maintenance": "somebody worked on the machine",
    "sensor": "the microphone, its cable or its place",
}
LONGEST_COMMENT = 2000  # characters
LONGEST_NAME = 100

_any_verdict = verdicts_table.alias("any_verdict")
# Of the verdicts of an event, the newest: condition of a join with `events`, also for an outer one.
IS_NEWEST = verdicts_table.c.id == (
    sa.select(sa.func.max(_any_verdict.c.id))
    .where(_any_verdict.c.event_id == events.c.id)
    .correlate(events)
    .scalar_subquery()
)
# Whether an event has a verdict that was not withdrawn.
HAS_VERDICT = sa.exists().where(verdicts_table.c.event_id == events.c.id, verdicts_table.c.verdict != "", IS_NEWEST)


class VerdictError(MonitorError):
    """A text that is no verdict."""

    exit_code = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """What somebody said about an event."""

    time: float  # Unix time
    by: str
    verdict: str  # empty: the verdict before was withdrawn
    comment: str
    model_id: str  # of the bundle that reported the event


def verdict_named(text: str) -> str:
    """The verdict that a text names: whole, or by words or beginnings of words that only one verdict has.

    `fault` is "real fault", `normal` and `new-but` are "new but normal", `dist` is "disturbance".

    Raises:
        VerdictError: if it names none or several, with the verdicts that there are.
    """
    words = text.casefold().replace("-", " ").replace("_", " ").split()
    if " ".join(words) in VERDICTS:
        return " ".join(words)
    found = [one for one in VERDICTS if words and _has_beginnings(one.split(), words)]
    if len(found) == 1:
        return found[0]
    what = f"may be {' or '.join(found)}" if found else "is no verdict"
    raise VerdictError(f"{printable(text)!r} {what}: give one of {', '.join(VERDICTS)}.")


def record(store: Store, event_id: str, verdict: str, *, by: str, comment: str = "") -> None:
    """Writes what somebody says an event was, in a transaction of its own; otherwise as `record_in`.

    Raises:
        VerdictError: if the verdict is none of `VERDICTS`.
        StoreError: if there is no such event, or the store cannot be written.
    """
    with store.begin() as connection:
        if not record_in(connection, event_id, verdict, by=by, comment=comment):
            raise StoreError(f"{store.name}: there is no event {printable(event_id)}.", rejected=True)


def record_in(connection: sa.Connection, event_id: str, verdict: str, *, by: str, comment: str = "") -> bool:
    """Writes what somebody says an event was, with the event's model, and notes it in the audit trail.

    Whoever judges an event has seen it: it is acknowledged, too, so that its reminders end. The same verdict by the
    same person with the same comment, twice in succession, is written once.

    Args:
        connection: in a transaction that writes.
        event_id: the whole id.
        verdict: one of `VERDICTS`; empty: the verdict before is withdrawn.
        by: who says it.
        comment: more about it, for people.

    Returns:
        whether there is such an event.

    Raises:
        VerdictError: if the verdict is none of `VERDICTS`.
    """
    if verdict and verdict not in VERDICTS:
        raise VerdictError(f"{printable(verdict)!r} is no verdict: give one of {', '.join(VERDICTS)}.")
    columns = (events.c.model_id, events.c.acknowledged)
    event = connection.execute(sa.select(*columns).where(events.c.id == event_id).with_for_update()).first()
    if event is None:
        return False
    by, comment = _one_line(by)[:LONGEST_NAME], _one_line(comment)[:LONGEST_COMMENT]
    history = _history(connection, [event_id]).get(event_id, [])
    before = history[-1] if history else None
    if before is None and not verdict:  # there is nothing to withdraw
        return True
    if before is not None and (before.verdict, before.by, before.comment) == (verdict, by, comment):
        return True
    now = time.time()
    said = {"verdict": verdict, "comment": comment or None, "model_id": event.model_id}
    connection.execute(verdicts_table.insert().values(event_id=event_id, time=now, by=by, **said))
    audit.record(
        connection,
        by=by,
        what="verdict",
        subject=event_id,
        before=None if before is None else before.verdict,
        after=said,
    )
    if verdict and event.acknowledged is None:
        seen = {"acknowledged": now, "acknowledged_by": by}
        connection.execute(events.update().where(events.c.id == event_id).values(**seen))
        audit.record(connection, by=by, what="acknowledge", subject=event_id, after=True)
    return True


def verdicts_of(store: Store, event_id: str) -> list[StoredVerdict]:
    """The verdicts on an event, oldest first; the last one counts.

    Raises:
        StoreError: if the store cannot be read.
    """
    return histories(store, [event_id]).get(event_id, [])


def histories(store: Store, event_ids: Collection[str]) -> dict[str, list[StoredVerdict]]:
    """The verdicts on events, oldest first, by the id of the event; events without one are left out.

    Raises:
        StoreError: if the store cannot be read.
    """
    with store.reading() as connection:
        return _history(connection, event_ids)


def _history(connection: sa.Connection, event_ids: Collection[str]) -> dict[str, list[StoredVerdict]]:
    found: dict[str, list[StoredVerdict]] = {}
    table = verdicts_table.c
    for part in parts(event_ids):
        chosen = sa.select(verdicts_table).where(table.event_id.in_(part)).order_by(table.id)
        for row in connection.execute(chosen):
            one = StoredVerdict(row.time, row.by, row.verdict, row.comment or "", row.model_id or "")
            found.setdefault(row.event_id, []).append(one)
    return found


def _one_line(text: str) -> str:
    """A text as a database and a terminal take it."""
    return printable(" ".join(text.split()))


def _has_beginnings(words: list[str], beginnings: list[str]) -> bool:
    """Whether each beginning is that of a word, in the same order."""
    rest = iter(words)
    return all(any(word.startswith(one) for word in rest) for one in beginnings)
