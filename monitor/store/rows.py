"""How rows are written: inserted, or merged with what is there already, so that writing twice does no harm."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from monitor.core.events import Event
from monitor.core.text import printable
from monitor.store.minute_row import MinuteRow
from monitor.store.tables import WAITING, deliveries, events, minutes, models, streams

AT_ONCE = 500  # ids in one statement

T = TypeVar("T")

_SEEN = (
    streams.update()
    .where(streams.c.id == sa.bindparam("stream"), streams.c.last_seen < sa.bindparam("at"))
    .values(last_seen=sa.bindparam("at"))
)


def parts(ids: Iterable[T]) -> Iterator[list[T]]:
    """Ids in parts that are few enough for one statement."""
    everything = list(ids)
    for start in range(0, len(everything), AT_ONCE):
        yield everything[start : start + AT_ONCE]


def insert_or(
    connection: sa.Connection, table: sa.Table, values: Mapping[str, Any], keys: Collection[str], *, update: bool = True
) -> bool:
    """Inserts a row; if there is one with these keys already, updates its other columns, or leaves it as it is.

    Without keys and `update`, any unique value that is there already keeps it from being inserted.

    Returns:
        whether the row is written: False only without `update`, if there was one.
    """
    statement = _insert(connection.dialect.name, table, tuple(values), tuple(keys), update)
    return connection.execute(statement, values, execution_options={"preserve_rowcount": True}).rowcount > 0


@functools.lru_cache(maxsize=64)  # it takes ten times as long to make the statement as to execute it
def _insert(dialect: str, table: sa.Table, names: tuple[str, ...], keys: tuple[str, ...], update: bool) -> sa.Insert:
    """The statement of `insert_or` for values with these names."""
    statement = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    others = {name: statement.excluded[name] for name in names if name not in keys}
    if update and others:
        return statement.on_conflict_do_update(index_elements=list(keys), set_=others)
    return statement.on_conflict_do_nothing(index_elements=list(keys) or None)


def stream_id(connection: sa.Connection, host: str, name: str, now: float) -> int:
    """The id of a stream, which is added if it is new."""
    key = (streams.c.host == host, streams.c.name == name)
    found = connection.scalar(sa.select(streams.c.id).where(*key))
    if found is None:
        values = {"host": host, "name": name, "first_seen": now, "last_seen": now}
        insert_or(connection, streams, values, ("host", "name"), update=False)
        found = connection.scalar(sa.select(streams.c.id).where(*key))
    return int(found or 0)


def stream_ids(connection: sa.Connection, host: str) -> dict[str, int]:
    """The ids of all streams of a computer, by their names."""
    chosen = sa.select(streams.c.name, streams.c.id).where(streams.c.host == host)
    return {row.name: row.id for row in connection.execute(chosen)}


def write_stream(connection: sa.Connection, stream: int, model_id: str, source: str) -> None:
    """Notes what a stream listens with, and to."""
    values = {"model_id": model_id, "source": printable(source)}
    connection.execute(streams.update().where(streams.c.id == stream).values(values))


def write_seen(connection: sa.Connection, times: Mapping[int, float]) -> None:
    """Notes until when streams were listened to: Unix times by the ids of the streams."""
    if times:
        connection.execute(_SEEN, [{"stream": stream, "at": at} for stream, at in sorted(times.items())])


def mute_stream(connection: sa.Connection, stream: int, until: float | None) -> None:
    """Mutes a stream until a Unix time, or ends that; messages that wait are decided about anew."""
    connection.execute(streams.update().where(streams.c.id == stream).values(muted_until=until))
    of_stream = sa.select(events.c.id).where(events.c.stream_id == stream)
    undecided = (deliveries.c.state == WAITING, deliveries.c.message.is_(None), deliveries.c.why.is_not(None))
    chosen = deliveries.update().where(*undecided, deliveries.c.event_id.in_(of_stream))
    connection.execute(chosen.values(due=time.time()))


def write_model(
    connection: sa.Connection,
    model_id: str,
    name: str,
    limits: Mapping[str, Any],
    calibration: Mapping[str, Any],
    *,
    now: float | None = None,
) -> None:
    """Notes a model with its limits; when it was first seen (`now`, Unix time) does not change."""
    values = {"id": model_id, "name": printable(name), "limits": dict(limits), "calibration": dict(calibration)}
    first_seen = time.time() if now is None else now
    if not insert_or(connection, models, {**values, "first_seen": first_seen}, ("id",), update=False):
        connection.execute(models.update().where(models.c.id == model_id).values(values))


def event_columns(event: Event, peak_share: float | None, mean_share: float | None) -> dict[str, Any]:
    """The values of the columns of an event that the monitor knows; the others belong to people and clips."""
    is_anomaly = event.kind == "anomaly"
    scored = is_anomaly or event.kind == "warning"
    duration = event.duration_s
    shares = {"peak_share": peak_share, "mean_share": mean_share}
    return {
        "id": event.id,
        "kind": event.kind,
        "start_s": event.start_s,
        "onset": event.wall_time,
        "reported": event.wall_time + (max(0.0, event.reported_s - event.start_s) if is_anomaly else 0.0),
        "ended": None if duration is None else event.wall_time + duration,
        "cut_off": event.cut_off,
        "peak": event.peak if (scored or event.kind == "drift") and math.isfinite(event.peak) else None,
        "threshold": event.threshold if scored else None,
        "lost_samples": event.lost_samples or None,
        "cause": event.cause or None,
        "bands": [asdict(band) for band in event.bands],
        "model_id": event.model_id or None,
        "source": printable(event.source) or None,  # the name of a file may contain what no database takes
        "reminders": event.reminders,
        **{name: share for name, share in shares.items() if share is not None},  # what is known already stays
    }


def write_event(connection: sa.Connection, stream: int, columns: Mapping[str, Any]) -> None:
    """Writes an event; one that was written before is changed."""
    insert_or(connection, events, {**columns, "stream_id": stream}, ("id",))


def write_minute(connection: sa.Connection, stream: int, row: MinuteRow) -> None:
    """Writes the values of a minute; they are merged with what is there of this minute already."""
    key = {"stream_id": stream, "minute": row.minute}
    if insert_or(connection, minutes, {**key, **row.columns()}, tuple(key), update=False):
        return
    here = (minutes.c.stream_id == stream, minutes.c.minute == row.minute)
    stored = connection.execute(sa.select(minutes).where(*here)).mappings().one()
    merged = MinuteRow.of_columns(row.stream, row.minute, dict(stored)).merged(row)
    connection.execute(minutes.update().where(*here).values(**merged.columns()))


def write_minutes(connection: sa.Connection, values: Sequence[tuple[int, MinuteRow]]) -> None:
    """Writes the values of many minutes, each with the id of its stream: as `write_minute`, with few statements."""
    ids, numbers = {stream for stream, _ in values}, [row.minute for _, row in values]
    near = (minutes.c.stream_id.in_(ids), minutes.c.minute.between(min(numbers), max(numbers)))
    there = {tuple(key) for key in connection.execute(sa.select(minutes.c.stream_id, minutes.c.minute).where(*near))}
    new, others = [], []
    for stream, row in values:
        if (stream, row.minute) in there:
            others.append((stream, row))
        else:
            there.add((stream, row.minute))
            new.append({"stream_id": stream, "minute": row.minute, **row.columns()})
    if new:
        connection.execute(minutes.insert(), new)
    for stream, row in others:
        write_minute(connection, stream, row)
