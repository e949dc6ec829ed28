"""The outbox: what has to be delivered is written together with the event that it is about, in one transaction.

A row of the table `deliveries` is a stage of an event (began, reminder 1 …, escalated, ended) for a channel. Its state:

    waiting     not part of a message yet (`message` is null): looked at when it is due (`monitor.notify.plan`)
                part of a message that has to be sent; `due` is the time of the next attempt, `why` the last failure
    sent        the channel has taken the message
    held back   not sent on purpose; `why` says why
    given up    the channel refused the message, or failed for too long
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from monitor.config.plant import Rule
from monitor.core.events import new_event_id
from monitor.core.text import duration_text
from monitor.notify.rules import BEGAN, ENDED, Rules
from monitor.store.database import Store
from monitor.store.records import StoredEvent
from monitor.store.rows import insert_or
from monitor.store.tables import GIVEN_UP, HELD_BACK, SENT, WAITING, deliveries, events, streams

STUCK_S = 300.0  # a message that is tried for longer than this is stuck
RECENT_S = 86_400.0  # messages that were given up in this time are counted in the summary
UNCLAIMED = sa.and_(deliveries.c.state == WAITING, deliveries.c.message.is_(None))  # part of no message yet


def enqueue(connection: sa.Connection, event: StoredEvent, rules: Rules) -> None:
    """Writes what has to be delivered of an event, in the transaction that writes the event.

    It is called whenever the event was written, and does nothing where nothing has changed.
    """
    columns = (deliveries.c.id, deliveries.c.channel, deliveries.c.stage, deliveries.c.state, deliveries.c.message,
               deliveries.c.due, deliveries.c.why)  # fmt: skip
    rows = connection.execute(sa.select(*columns).where(deliveries.c.event_id == event.id)).all()
    if event.cut_off and not rows:  # it began before these rules were in force, and was left open by a killed monitor
        return
    there = {(row.channel, row.stage) for row in rows}
    for channel, rule in rules.told(event.stream, event.kind).items():
        if (channel, BEGAN) not in there:
            add(connection, event.id, channel, BEGAN, due=max(event.reported, event.onset + rule.after_s))
            if event.ended is not None and event.ended - event.onset < rule.after_s:
                of_channel = sa.and_(deliveries.c.event_id == event.id, deliveries.c.channel == channel)
                hold_back(connection, of_channel, _too_short(event))
    if event.acknowledged is not None:
        superfluous = sa.and_(deliveries.c.event_id == event.id, deliveries.c.stage != ENDED)
        hold_back(connection, superfluous, f"acknowledged by {event.acknowledged_by or 'somebody'}")
    if event.ended is not None:
        _end(connection, event, event.ended, rows, rules)


def _end(connection: sa.Connection, event: StoredEvent, ended: float, rows: Iterable[Any], rules: Rules) -> None:
    """Holds back what an event's end makes superfluous, and adds its end where its beginning was told."""
    told: dict[str, Rule] = {}
    there: set[str] = set()
    for row in rows:
        if row.stage == ENDED:
            there.add(row.channel)
        elif row.state == SENT or (row.state == WAITING and row.message is not None):
            if rule := rules.of(row.channel, ENDED, event.stream, event.kind):
                told[row.channel] = rule
        elif row.state == WAITING and row.stage != BEGAN:
            hold_back(connection, deliveries.c.id == row.id, "the event has ended")
        elif row.state == WAITING and row.due > max(ended, event.reported):
            why = f"{row.why}; it ended before" if row.why else _too_short(event)
            hold_back(connection, deliveries.c.id == row.id, why)
    for channel, rule in told.items():
        if rule.ended and channel not in there:
            add(connection, event.id, channel, ENDED, due=ended)


def _too_short(event: StoredEvent) -> str:
    return f"it lasted only {duration_text(max(0.0, (event.ended or 0.0) - event.onset))}"


def add(connection: sa.Connection, event_id: str, channel: str, stage: str, *, due: float) -> None:
    """Adds a delivery; nothing happens if there is one already of this event, channel and stage."""
    values = {"id": new_event_id(), "event_id": event_id, "channel": channel, "stage": stage, "state": WAITING,
              "created": time.time(), "due": due, "attempts": 0}  # fmt: skip
    insert_or(connection, deliveries, values, ("event_id", "channel", "stage"), update=False)


def hold_back(connection: sa.Connection, chosen: sa.ColumnElement[bool], why: str) -> None:
    """Holds back deliveries that are not part of a message yet.

    Args:
        connection: in a transaction that writes.
        chosen: condition that chooses among the rows of `deliveries`.
        why: why they are not sent.
    """
    connection.execute(deliveries.update().where(UNCLAIMED, chosen).values(state=HELD_BACK, why=why))


def of_host(host: str, columns: Iterable[Any]) -> sa.Select[Any]:
    """A query for columns of the deliveries of a computer, with their events and streams."""
    joined = deliveries.join(events, deliveries.c.event_id == events.c.id).join(streams)
    return sa.select(*columns).select_from(joined).where(streams.c.host == host)


@dataclass(frozen=True, slots=True)
class DeliveriesSummary:
    """How the delivery of messages goes: `waiting` are those that should have been sent by now."""

    waiting: int = 0
    oldest_waiting_s: float | None = None  # how long the oldest of them has been waiting
    stuck: int = 0  # how many of them have been tried for minutes
    given_up: int = 0  # in the last 24 hours
    last_error: str = ""  # of the message that was tried last

    def as_mapping(self) -> Mapping[str, Any]:
        """The same for the status and for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def deliveries_summary(store: Store, host: str, now: float | None = None) -> DeliveriesSummary:
    """How the delivery of the messages of a computer goes.

    Raises:
        StoreError: if the store cannot be read.
    """
    now = time.time() if now is None else now
    table = deliveries.c
    since = sa.func.coalesce(table.claimed, table.due)
    late = of_host(host, (sa.func.count(), sa.func.min(since, type_=table.due.type))).where(
        table.state == WAITING, sa.or_(table.message.is_not(None), table.due <= now)
    )
    tried = of_host(host, (sa.func.count(),)).where(
        table.state == WAITING, table.attempts > 0, table.claimed < now - STUCK_S
    )
    given_up = of_host(host, (sa.func.count(),)).where(table.state == GIVEN_UP, table.due > now - RECENT_S)
    error = (
        of_host(host, (table.why,))
        .where(table.state == WAITING, table.attempts > 0)
        .order_by(table.due.desc())
        .limit(1)
    )
    with store.reading() as connection:
        waiting, oldest = connection.execute(late).one()
        return DeliveriesSummary(
            waiting=waiting,
            oldest_waiting_s=None if oldest is None else max(0.0, now - oldest),
            stuck=connection.scalar(tried) or 0,
            given_up=connection.scalar(given_up) or 0,
            last_error=connection.scalar(error) or "",
        )


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery with what it is about; times are Unix times."""

    id: str
    event: str
    host: str
    stream: str
    kind: str
    channel: str
    stage: str
    state: str
    created: float
    due: float
    attempts: int
    sent: float | None
    why: str


def newest_deliveries(store: Store, states: Iterable[str], limit: int) -> list[Delivery]:
    """The newest deliveries in these states, the newest first, of all computers that use the store.

    Raises:
        StoreError: if the store cannot be read.
    """
    table = deliveries.c
    chosen = _with_events().where(table.state.in_(list(states)))
    return _read(store, chosen.order_by(table.created.desc(), table.id.desc()).limit(limit))


def deliveries_of(store: Store, event_id: str) -> list[Delivery]:
    """The deliveries of an event, the oldest first.

    Raises:
        StoreError: if the store cannot be read.
    """
    table = deliveries.c
    return _read(store, _with_events().where(table.event_id == event_id).order_by(table.created, table.id))


def _with_events() -> sa.Select[Any]:
    table = deliveries.c
    about = (table.event_id.label("event"), streams.c.host, streams.c.name.label("stream"), events.c.kind)
    columns = (table.id, *about, table.channel, table.stage, table.state, table.created, table.due, table.attempts,
               table.sent, table.why)  # fmt: skip
    return sa.select(*columns).select_from(deliveries.join(events, table.event_id == events.c.id).join(streams))


def _read(store: Store, chosen: sa.Select[Any]) -> list[Delivery]:
    with store.reading() as connection:
        return [Delivery(**{**row, "why": row["why"] or ""}) for row in connection.execute(chosen).mappings()]
