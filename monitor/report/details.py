"""What the store knows beyond events and minutes: models, and short beginnings of ids."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from monitor.store import tables
from monitor.store.database import Store

SHORTEST_ID = 8  # characters of an id that are always shown


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model that a stream was listened to with."""

    id: str
    name: str
    first_seen: float
    limits: Mapping[str, Any]
    calibration: Mapping[str, Any]


def models(store: Store, stream_id: int) -> list[StoredModel]:
    """The models that a stream has been listened to with, as far as the store knows, oldest first."""
    used = sa.union(
        sa.select(tables.streams.c.model_id).where(tables.streams.c.id == stream_id),
        sa.select(tables.events.c.model_id).where(tables.events.c.stream_id == stream_id).distinct(),
    )
    table = tables.models.c
    names = (table.id, table.name, table.first_seen, table.limits, table.calibration)
    chosen = sa.select(*names).where(table.id.in_(used)).order_by(table.first_seen)
    with store.reading() as connection:
        rows = connection.execute(chosen).all()
    return [
        StoredModel(row.id, row.name or "", row.first_seen, row.limits or {}, row.calibration or {}) for row in rows
    ]


def short_ids(store: Store, event_ids: Collection[str]) -> dict[str, str]:
    """For each id of these events, a beginning that no other event in the store has."""
    if not event_ids:
        return {}
    first, last = min(event_ids), max(event_ids)
    column = tables.events.c.id
    between = sa.select(column).where(column >= first, column <= last).order_by(column)
    before = sa.select(column).where(column < first).order_by(column.desc()).limit(1)
    after = sa.select(column).where(column > last).order_by(column).limit(1)
    with store.reading() as connection:
        known = [*connection.scalars(before), *connection.scalars(between), *connection.scalars(after)]
    common = [_common(one, other) for one, other in pairwise(["", *known, ""])]
    lengths = {one: max(common[i], common[i + 1]) + 1 for i, one in enumerate(known)}
    return {one: one[: max(lengths.get(one, len(one)), SHORTEST_ID)].rstrip("-") for one in event_ids}


def event_counts(store: Store, stream_id: int, *, since: float, until: float) -> dict[str, int]:
    """How many events of each kind a stream had, of those that have a part between two times."""
    table = tables.events.c
    chosen = (
        sa.select(table.kind, sa.func.count().label("count"))
        .where(table.stream_id == stream_id, table.onset < until)
        .where(sa.or_(table.ended.is_(None), table.ended >= since))
        .group_by(table.kind)
    )
    with store.reading() as connection:
        return {row.kind: row[1] for row in connection.execute(chosen)}


def _common(one: str, other: str) -> int:
    """The length of the beginning that two texts have in common."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
