"""What people and other programs change in a store on a server, as far as the messages of a monitor depend on it.

Messages are decided about in the spool. So it is asked regularly which streams were muted, which events were
acknowledged or judged, and what other programs want to have delivered, such as `monitor selftest`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from monitor.store import rows
from monitor.store.database import Store
from monitor.store.entries import Entry, EventChange, StreamEntry, StreamIds
from monitor.store.spool import journal
from monitor.store.tables import WAITING, deliveries, events, streams

SELF_TEST = "self-test"  # kind of the events that other programs begin and end


@dataclass(frozen=True, slots=True)
class ForeignEvent:
    """An event that is in the store, but not in the spool."""

    stream: str
    last_seen: float  # of the stream, Unix time
    row: dict[str, Any]  # of the table `events`
    deliveries: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ForeignChanges:
    """What was found in the store.

    Attributes:
        muted: until when each stream is muted, Unix times.
        changed: columns of events that others have changed, by the ids.
        adopted: events that are not in the spool: it was lost, or they are of another program or an older version.
        left_open: ids of those among them that a monitor left open that runs no more.
        undone: streams of which the store has not the model that was copied into it: it was emptied, or restored from
            a backup.
    """

    muted: dict[str, float | None] = field(default_factory=dict)
    changed: dict[str, dict[str, Any]] = field(default_factory=dict)
    adopted: list[ForeignEvent] = field(default_factory=list)
    left_open: list[str] = field(default_factory=list)
    undone: frozenset[str] = frozenset()


def find_changes(connection: sa.Connection, spool: Store, host: str, *, at_start: bool) -> ForeignChanges:
    """Looks for changes of the streams and events of a host.

    Args:
        connection: to the store on the server.
        spool: the spool.
        host: name of the computer.
        at_start: whether this is the first look since the monitor was started: events that last there, and that the
            spool does not know, were left open by a monitor that runs no more.
    """
    with spool.reading() as local:
        busy = events.c.id.in_(sa.select(deliveries.c.event_id).where(deliveries.c.state == WAITING))
        watched = sa.select(events.c.id).where(events.c.acknowledged.is_(None), sa.or_(events.c.ended.is_(None), busy))
        ids = list(local.scalars(watched))
        lasting = sa.select(events.c.id).where(events.c.kind == SELF_TEST, events.c.ended.is_(None))
        open_tests = list(local.scalars(lasting))
        here = _streams(local, host)
        to_be_copied = local.scalar(sa.select(journal.c.number).where(journal.c.kind == StreamEntry.kind).limit(1))
    there = _streams(connection, host)
    copied = {name: row["model_id"] for name, row in here.items() if row["model_id"] and to_be_copied is None}
    return ForeignChanges(
        muted={
            name: row["muted_until"]
            for name, row in there.items()
            if row["muted_until"] != here.get(name, {}).get("muted_until")
        },
        changed=_changed(connection, ids, open_tests),
        undone=frozenset(name for name, model in copied.items() if there.get(name, {}).get("model_id") != model),
        **_adopted(connection, spool, host, at_start=at_start),
    )


@dataclass(frozen=True, slots=True)
class TakeChanges(Entry):
    """Writes what was changed in the store into the spool.

    Args:
        changes: what was changed.
        write_entry: writes an entry that has to be written into the store, too.
        tell: is called with the id of each event of which other messages may have to be sent now.
    """

    changes: ForeignChanges
    write_entry: Callable[[sa.Connection, Entry], None]
    tell: Callable[[sa.Connection, str], None]

    def write(self, connection: sa.Connection, ids: StreamIds) -> None:
        for stream, until in self.changes.muted.items():
            rows.mute_stream(connection, ids.of(connection, stream, time.time()), until)
        for one in self.changes.adopted:
            stream_id = ids.of(connection, one.stream, one.row["onset"])
            rows.insert_or(connection, events, one.row | {"stream_id": stream_id}, ("id",), update=False)
            for row in one.deliveries:
                rows.insert_or(connection, deliveries, row, (), update=False)
            if one.row["id"] in self.changes.left_open:
                ended = max(one.row["onset"], one.last_seen)
                self.write_entry(connection, EventChange(one.row["id"], {"ended": ended, "cut_off": True}))
                self.tell(connection, one.row["id"])
        for event_id, columns in self.changes.changed.items():
            connection.execute(events.update().where(events.c.id == event_id).values(**columns))
            self.tell(connection, event_id)


def _streams(connection: sa.Connection, host: str) -> dict[str, dict[str, Any]]:
    chosen = sa.select(streams.c.name, streams.c.model_id, streams.c.muted_until).where(streams.c.host == host)
    return {row["name"]: dict(row) for row in connection.execute(chosen).mappings()}


def _changed(connection: sa.Connection, ids: Collection[str], open_tests: Collection[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    names = ("acknowledged", "acknowledged_by")
    for part in rows.parts(ids):
        chosen = sa.select(events.c.id, *(events.c[name] for name in names))
        seen = chosen.where(events.c.id.in_(part), events.c.acknowledged.is_not(None))
        for row in connection.execute(seen).mappings():
            found[row["id"]] = {name: row[name] for name in names}
    for part in rows.parts(open_tests):
        chosen = sa.select(events.c.id, events.c.ended).where(events.c.id.in_(part), events.c.ended.is_not(None))
        for event_id, ended in connection.execute(chosen):
            found.setdefault(event_id, {})["ended"] = ended
    return found


def _adopted(connection: sa.Connection, spool: Store, host: str, *, at_start: bool) -> dict[str, Any]:
    """The events that the spool does not know, but should."""
    joined = deliveries.join(events, deliveries.c.event_id == events.c.id).join(streams)
    of_host = sa.select(deliveries.c.id, deliveries.c.event_id).select_from(joined).where(streams.c.host == host)
    wanted = {row.id: row.event_id for row in connection.execute(of_host.where(deliveries.c.state == WAITING))}
    unknown = {wanted[one] for one in set(wanted) - _known(spool, deliveries.c.id, wanted)}
    left_open: set[str] = set()
    if at_start:
        lasting = sa.select(events.c.id).join(streams).where(streams.c.host == host, events.c.ended.is_(None))
        ids = set(connection.scalars(lasting.where(events.c.kind != SELF_TEST)))
        left_open = ids - _known(spool, events.c.id, ids)
    return {"adopted": _foreign(connection, unknown | left_open), "left_open": sorted(left_open)}


def _known(spool: Store, column: sa.Column[str], ids: Iterable[str]) -> set[str]:
    with spool.reading() as local:
        return {one for part in rows.parts(ids) for one in local.scalars(sa.select(column).where(column.in_(part)))}


def _foreign(connection: sa.Connection, event_ids: Iterable[str]) -> list[ForeignEvent]:
    found = []
    for event_id in sorted(event_ids):
        chosen = sa.select(events, streams.c.name, streams.c.last_seen).join(streams).where(events.c.id == event_id)
        row = connection.execute(chosen).mappings().first()
        if row is None:  # it has just been deleted
            continue
        sent = connection.execute(sa.select(deliveries).where(deliveries.c.event_id == event_id)).mappings().all()
        columns = {name: row[name] for name in events.c.keys()}  # noqa: SIM118 - not a mapping
        found.append(ForeignEvent(row["name"], row["last_seen"], columns, [dict(one) for one in sent]))
    return found
