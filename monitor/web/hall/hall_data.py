"""What the hall shows of each stream, from the store and from live values: plain values, no page."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from monitor.core.events import State
from monitor.core.text import printable
from monitor.dashboard.widgets.stream_order import STATES
from monitor.store import fleet, queries
from monitor.store.database import Store
from monitor.store.fleet import StoredMonitor
from monitor.store.records import StoredStream
from monitor.store.tables import events, minutes, verdicts
from monitor.web.hall.elsewhere import KIND_STATES, NOT_RUNNING, state_elsewhere
from monitor.web.live_link import Values

FRESH_S = 120.0  # a stream whose newest minute is older is not running
ENDED_S = 10.0  # nor is one whose monitor has not answered for so long; a busy one answers late
DAY_S = 86_400.0
FORGOTTEN_S = 30 * DAY_S  # streams that were not heard for so long are left out
SPARK_MINUTES = 60
ATTENTION = ("anomaly", "self-test")  # kinds that somebody acknowledges
MINUTE_STATES = (State.ANOMALY, State.WARNING, State.NORMAL, State.LISTENING, State.OFF, State.NEW_MODE)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HallEvent:
    """An event that lasts, or that nobody has acknowledged."""

    id: str
    stream_id: int
    kind: str
    onset: float  # Unix times
    reported: float
    ended: float | None
    seen: bool  # whether somebody acknowledged or judged it


@dataclass(slots=True)
class StoredHall:
    """What the store says of all streams. `refresh` reads what has become old."""

    streams: list[StoredStream] = field(default_factory=list)
    events: list[HallEvent] = field(default_factory=list)
    sparks: dict[int, list[int]] = field(default_factory=dict)  # by stream id: percent of the limit, -1 for none
    states: dict[int, State] = field(default_factory=dict)  # by stream id, of its newest minute
    levels: dict[int, float] = field(default_factory=dict)  # likewise, dBFS
    monitors: dict[str, StoredMonitor] = field(default_factory=dict)  # by host
    _old: list[HallEvent] = field(default_factory=list)
    _read: dict[str, float] = field(default_factory=dict)

    def refresh(self, store: Store, now: float) -> None:
        """Reads what is new: events and streams each time, the rest less often.

        Raises:
            StoreError: if the store cannot be read; what was read before stays.
        """
        known = [one for one in queries.streams(store) if now - one.last_seen < FORGOTTEN_S]
        since = now - DAY_S
        lasts, new = events.c.ended.is_(None), _not_seen() & events.c.kind.in_(ATTENTION)
        recent = _events(store, (events.c.onset >= since) & (lasts | new))  # found by the index of onsets
        if self._is_due("old events", now, 30.0):  # looks at all events of the store
            self._old = _events(store, (events.c.onset < since) & lasts)
        if self._is_due("minutes", now, 15.0) or {one.id for one in known} != {one.id for one in self.streams}:
            self.sparks, self.states, self.levels = _minutes(store, [one.id for one in known], now)
        if self._is_due("monitors", now, 5.0):
            self.monitors = {one.host: one for one in fleet.monitors(store)}
        self.streams, self.events = known, recent + self._old

    def unseen(self, stream_id: int) -> list[HallEvent]:
        """The events of a stream that somebody should acknowledge, the newest first."""
        found = [
            one for one in self.events if one.stream_id == stream_id and one.kind in ATTENTION and not one.seen
        ]  # fmt: skip
        return sorted(found, key=lambda one: one.onset, reverse=True)

    def _is_due(self, what: str, now: float, every_s: float) -> bool:
        if abs(now - self._read.get(what, 0.0)) < every_s:
            return False
        self._read[what] = now
        return True


def rows(
    stored: StoredHall,
    live: Mapping[str, Values],
    host: str,
    now: float | None = None,
    gone: Mapping[str, float] | None = None,
) -> list[Row]:
    """A row for each stream, the worst first; in the same state in the order of names.

    Args:
        stored: what the store says.
        live: live values of the streams of this computer, by name.
        host: the name of this computer in the store.
        now: Unix time.
        gone: streams of this computer that were live until their monitor ended, with the Unix times of that.
    """
    now = time.time() if now is None else now
    gone = gone or {}
    by_stream: dict[int, list[HallEvent]] = {}
    for one in stored.events:
        by_stream.setdefault(one.stream_id, []).append(one)
    made = [
        _row(one, by_stream.get(one.id, []), stored, *_link_of(one, live, gone, host), now)
        if one.host == host or one.host not in stored.monitors
        else _row_elsewhere(one, by_stream.get(one.id, []), stored, now)
        for one in stored.streams
    ]
    known = {one.name for one in stored.streams if one.host == host}
    made += [_live_row(name, host, values) for name, values in live.items() if name not in known]
    several = len({row["host"] for row in made}) > 1
    prefixes = Counter((row["host"], _prefix(row["name"])) for row in made)
    for row in made:
        prefix = _prefix(row["name"])
        group = prefix if prefixes[row["host"], prefix] > 1 else ""
        row["group"] = f"{row['host']}: {group}".removesuffix(": ") if several else group
        if not several:
            row["host"] = ""
    return sorted(made, key=lambda row: (severity(row, now), _natural(row["name"]), row["host"]))


def severity(row: Row, now: float) -> float:
    """The place of a row's state, the worst first; an anomaly that was seen comes after the warnings."""
    if row["state"] == NOT_RUNNING:
        long = row["since"] is not None and now - row["since"] > DAY_S
        return len(STATES) if long else STATES.index(State.OVERLOADED) + 0.5
    if row["state"] == State.ANOMALY and row["seen"]:
        return STATES.index(State.WARNING) + 0.5
    return STATES.index(State(row["state"]))


def changes(before: Mapping[str, Row], after: Sequence[Row]) -> dict[str, Any]:
    """What a page that shows some rows has to be told: `{"rows": …, "order": …}`, each only if it is new.

    Args:
        before: the rows that it shows, by key, in their order.
        after: the rows that it should show.
    """
    told = []
    for row in after:
        old = before.get(row["key"])
        new = row if old is None else {name: value for name, value in row.items() if old[name] != value}
        if new:
            told.append({"key": row["key"], **new})
    order = [row["key"] for row in after]
    return {**({"rows": told} if told else {}), **({"order": order} if order != list(before) else {})}


def _row(
    stream: StoredStream,
    found: Sequence[HallEvent],
    stored: StoredHall,
    values: Values | None,
    gone: float | None,
    now: float,
) -> Row:
    lasting = {one.kind: one for one in found if one.ended is None}
    row = _stored_row(stream, stored, now)
    if values is not None:
        row |= _of_live(values)
    elif now - stream.last_seen > FRESH_S:
        row |= {"state": NOT_RUNNING, "since": stream.last_seen}
    elif gone is not None and now - gone > ENDED_S and stream.last_seen <= gone + ENDED_S:
        row |= {"state": NOT_RUNNING, "since": gone}  # unless another monitor has written meanwhile
    else:
        kind = next((kind for kind in KIND_STATES if kind in lasting), None)
        if kind is None:
            new = State.LISTENING if now - stream.first_seen < FRESH_S else NOT_RUNNING  # it has no minutes
            row["state"] = str(stored.states.get(stream.id, new))
        else:
            row |= {"state": KIND_STATES[kind].value, "since": lasting[kind].onset}
        row["share"] = _last_share(row)
    return _with_anomaly(row, lasting)


def _row_elsewhere(stream: StoredStream, found: Sequence[HallEvent], stored: StoredHall, now: float) -> Row:
    """The row of a stream of another computer that gives signs of life; it has no live values."""
    lasting = {one.kind: one for one in found if one.ended is None}
    row = _stored_row(stream, stored, now)
    began = {kind: one.onset for kind, one in lasting.items()}
    state, since = state_elsewhere(stream, stored.monitors[stream.host], began, stored.states.get(stream.id))
    row |= {"state": state, "since": since, "heard": stream.last_seen}
    if state != NOT_RUNNING:
        row |= {"share": _last_share(row), "level": stored.levels.get(stream.id)}
    return _with_anomaly(row, lasting)


def _stored_row(stream: StoredStream, stored: StoredHall, now: float) -> Row:
    """What the row of a stream has in any case."""
    unseen = stored.unseen(stream.id)
    return {
        "key": f"s{stream.id}", "id": stream.id, "name": printable(stream.name), "host": stream.host,
        "spark": stored.sparks.get(stream.id, []), "share": None, "since": None, "seen": False,
        "new": len(unseen), "event": unseen[0].id if unseen else "",
        "muted": stream.muted_until if stream.muted_until and stream.muted_until > now else None,
        "level": None, "heard": None,
    }  # fmt: skip


def _last_share(row: Row) -> int | None:
    """The share of the limit of the newest minute that has one, in percent."""
    return next((one for one in reversed(row["spark"]) if one >= 0), None)


def _with_anomaly(row: Row, lasting: Mapping[str, HallEvent]) -> Row:
    if row["state"] == State.ANOMALY and "anomaly" in lasting:
        row |= {"seen": lasting["anomaly"].seen, "event": lasting["anomaly"].id}
    return row


def _link_of(
    stream: StoredStream, live: Mapping[str, Values], gone: Mapping[str, float], host: str
) -> tuple[Values | None, float | None]:
    """The live values of a stream, and since when there are none any more."""
    return (live.get(stream.name), gone.get(stream.name)) if stream.host == host else (None, None)


def _live_row(name: str, host: str, values: Values) -> Row:
    """The row of a stream that is not in the store."""
    return {
        "key": f"l{name}", "id": None, "name": printable(name), "host": host, "spark": [], "seen": False, "new": 0,
        "event": "", "muted": None, "level": None, "heard": None, **_of_live(values),
    }  # fmt: skip


def _of_live(values: Values) -> Row:
    share, event = values.get("share_of_limit"), values.get("event")
    state = str(values["state"])
    known = KIND_STATES.get(event["kind"]) if event else None
    return {
        "state": state,
        "share": None if share is None else min(round(share * 100), 9999),
        "since": event["began"] if event and known == state else None,
    }


def _not_seen() -> sa.ColumnElement[bool]:
    judged = sa.exists().where(verdicts.c.event_id == events.c.id)
    return events.c.acknowledged.is_(None) & ~judged


def _events(store: Store, chosen: sa.ColumnElement[bool]) -> list[HallEvent]:
    table = events.c
    columns = (table.id, table.stream_id, table.kind, table.onset, table.reported, table.ended)
    statement = sa.select(*columns, (~_not_seen()).label("seen")).where(chosen)
    with store.reading() as connection:
        return [HallEvent(*row) for row in connection.execute(statement)]


def _minutes(
    store: Store, ids: Sequence[int], now: float
) -> tuple[dict[int, list[int]], dict[int, State], dict[int, float]]:
    """The highest share of each of the last minutes, and the state and the level of the newest, by stream."""
    first = int(now // 60) - SPARK_MINUTES + 1
    table = minutes.c
    seconds = [table[f"{state.value.lower().replace(' ', '_')}_s"] for state in MINUTE_STATES]
    chosen = (
        sa.select(table.stream_id, table.minute, table.share_max, table.level, *seconds)
        .where(table.stream_id.in_(ids), table.minute >= first)
        .order_by(table.minute)
    )
    sparks: dict[int, list[int]] = {}
    states: dict[int, State] = {}
    levels: dict[int, float] = {}
    with store.reading() as connection:
        for stream_id, minute, share, level, *times in connection.execute(chosen):
            spark = sparks.setdefault(stream_id, [-1] * SPARK_MINUTES)
            if share is not None and 0 <= minute - first < SPARK_MINUTES:
                spark[minute - first] = round(share / 10)
            if level is not None:
                levels[stream_id] = level / 10
            longest = max(times)
            states[stream_id] = MINUTE_STATES[times.index(longest)] if longest else State.LISTENING
    return sparks, states, levels


def _prefix(name: str) -> str:
    """What a name has in common with those of like machines: pump of "pump 2", "pump-3a" and "pump_4"."""
    return re.sub(r"[\s_.\-]*\d+[A-Za-z]?$", "", name).strip()


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Orders pump 2 before pump 10."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
