"""Locks events, so that they and their clips are kept whatever their age."""

from __future__ import annotations

import sqlalchemy as sa

from monitor.core.text import printable
from monitor.store import audit
from monitor.store.database import Store, StoreError
from monitor.store.tables import events


def set_locked(store: Store, event_id: str, locked: bool, *, by: str) -> None:
    """Locks an event or unlocks it, and notes that in the audit trail, in a transaction of its own.

    Args:
        store: the store.
        event_id: the whole id.
        locked: whether the event and its clip are kept whatever their age.
        by: who wants it.

    Raises:
        StoreError: if there is no such event, or the store cannot be written.
    """
    with store.begin() as connection:
        before = connection.scalar(sa.select(events.c.locked).where(events.c.id == event_id).with_for_update())
        if before is None:
            raise StoreError(f"{store.name}: there is no event {printable(event_id)}.", rejected=True)
        if before != locked:
            connection.execute(events.update().where(events.c.id == event_id).values(locked=locked))
            audit.record(connection, by=by, what="lock", subject=event_id, before=before, after=locked)
