"""What is asked of the store: streams, events, and minute values of any length of time."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from monitor.core.events import Band
from monitor.core.text import printable, shortened
from monitor.core.types import DoubleArray
from monitor.store.database import Store, StoreError
from monitor.store.minute_row import MINUTE_S, STATES
from monitor.store.records import MinuteValues, StoredEvent, StoredStream
from monitor.store.tables import events as events_table
from monitor.store.tables import minutes as minutes_table
from monitor.store.tables import streams as streams_table
from monitor.store.tables import verdicts as verdicts_table
from monitor.store.verdicts import IS_NEWEST

MEANS = ("error_mean", "score_mean", "share_mean", "level")
HIGHEST = ("error_max", "score_max", "share_max")
UNITS = {"share_mean": 1e-3, "share_max": 1e-3, "level": 0.1}  # of the stored whole numbers

# All events, with the names of their streams and their newest verdicts.
EVENTS = (
    sa.select(
        events_table,
        streams_table.c.host,
        streams_table.c.name.label("stream"),
        verdicts_table.c.verdict,
        verdicts_table.c.time.label("verdict_time"),
        verdicts_table.c.by.label("verdict_by"),
        verdicts_table.c.comment.label("verdict_comment"),
    )
    .join(streams_table)
    .outerjoin(verdicts_table, IS_NEWEST)
)
_EVENT = EVENTS.where(events_table.c.id == sa.bindparam("event_id"))


def streams(store: Store) -> list[StoredStream]:
    """All streams, ordered by host and name."""
    chosen = sa.select(streams_table).order_by(streams_table.c.host, streams_table.c.name)
    with store.reading() as connection:
        rows = connection.execute(chosen).mappings().all()
    return [StoredStream(**{**row, "model_id": row["model_id"] or "", "source": row["source"] or ""}) for row in rows]


def events(
    store: Store,
    *,
    since: float | None = None,
    until: float | None = None,
    streams: Sequence[int] = (),
    kinds: Sequence[str] = (),
    verdicts: Sequence[str] | None = None,
    limit: int | None = None,
    newest_first: bool = True,
) -> list[StoredEvent]:
    """Events, ordered by the time at which they began.

    Args:
        store: the store.
        since, until: Unix times; an event is taken if a part of it is between them.
        streams: ids of streams; empty: all.
        kinds: kinds of events; empty: all.
        verdicts: newest verdicts ("": none); None: all.
        limit: the largest number of events, the first ones in this order.
        newest_first: the order.
    """
    chosen = EVENTS
    if since is not None:
        chosen = chosen.where(sa.or_(events_table.c.ended.is_(None), events_table.c.ended >= since))
    if until is not None:
        chosen = chosen.where(events_table.c.onset < until)
    if streams:
        chosen = chosen.where(events_table.c.stream_id.in_(streams))
    if kinds:
        chosen = chosen.where(events_table.c.kind.in_(kinds))
    if verdicts is not None:
        chosen = chosen.where(sa.func.coalesce(verdicts_table.c.verdict, "").in_(verdicts))
    order = (events_table.c.onset, events_table.c.id)
    chosen = chosen.order_by(*(column.desc() if newest_first else column for column in order)).limit(limit)
    with store.reading() as connection:
        return [event_of_row(row) for row in connection.execute(chosen).mappings()]


def event(store: Store, id_or_beginning: str) -> StoredEvent:
    """The event with an id, or with the only id that begins so.

    Raises:
        StoreError: if there is none, or if there are several.
    """
    beginning = id_or_beginning.strip().lower()
    found: list[StoredEvent] = []
    if re.fullmatch(r"[0-9a-f-]{1,36}", beginning):  # no other characters are in ids; % would stand for any text
        with store.reading() as connection:
            chosen = EVENTS.where(events_table.c.id.startswith(beginning)).limit(2)
            found = [event_of_row(row) for row in connection.execute(chosen).mappings()]
    if not found:
        named = printable(shortened(id_or_beginning))
        raise StoreError(
            f"{store.name}: there is no event {named}: `monitor events` shows those that are.", rejected=True
        )
    if len(found) > 1:
        raise StoreError(
            f"{store.name}: several events begin with {id_or_beginning}: give more of the id.", rejected=True
        )
    return found[0]


def event_in(connection: sa.Connection, event_id: str) -> StoredEvent | None:
    """The event with an id as a transaction sees it; None if there is none."""
    row = connection.execute(_EVENT, {"event_id": event_id}).mappings().first()
    return None if row is None else event_of_row(row)


def open_events_in(connection: sa.Connection, host: str) -> list[StoredEvent]:
    """The events of a host that have not ended, as a transaction sees them."""
    chosen = EVENTS.where(events_table.c.ended.is_(None), streams_table.c.host == host)
    return [event_of_row(row) for row in connection.execute(chosen).mappings()]


def minutes(store: Store, stream_id: int, *, since: float, until: float, step_s: float = MINUTE_S) -> MinuteValues:
    """The minute values of a stream, or those of longer steps: means, highest values, and sums of seconds.

    Steps begin at multiples of their length since 1970 (UTC). Means of a longer step, also of the level, are the means
    of its minutes' values.

    Args:
        store: the store.
        stream_id: of the stream.
        since, until: Unix times; minutes that begin in between are taken.
        step_s: length of a step, a multiple of 60 s; other lengths are rounded.
    """
    per_step = max(1, round(step_s / MINUTE_S))
    table = minutes_table.c
    minute_range = (table.minute >= math.ceil(since / MINUTE_S), table.minute < math.ceil(until / MINUTE_S))
    names = [*MEANS, *HIGHEST, *(f"{state}_s" for state in STATES)]
    if per_step == 1:
        columns: list[Any] = [table.minute, *(table[name] for name in names)]
        chosen = sa.select(*columns).where(table.stream_id == stream_id, *minute_range).order_by(table.minute)
    else:
        chosen = _of_steps(per_step).where(table.stream_id == stream_id, *minute_range)
    with store.reading() as connection:
        # From the driver itself: rows of SQLAlchemy, half a million for a year, take longer to make than to read.
        rows = connection.execute(chosen).cursor.fetchall()
        values = np.array(rows, dtype=np.float64).reshape(len(rows), 1 + len(names))
    by_name: dict[str, DoubleArray] = {name: values[:, 1 + i] * UNITS.get(name, 1.0) for i, name in enumerate(names)}
    return MinuteValues(
        step_s=float(per_step * MINUTE_S),
        time=values[:, 0] * per_step * MINUTE_S,
        seconds={state: by_name[f"{state}_s"] for state in STATES},
        **{name: by_name[name] for name in (*MEANS, *HIGHEST)},
    )


def _of_steps(per_step: int) -> sa.Select[Any]:
    """The values of steps of so many minutes, computed by the database."""
    table = minutes_table.c
    step = (table.minute // per_step).label("step")
    return (
        sa.select(
            step,
            *(sa.cast(sa.func.avg(table[name]), sa.Float) for name in MEANS),
            *(sa.func.max(table[name]) for name in HIGHEST),
            *(sa.func.sum(table[f"{state}_s"]) for state in STATES),
        )
        .group_by(step)
        .order_by(step)
    )


def event_of_row(row: sa.RowMapping) -> StoredEvent:
    """The event of a row of `EVENTS`."""
    values = {name: row[name] for name in StoredEvent.__slots__}
    if not values["verdict"]:  # there is none, or it was withdrawn
        values |= {"verdict": "", "verdict_time": None, "verdict_by": "", "verdict_comment": ""}
    for name in ("cause", "model_id", "source", "acknowledged_by", "verdict_comment", "clip", "picture", "note"):
        values[name] = values[name] or ""
    for name in ("start_s", "lost_samples"):
        values[name] = values[name] or 0
    values["bands"] = tuple(Band(**band) for band in values["bands"] or ())
    return StoredEvent(**values)
