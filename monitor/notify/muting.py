"""Muted streams: during maintenance their events are recorded, but no messages about them are sent."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from monitor.store import audit
from monitor.store.database import Store
from monitor.store.rows import mute_stream
from monitor.store.tables import streams


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
        for stream in sorted(stream_ids):  # always in this order: nobody waits for another one in a circle
            row = connection.execute(sa.select(streams).where(streams.c.id == stream)).one()
            mute_stream(connection, stream, until)
            subject = f"{row.host}/{row.name}"
            audit.record(connection, by=by, what="mute", subject=subject, before=row.muted_until, after=until)
