"""Retention: what is too old is deleted from the store, in small transactions, and a file does not grow for ever."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from monitor.config.plant import Store as StoreSettings
from monitor.store.database import Store
from monitor.store.minute_row import MINUTE_S
from monitor.store.tables import events, minutes, streams
from monitor.store.verdicts import HAS_VERDICT

DAY_S = 86_400.0
CLEAN_S = 3600.0  # time between two looks for what is too old
MANY_MINUTES = 5000  # of one stream, deleted in one transaction
MANY_EVENTS = 500
PAGES = 2000  # free pages of a file that are given back to the disk after each transaction
STEP_S = 6 * 3600.0  # so much time of minute values is deleted at once if a file is too large

KEPT = sa.or_(events.c.locked, HAS_VERDICT)  # what people want to keep


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept, and for how long.

    Args:
        keep_minutes_s: age from which on minute values are deleted.
        keep_events_s: age from which on events are deleted. Those with a verdict, a lock or a clip stay.
        max_bytes: size of a file from which on the oldest minute values are deleted, and then the oldest events. A
            server has no such limit.
    """

    keep_minutes_s: float
    keep_events_s: float
    max_bytes: float

    @classmethod
    def of(cls, settings: StoreSettings) -> Retention:
        """The retention that the settings ask for."""
        return cls(settings.keep_minutes_days * DAY_S, settings.keep_events_days * DAY_S, settings.max_mb * 1e6)

    def step(self, store: Store, now: float) -> bool:
        """Deletes a part of what is too old, or too much, in one transaction.

        Args:
            store: the store.
            now: Unix time.

        Returns:
            whether there may be more to delete.

        Raises:
            StoreError: if the database refuses.
        """
        with store.begin() as connection:
            deleted = _delete_minutes(connection, before=now - self.keep_minutes_s)
            deleted = deleted or _delete_events(connection, before=now - self.keep_events_s)
            if not deleted and used_bytes(connection) > self.max_bytes:
                deleted = _delete_oldest_minutes(connection) or _delete_events(connection, before=now)
        if deleted:
            shrink(store)
        return deleted


def used_bytes(connection: sa.Connection) -> int:
    """The size of a file without its free pages, in bytes; 0 for a server."""
    if connection.dialect.name != "sqlite":
        return 0
    pages, free, size = (
        connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def forget_files(connection: sa.Connection, event_id: str, note: str) -> None:
    """Notes that the clip and the picture of an event were deleted, and why."""
    forgotten = {"clip": None, "picture": None, "clip_start": None, "note": note}
    connection.execute(events.update().where(events.c.id == event_id).values(**forgotten))


def _delete_minutes(connection: sa.Connection, *, before: float) -> bool:
    """Deletes some of the minute values before a Unix time, of one stream; returns whether there were any."""
    end = int(before // MINUTE_S)
    for stream in connection.scalars(sa.select(streams.c.id)).all():
        first = connection.scalar(sa.select(sa.func.min(minutes.c.minute)).where(minutes.c.stream_id == stream))
        if first is not None and first < end:
            part = minutes.c.minute < min(end, first + MANY_MINUTES)
            connection.execute(minutes.delete().where(minutes.c.stream_id == stream, part))
            return True
    return False


def _delete_oldest_minutes(connection: sa.Connection) -> bool:
    """Deletes the oldest hours of minute values, of all streams; returns whether there were any."""
    first = None
    for stream in connection.scalars(sa.select(streams.c.id)).all():  # one look into the primary key each
        oldest = connection.scalar(sa.select(sa.func.min(minutes.c.minute)).where(minutes.c.stream_id == stream))
        first = oldest if first is None or (oldest is not None and oldest < first) else first
    if first is None:
        return False
    end = first + round(STEP_S / MINUTE_S)
    for stream in connection.scalars(sa.select(streams.c.id)).all():
        connection.execute(minutes.delete().where(minutes.c.stream_id == stream, minutes.c.minute < end))
    return True


def _delete_events(connection: sa.Connection, *, before: float) -> bool:
    """Deletes some of the oldest events that ended before a Unix time; returns whether there were any."""
    old = (
        sa.select(events.c.id)
        .where(events.c.ended < before, events.c.onset < before, events.c.clip.is_(None), ~KEPT)
        .order_by(events.c.onset)
        .limit(MANY_EVENTS)
    )
    return connection.execute(events.delete().where(events.c.id.in_(old.scalar_subquery()))).rowcount > 0


def shrink(store: Store) -> None:
    """Gives free pages of a file back to the disk, not too many at once."""
    with store.begin() as connection:
        if connection.dialect.name == "sqlite":
            free = connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0
            # Python's driver runs this statement for one page only, whatever its number.
            for _ in range(min(PAGES, free)):
                connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
