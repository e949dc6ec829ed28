"""How rows are written: inserted, or merged with what is there already, so that writing twice does no harm."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from monitor.core.events import Event
from monitor.core.text import printable
from monitor.store.minute_row import MinuteRow
from monitor.store.tables import events, minutes, models, streams


def insert_or(
    connection: sa.Connection, table: sa.Table, values: Mapping[str, Any], keys: Collection[str], *, update: bool = True
) -> bool:
    """Inserts a row; if there is one with these keys already, updates its other columns, or leaves it as it is.

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
    return statement.on_conflict_do_nothing(index_elements=list(keys))


def stream_id(connection: sa.Connection, host: str, name: str, now: float) -> int:
    """The id of a stream, which is added if it is new."""
    key = (streams.c.host == host, streams.c.name == name)
    found = connection.scalar(sa.select(streams.c.id).where(*key))
    if found is None:
        values = {"host": host, "name": name, "first_seen": now, "last_seen": now}
        insert_or(connection, streams, values, ("host", "name"), update=False)
        found = connection.scalar(sa.select(streams.c.id).where(*key))
    return int(found or 0)


def write_stream(connection: sa.Connection, stream: int, model_id: str, source: str) -> None:
    """Notes what a stream listens with, and to."""
    values = {"model_id": model_id, "source": printable(source)}
    connection.execute(streams.update().where(streams.c.id == stream).values(values))


def write_seen(connection: sa.Connection, stream: int, at: float) -> None:
    """Notes that a stream was listened to at a Unix time."""
    later = (streams.c.id == stream, streams.c.last_seen < at)
    connection.execute(streams.update().where(*later).values(last_seen=at))


def write_model(
    connection: sa.Connection, model_id: str, name: str, limits: Mapping[str, Any], calibration: Mapping[str, Any]
) -> None:
    """Notes a model with its limits; when it was first seen does not change."""
    values = {"id": model_id, "name": printable(name), "limits": dict(limits), "calibration": dict(calibration)}
    if not insert_or(connection, models, {**values, "first_seen": time.time()}, ("id",), update=False):
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


def write_files(connection: sa.Connection, event_id: str, columns: Mapping[str, Any]) -> None:
    """Notes the clip, the picture and other columns of an event."""
    connection.execute(events.update().where(events.c.id == event_id).values(**columns))


def write_minute(connection: sa.Connection, stream: int, row: MinuteRow) -> None:
    """Writes the values of a minute; they are merged with what is there of this minute already."""
    key = {"stream_id": stream, "minute": row.minute}
    if insert_or(connection, minutes, {**key, **row.columns()}, tuple(key), update=False):
        return
    here = (minutes.c.stream_id == stream, minutes.c.minute == row.minute)
    stored = connection.execute(sa.select(minutes).where(*here)).mappings().one()
    merged = MinuteRow.of_columns(row.stream, row.minute, dict(stored)).merged(row)
    connection.execute(minutes.update().where(*here).values(**merged.columns()))
