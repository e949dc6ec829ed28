"""Searches events: by time, stream, kind and verdict, a page at a time, so that also 100,000 events are quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from monitor.store.database import Store
from monitor.store.queries import EVENTS, event_of_row
from monitor.store.records import StoredEvent
from monitor.store.tables import events, verdicts
from monitor.store.verdicts import IS_NEWEST

Order = Literal["to judge", "newest"]

VERDICT = sa.func.coalesce(verdicts.c.verdict, "")  # of the rows of EVENTS
AT_ONCE = 1000  # a size of pages that suits a list of all events


@dataclass(frozen=True, slots=True)
class EventSearch:
    """Which events are wanted; each condition narrows the others.

    Args:
        since, until: Unix times between which an event began.
        streams: ids of streams; empty: all.
        kinds: kinds of events; empty: all.
        verdicts: newest verdicts ("": none); empty: with and without.
        open_only: only events that last, or that nobody has acknowledged.
        order: "newest": those that began last are first; "to judge": likewise, but all without a verdict come first.
    """

    since: float | None = None
    until: float | None = None
    streams: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    open_only: bool = False
    order: Order = "newest"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the order of a search: behind an event."""

    judged: bool  # whether the event has a verdict; only where those without one are first
    onset: float
    event_id: str


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some of the events that were found, and where the next ones begin; None: there are no more."""

    events: tuple[StoredEvent, ...]
    next: Place | None


def page(store: Store, wanted: EventSearch, *, after: Place | None = None, size: int = 100) -> EventPage:
    """The next events of a search. What it takes does not grow with the number of those before.

    Args:
        store: the store.
        wanted: the search.
        after: the end of the page before; None: the first page.
        size: the largest number of events.

    Raises:
        StoreError: if the store cannot be read.
    """
    with store.reading() as connection:
        found = _rows(connection, wanted, after, size + 1)
    shown = tuple(found[:size])
    more = len(found) > size
    return EventPage(shown, _place(shown[-1], wanted) if more else None)


def count(store: Store, wanted: EventSearch) -> int:
    """The number of events of a search.

    Raises:
        StoreError: if the store cannot be read.
    """
    table = events.outerjoin(verdicts, IS_NEWEST) if wanted.verdicts else events
    chosen = sa.select(sa.func.count()).select_from(table).where(*_conditions(wanted))
    with store.reading() as connection:
        return int(connection.scalar(chosen) or 0)


def neighbours(store: Store, wanted: EventSearch, event: StoredEvent) -> tuple[str, str]:
    """The ids of the events before and behind an event in the order of a search; "" where there is none.

    Raises:
        StoreError: if the store cannot be read.
    """
    place = _place(event, wanted)
    with store.reading() as connection:
        before = _rows(connection, wanted, place, 1, backwards=True)
        behind = _rows(connection, wanted, place, 1)
    return (before[0].id if before else "", behind[0].id if behind else "")


def _conditions(wanted: EventSearch) -> list[sa.ColumnElement[bool]]:
    """The conditions of a search on the tables of events and, where verdicts are wanted, of their newest verdicts."""
    made: list[sa.ColumnElement[bool]] = []
    if wanted.since is not None:
        made.append(events.c.onset >= wanted.since)
    if wanted.until is not None:
        made.append(events.c.onset < wanted.until)
    if wanted.streams:
        made.append(events.c.stream_id.in_(wanted.streams))
    if wanted.kinds:
        made.append(events.c.kind.in_(wanted.kinds))
    if wanted.verdicts:
        made.append(VERDICT.in_(wanted.verdicts))
    if wanted.open_only:
        made.append(sa.or_(events.c.ended.is_(None), events.c.acknowledged.is_(None)))
    return made


def _rows(
    connection: sa.Connection, wanted: EventSearch, from_: Place | None, size: int, *, backwards: bool = False
) -> list[StoredEvent]:
    """Up to `size` events behind a place, or before it, the nearest first.

    Where those without a verdict come first, these and the others are two searches, so that the database finds both by
    the index of time, and has nothing to sort.
    """
    if wanted.order == "newest":
        return _part(connection, wanted, [], from_, size, backwards)
    parts = [(False, VERDICT == ""), (True, VERDICT != "")]
    found: list[StoredEvent] = []
    for judged, condition in reversed(parts) if backwards else parts:
        if from_ is not None and judged != from_.judged and judged == backwards:
            continue  # this part lies on the other side
        place = from_ if from_ is not None and judged == from_.judged else None
        if len(found) < size:
            found += _part(connection, wanted, [condition], place, size - len(found), backwards)
    return found


def _part(
    connection: sa.Connection,
    wanted: EventSearch,
    further: list[sa.ColumnElement[bool]],
    from_: Place | None,
    size: int,
    backwards: bool,
) -> list[StoredEvent]:
    """Up to `size` events in the order of time, from a place on into the past, or `backwards` towards now."""
    onset, id_ = events.c.onset, events.c.id
    chosen = EVENTS.where(*_conditions(wanted), *further)
    if from_ is not None and backwards:
        chosen = chosen.where(onset >= from_.onset).where(sa.or_(onset > from_.onset, id_ > from_.event_id))
    elif from_ is not None:  # the first of both conditions is that by which the index finds the place
        chosen = chosen.where(onset <= from_.onset).where(sa.or_(onset < from_.onset, id_ < from_.event_id))
    chosen = chosen.order_by(*((onset, id_) if backwards else (onset.desc(), id_.desc()))).limit(size)
    return [event_of_row(row) for row in connection.execute(chosen).mappings()]


def _place(event: StoredEvent, wanted: EventSearch) -> Place:
    return Place(wanted.order == "to judge" and bool(event.verdict), event.onset, event.id)
