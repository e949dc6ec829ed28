"""Somebody has seen an event: that ends its reminders."""

from __future__ import annotations

import time
from collections.abc import Collection

import sqlalchemy as sa

from monitor.notify.outbox import hold_back
from monitor.notify.rules import ENDED
from monitor.store import audit
from monitor.store.database import Store
from monitor.store.rows import parts
from monitor.store.tables import deliveries, events


def acknowledge(store: Store, event_ids: Collection[str], by: str) -> int:
    """Notes that somebody has seen events, in a transaction of its own; otherwise as `acknowledge_events`.

    Raises:
        StoreError: if the store cannot be written; then none is acknowledged.
    """
    with store.begin() as connection:
        return acknowledge_events(connection, event_ids, by)


def acknowledge_events(connection: sa.Connection, event_ids: Collection[str], by: str) -> int:
    """Notes that somebody has seen events: there are no more reminders, and no escalation.

    Args:
        connection: in a transaction that writes.
        event_ids: whole ids; those of unknown events and of events that are acknowledged already are passed over.
        by: who has seen them.

    Returns:
        the number of events that were not acknowledged before.
    """
    now = time.time()
    acknowledged = 0
    for part in parts(sorted(event_ids)):
        chosen = (events.c.id.in_(part), events.c.acknowledged.is_(None))
        # Locked, so that of two people who do so at the same time only the first is noted.
        new = connection.scalars(sa.select(events.c.id).where(*chosen).order_by(events.c.id).with_for_update()).all()
        connection.execute(events.update().where(events.c.id.in_(new)).values(acknowledged=now, acknowledged_by=by))
        superfluous = sa.and_(deliveries.c.event_id.in_(new), deliveries.c.stage != ENDED)
        hold_back(connection, superfluous, f"acknowledged by {by}")
        for event_id in new:
            audit.record(connection, by=by, what="acknowledge", subject=event_id, after=True)
        acknowledged += len(new)
    return acknowledged


def ongoing_events(store: Store, stream_ids: Collection[int] | None = None) -> list[str]:
    """The ids of the events that last and are not acknowledged.

    Args:
        store: the store.
        stream_ids: of these streams only; None: of all.

    Raises:
        StoreError: if the store cannot be read.
    """
    chosen = sa.select(events.c.id).where(events.c.ended.is_(None), events.c.acknowledged.is_(None))
    if stream_ids is not None:
        chosen = chosen.where(events.c.stream_id.in_(list(stream_ids)))
    with store.reading() as connection:
        return list(connection.scalars(chosen.order_by(events.c.id)))
