"""The filters of the list of events and of the calendar, as they stand in an address."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlencode

from monitor.store.event_search import EventSearch, Order, Place
from monitor.store.records import StoredStream
from monitor.store.verdicts import VERDICTS

KINDS = (
    "anomaly", "warning", "new mode", "drift", "self-test", "lost", "no signal", "overloaded", "gap", "invalid samples",
    "off",
)  # fmt: skip
LAST_S = {"24h": 86_400.0, "7d": 7 * 86_400.0, "30d": 30 * 86_400.0}
NONE = "none"  # in addresses: without a verdict
NAMED_VERDICTS = (NONE, *VERDICTS)
ID = re.compile("[0-9]{1,9}")  # of a stream
ID_OF_EVENT = re.compile("[0-9a-f-]{1,36}")
FIRST_YEAR, LAST_YEAR = 1971, 9998  # midnight is a Unix time that every database keeps, wherever we are
LATEST = datetime.datetime(LAST_YEAR, 1, 1, tzinfo=datetime.UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Filters:
    """What somebody wants to see; what an address has that makes no sense is left out.

    Args:
        kind: of events; "" is all kinds.
        streams: ids; empty: all.
        verdicts: of NAMED_VERDICTS; empty: with and without.
        open_only: only events that last, or that nobody has acknowledged.
        last: a key of LAST_S; "" is any time.
        first_day, last_day: local dates in place of `last`, both included.
        order: of the list; None: that which suits the kind.
    """

    kind: str = "anomaly"
    streams: tuple[int, ...] = ()
    verdicts: tuple[str, ...] = ()
    open_only: bool = False
    last: str = ""
    first_day: datetime.date | None = None
    last_day: datetime.date | None = None
    order: Order | None = None

    @classmethod
    def of(cls, query: Iterable[tuple[str, str]]) -> Self:
        """The filters in an address, of which these are the names and values."""
        values: dict[str, list[str]] = {}
        for name, value in query:
            values.setdefault(name, []).append(value)

        def last(name: str) -> str:
            return values.get(name, [""])[-1]

        kind = last("kind")
        order: dict[str, Order] = {"newest": "newest", "judge": "to judge"}
        return cls(
            kind=kind if kind in KINDS else "" if kind == "all" else "anomaly",
            streams=tuple(dict.fromkeys(int(one) for one in values.get("stream", ()) if ID.fullmatch(one))),
            verdicts=tuple(one for one in NAMED_VERDICTS if one in values.get("verdict", ())),
            open_only=last("open") == "1",
            last=last("last") if last("last") in LAST_S else "",
            first_day=_date(last("from")),
            last_day=_date(last("to")),
            order=order.get(last("order")),
        )

    @property
    def in_order(self) -> Order:
        """The order in force: of anomalies those without a verdict come first, unless it was chosen otherwise."""
        return self.order or ("to judge" if self.kind == "anomaly" else "newest")

    def search(self, now: float) -> EventSearch:
        """The search of the store."""
        since = now - LAST_S[self.last] if self.last else None
        until = None
        if self.first_day or self.last_day:
            since = None if self.first_day is None else _midnight(self.first_day)
            until = None if self.last_day is None else _midnight(self.last_day + datetime.timedelta(1))
        return EventSearch(
            since=since,
            until=until,
            streams=self.streams,
            kinds=(self.kind,) if self.kind else (),
            verdicts=tuple("" if one == NONE else one for one in self.verdicts),
            open_only=self.open_only,
            order=self.in_order,
        )

    def address(self, path: str = "/events", **more: str) -> str:
        """The address of a page with these filters; what is as it is by itself is left out."""
        values: list[tuple[str, str]] = []
        if self.kind != "anomaly":
            values.append(("kind", self.kind or "all"))
        values += [("stream", str(one)) for one in self.streams]
        values += [("verdict", one) for one in self.verdicts]
        values += [("open", "1")] if self.open_only else []
        values += [("last", self.last)] if self.last else []
        values += [("from", self.first_day.isoformat())] if self.first_day else []
        values += [("to", self.last_day.isoformat())] if self.last_day else []
        values += [("order", "judge" if self.order == "to judge" else "newest")] if self.order else []
        values += more.items()
        return f"{path}?{urlencode(values)}" if values else path

    def of_day(self, day: datetime.date) -> Filters:
        """The same for one day."""
        return replace(self, last="", first_day=day, last_day=day)


def place_text(place: Place) -> str:
    """A place in the list as it stands in an address."""
    return f"{int(place.judged)}~{place.onset!r}~{place.event_id}"


def place_of(text: str) -> Place | None:
    """The place that a text in an address means; None if it means none."""
    judged, _, rest = text.partition("~")
    onset, _, event_id = rest.partition("~")
    try:
        return Place(judged == "1", _unix(onset), event_id) if ID_OF_EVENT.fullmatch(event_id) else None
    except ValueError:
        return None


def month_of(text: str | None, today: datetime.date) -> datetime.date:
    """The first day of the month that a text such as 2026-11 means; that of today if it means none."""
    try:
        found = datetime.date.fromisoformat(f"{text}-01")
    except ValueError:
        return today.replace(day=1)
    return found if FIRST_YEAR <= found.year <= LAST_YEAR else today.replace(day=1)


def neighbour_month(first: datetime.date, step: int) -> datetime.date:
    """The first day of the next month (`step` 1), or of the one before (-1)."""
    number = first.year * 12 + first.month - 1 + step
    return datetime.date(min(max(number // 12, FIRST_YEAR), LAST_YEAR), number % 12 + 1, 1)


def stream_names(streams: Sequence[StoredStream]) -> Mapping[int, str]:
    """The names of streams by their ids; with the computer's, where there are several."""
    several = len({one.host for one in streams}) > 1
    return {one.id: f"{one.host}/{one.name}" if several else one.name for one in streams}


def _date(text: str) -> datetime.date | None:
    try:
        found = datetime.date.fromisoformat(text)
    except ValueError:
        return None
    return found if FIRST_YEAR <= found.year <= LAST_YEAR else None


def _midnight(day: datetime.date) -> float:
    return datetime.datetime(day.year, day.month, day.day).timestamp()


def _unix(text: str) -> float:
    """A Unix time that a database can compare with.

    Raises:
        ValueError: if it is none.
    """
    found = float(text)
    if not 0 <= found < LATEST:
        raise ValueError(text)
    return found
