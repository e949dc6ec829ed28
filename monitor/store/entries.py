"""Entries: what a monitor writes into a store, as plain values that can wait in a file until the store is there.

Each entry says what happened, not how rows have to look afterwards. So it can be written late, without undoing what
people have changed in the meantime: a verdict, a lock, an acknowledgement.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import sqlalchemy as sa

from monitor.store import audit, rows
from monitor.store.minute_row import MINUTE_S, MinuteRow
from monitor.store.tables import deliveries, events


class StreamIds:
    """The ids that the streams of one computer have in one database.

    Args:
        host: name of the computer.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self._known: dict[str, int] | None = None

    def of(self, connection: sa.Connection, name: str, now: float) -> int:
        """The id of a stream, which is added if it is new, as seen first at a Unix time."""
        if self._known is None:
            self._known = rows.stream_ids(connection, self.host)
        if name not in self._known:
            self._known[name] = rows.stream_id(connection, self.host, name, now)
        return self._known[name]

    def forget(self) -> None:
        """Forgets all: those that were added in a transaction that failed are not there."""
        self._known = None


class Entry:
    """Something that is written into a store."""

    kind: ClassVar[str] = ""  # its name in the spool
    for_messages: ClassVar[bool] = False  # whether messages depend on it; such entries are in the spool's tables, too

    @property
    def about(self) -> str:
        """The id of the event that people may have to be told of; empty if there is none."""
        return ""

    @property
    def seen(self) -> tuple[str, float] | None:
        """The stream that was listened to, and until when (Unix time); None: this entry does not say."""
        return None

    def write(self, connection: sa.Connection, ids: StreamIds) -> None:
        """Writes the entry, in a transaction that writes."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """Its values, for JSON."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """The entry with these values."""
        return cls(**facts)


@dataclass(frozen=True, slots=True)
class EventEntry(Entry):
    """An event begins, is reported again, or ends; `columns` are those of `rows.event_columns`."""

    kind: ClassVar[str] = "event"
    for_messages: ClassVar[bool] = True
    stream: str
    columns: dict[str, Any]

    @property
    def about(self) -> str:
        return str(self.columns["id"])

    @property
    def seen(self) -> tuple[str, float]:
        return self.stream, max(self.columns["reported"], self.columns["ended"] or 0.0)

    def write(self, connection: sa.Connection, ids: StreamIds) -> None:
        rows.write_event(connection, ids.of(connection, self.stream, self.columns["onset"]), self.columns)


@dataclass(frozen=True, slots=True)
class EventChange(Entry):
    """Columns of an event change: its files, or that it was cut off; one that has ended is not ended once more."""

    kind: ClassVar[str] = "change"
    for_messages: ClassVar[bool] = True
    event_id: str
    columns: dict[str, Any]

    def write(self, connection: sa.Connection, ids: StreamIds) -> None:  # noqa: ARG002 - as the base class
        changed = events.update().where(events.c.id == self.event_id)
        if "ended" in self.columns:  # this entry may come from a spool that was restored from a backup
            changed = changed.where(events.c.ended.is_(None))
        connection.execute(changed.values(**self.columns))


@dataclass(frozen=True, slots=True)
class Acknowledgement(Entry):
    """Somebody at the screen has seen an event. Who was first is noted."""

    kind: ClassVar[str] = "acknowledge"
    for_messages: ClassVar[bool] = True
    event_id: str
    by: str
    time: float

    @property
    def about(self) -> str:
        return self.event_id

    def write(self, connection: sa.Connection, ids: StreamIds) -> None:
        unseen = (events.c.id == self.event_id, events.c.acknowledged.is_(None))
        changed = events.update().where(*unseen).values(acknowledged=self.time, acknowledged_by=self.by)
        if connection.execute(changed).rowcount:
            seen = AuditEntry(self.by, "acknowledge", self.event_id, None, True, self.time)
            seen.write(connection, ids)


@dataclass(frozen=True, slots=True)
class MinuteEntry(Entry):
    """The values of a minute of a stream; `row` has the fields of a `MinuteRow`."""

    kind: ClassVar[str] = "minute"
    row: MinuteRow

    @property
    def seen(self) -> tuple[str, float]:
        return self.row.stream, self.row.minute * MINUTE_S + min(MINUTE_S, sum(self.row.seconds.values()))

    def write(self, connection: sa.Connection, ids: StreamIds) -> None:
        rows.write_minute(connection, *self.with_id(connection, ids))

    def with_id(self, connection: sa.Connection, ids: StreamIds) -> tuple[int, MinuteRow]:
        """The id of the stream, and the values."""
        return ids.of(connection, self.row.stream, self.row.minute * MINUTE_S), self.row

    def facts(self) -> dict[str, Any]:
        return asdict(self.row)

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        return cls(MinuteRow(**facts))


@dataclass(frozen=True, slots=True)
class StreamEntry(Entry):
    """Which model listens to a stream, and to which source."""

    kind: ClassVar[str] = "stream"
    for_messages: ClassVar[bool] = True
    stream: str
    model_id: str
    source: str
    time: float

    def write(self, connection: sa.Connection, ids: StreamIds) -> None:
        rows.write_stream(connection, ids.of(connection, self.stream, self.time), self.model_id, self.source)


@dataclass(frozen=True, slots=True)
class ModelEntry(Entry):
    """A model, its limits, and how they were found."""

    kind: ClassVar[str] = "model"
    model_id: str
    name: str
    limits: dict[str, Any]
    calibration: dict[str, Any]
    time: float

    def write(self, connection: sa.Connection, ids: StreamIds) -> None:  # noqa: ARG002 - as the base class
        rows.write_model(connection, self.model_id, self.name, self.limits, self.calibration, now=self.time)


@dataclass(frozen=True, slots=True)
class AuditEntry(Entry):
    """Something was done that belongs into the audit trail, with the arguments of `audit.record`."""

    kind: ClassVar[str] = "audit"
    by: str
    what: str
    subject: str
    before: Any
    after: Any
    time: float

    def write(self, connection: sa.Connection, ids: StreamIds) -> None:  # noqa: ARG002 - as the base class
        facts = {"before": self.before, "after": self.after}
        audit.record(connection, by=self.by, what=self.what, subject=self.subject, at=self.time, **facts)


@dataclass(frozen=True, slots=True)
class DeliveryEntry(Entry):
    """How the delivery of a message stands: the row of `deliveries`. It is left out if its event is not there."""

    kind: ClassVar[str] = "delivery"
    row: dict[str, Any]

    def write(self, connection: sa.Connection, ids: StreamIds) -> None:  # noqa: ARG002 - as the base class
        if connection.scalar(sa.select(events.c.id).where(events.c.id == self.row["event_id"])) is not None:
            rows.insert_or(connection, deliveries, self.row, ("event_id", "channel", "stage"))


KINDS: Mapping[str, type[Entry]] = {
    one.kind: one
    for one in (EventEntry, EventChange, Acknowledgement, MinuteEntry, StreamEntry, ModelEntry, AuditEntry)
}


def as_text(entry: Entry) -> str:
    """The values of an entry as JSON text, in which numbers keep all their digits; also NaN and infinity."""
    return json.dumps(entry.facts(), default=_plain)


def of_text(kind: str, text: str) -> Entry:
    """The entry of a kind from its JSON text.

    Raises:
        KeyError: if there is no such kind.
        ValueError, TypeError: if the text is not that of an entry.
    """
    return KINDS[kind].of_facts(json.loads(text))


def write_all(connection: sa.Connection, entries: Iterable[Entry], ids: StreamIds) -> None:
    """Writes entries in their order, minutes that follow each other with few statements."""
    for kind, same in itertools.groupby(entries, key=type):
        if kind is MinuteEntry:
            rows.write_minutes(connection, [one.with_id(connection, ids) for one in same])  # type: ignore[attr-defined]
        else:
            for entry in same:
                entry.write(connection, ids)


def write_seen(connection: sa.Connection, entries: Iterable[Entry], ids: StreamIds) -> None:
    """Notes when the streams of these entries were listened to last."""
    last: dict[str, float] = {}
    for entry in entries:
        if (seen := entry.seen) is not None:
            name, at = seen
            last[name] = max(at, last.get(name, at))
    rows.write_seen(connection, {ids.of(connection, name, at): at for name, at in last.items()})


def _plain(value: Any) -> Any:
    """A number of numpy as one of Python."""
    return value.item()
