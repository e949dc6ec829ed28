"""Muted streams: during maintenance their events are recorded, but no messages about them are sent."""

from __future__ import annotations

import time
from collections.abc import Sequence

import sqlalchemy as sa

from monitor.notify.outbox import UNCLAIMED
from monitor.store import audit
from monitor.store.database import Store
from monitor.store.tables import deliveries, events, streams


def mute(store: Store, stream_ids: Sequence[int], until: float | None, by: str) -> None:
    """Mutes streams: their events are recorded, but no messages about them are sent. Or ends that.

    Args:
        store: open for writing.
        stream_ids: of the streams.
        until: Unix time at which messages are sent again; None: from now on.
        by: who wants it.

    Raises:
        StoreError: if the store cannot be written; then none is muted.
    """
    with store.begin() as connection:
        for stream in stream_ids:
            row = connection.execute(sa.select(streams).where(streams.c.id == stream)).one()
            connection.execute(streams.update().where(streams.c.id == stream).values(muted_until=until))
            # Messages that wait, perhaps for the end of an earlier muting, are decided about anew.
            of_stream = sa.select(events.c.id).where(events.c.stream_id == stream)
            waiting = (UNCLAIMED, deliveries.c.why.is_not(None), deliveries.c.event_id.in_(of_stream))
            connection.execute(deliveries.update().where(*waiting).values(due=time.time()))
            subject = f"{row.host}/{row.name}"
            audit.record(connection, by=by, what="mute", subject=subject, before=row.muted_until, after=until)
