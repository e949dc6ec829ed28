"""What a report tells of each stream, read from the store one stream after another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from monitor.core.text import counted
from monitor.dashboard.render.time_grid import STATES, TimeGrid, on_grid
from monitor.dashboard.widgets.long_term import long
from monitor.report import details
from monitor.report.attachments import Attachments
from monitor.report.details import StoredModel
from monitor.report.timeline import COLUMNS, timeline
from monitor.report.trend import WEEK_S, Period, comparison, drift, period, two_weeks
from monitor.store import queries
from monitor.store.database import Store
from monitor.store.records import MinuteValues, StoredEvent, StoredStream
from monitor.store.verdicts import StoredVerdict, histories

MOST_TOLD = 40  # anomalies of a stream that are told one by one
MOST_LISTED = 400  # further events of a stream that have a row in a table
MOST_READ = 5000  # events of a stream that are read at once, the newest


@dataclass(frozen=True, slots=True)
class Summary:
    """A stream in the table at the top."""

    stream: StoredStream
    name: str
    anchor: str
    values: MinuteValues  # in about as many steps as the timeline has columns
    period: Period
    anomalies: int


@dataclass(frozen=True, slots=True)
class Section:
    """All that the page tells of one stream."""

    summary: Summary
    timeline: Markup
    states: tuple[tuple[str, str, str], ...]  # key, word and length of time of each state that there was
    comparison: str
    drift: str
    told: tuple[StoredEvent, ...]  # anomalies, newest first
    verdicts: Mapping[str, Sequence[StoredVerdict]]
    listed: tuple[StoredEvent, ...]  # further events, newest first
    unlisted: str  # how many more there are, in words; empty if none
    models: tuple[StoredModel, ...]
    has_values: bool


class Contents:
    """Everything that a report says.

    Args:
        store: where from.
        streams: which streams.
        since, until: Unix times.
        attachments: takes the files of the events that are told.
    """

    def __init__(
        self, store: Store, streams: Sequence[StoredStream], since: float, until: float, attachments: Attachments
    ) -> None:
        self.since, self.until, self.attachments = since, until, attachments
        self._store = store
        self.hosts = tuple(dict.fromkeys(one.host for one in streams))
        self.summaries: list[Summary] = []
        told: list[StoredEvent] = []
        for number, stream in enumerate(streams, 1):
            counts = details.event_counts(store, stream.id, since=since, until=until)
            values = self._values(stream)
            name = f"{stream.host}/{stream.name}" if len(self.hosts) > 1 else stream.name
            self.summaries.append(
                Summary(
                    stream, name, f"stream-{number}", values, period(values, (), 0.0, until), counts.get("anomaly", 0)
                )
            )
            told += self._told(stream)
        attachments.choose(told)

    @property
    def anomalies(self) -> int:
        """The number of anomalies of all streams."""
        return sum(one.anomalies for one in self.summaries)

    def sentences(self) -> list[str]:
        """The report in a few sentences."""
        heard = sum(one.period.heard_s for one in self.summaries)
        if not heard and not self.anomalies:
            return ["Nothing was stored in this time."]
        several = len(self.summaries) > 1
        streams = f"{len(self.summaries)} streams were" if several else f"{self.summaries[0].name} was"
        made = [f"{streams} listened to for {long(heard)}{' in all' if several else ''}."]
        loud = [one for one in self.summaries if one.anomalies]
        if not loud:
            made.append("There was no anomaly.")
        elif len(loud) == 1:
            made.append(f"There {_were(self.anomalies)}{f', on {loud[0].name}' if several else ''}.")
        else:
            most = max(loud, key=lambda one: one.anomalies)
            made.append(
                f"There {_were(self.anomalies)} on {len(loud)} streams, most of them ({most.anomalies}) on {most.name}."
                if most.anomalies * 2 > self.anomalies
                else f"There {_were(self.anomalies)} on {len(loud)} streams."
            )
        missed = sum(one.period.not_heard_s for one in self.summaries)
        made.append(f"{long(missed)} were not heard." if missed else "In that time nothing was missed.")
        return made

    def sections(self) -> Iterator[Section]:
        """A section for each stream, each read from the store when it is needed."""
        for summary in self.summaries:
            yield self._section(summary)

    def _section(self, summary: Summary) -> Section:
        stream = summary.stream
        grid = on_grid(summary.values, self.since, self.until, COLUMNS)
        told = self._told(stream)
        others = self._others(stream, told)
        models = tuple(details.models(self._store, stream.id))
        lately = queries.minutes(self._store, stream.id, since=self.until - 2 * WEEK_S, until=self.until, step_s=600)
        recent = self._events(stream, self.until - 2 * WEEK_S, ("anomaly",))
        week, before = two_weeks(lately, recent, self.until)
        anomalies = counted(summary.anomalies, "anomaly", "anomalies")
        label = f"{summary.name}: share of the limit, states and level over time; {anomalies}"
        total = sum(details.event_counts(self._store, stream.id, since=self.since, until=self.until).values())
        more = total - len(told) - min(len(others), MOST_LISTED)
        return Section(
            summary=summary,
            timeline=timeline(grid, [*told, *others], frozenset(one.id for one in told), models, label),
            states=_states(grid),
            comparison=comparison(week, before),
            drift=drift(week, before),
            told=told,
            verdicts=histories(self._store, [one.id for one in told]),
            listed=others[:MOST_LISTED],
            unlisted=counted(more, "further event is", "further events are") if more > 0 else "",
            models=models,
            has_values=bool(len(summary.values.time)),
        )

    def _told(self, stream: StoredStream) -> tuple[StoredEvent, ...]:
        """The strongest anomalies of a stream, newest first."""
        found = self._events(stream, self.since, ("anomaly",))
        strongest = sorted(found, key=lambda one: one.peak_share or 0.0, reverse=True)
        told = {one.id for one in strongest[:MOST_TOLD]}
        return tuple(one for one in found if one.id in told)

    def _others(self, stream: StoredStream, told: Sequence[StoredEvent]) -> tuple[StoredEvent, ...]:
        """The events of a stream that are not told one by one, newest first."""
        ids = {one.id for one in told}
        return tuple(one for one in self._events(stream, self.since) if one.id not in ids)

    def _events(self, stream: StoredStream, since: float, kinds: Sequence[str] = ()) -> list[StoredEvent]:
        """Events of a stream, no more than MOST_READ, newest first."""
        return queries.events(
            self._store, since=since, until=self.until, streams=[stream.id], kinds=kinds, limit=MOST_READ
        )

    def _values(self, stream: StoredStream) -> MinuteValues:
        step_s = max(60.0, 60.0 * math.floor((self.until - self.since) / COLUMNS / 60))
        return queries.minutes(self._store, stream.id, since=self.since, until=self.until, step_s=step_s)


def _states(grid: TimeGrid) -> tuple[tuple[str, str, str], ...]:
    return tuple((state, word, long(grid.seconds[state])) for state, word in STATES.items() if grid.seconds[state])


def _were(anomalies: int) -> str:
    return f"was {counted(anomalies, 'anomaly', '')}" if anomalies == 1 else f"were {anomalies:,d} anomalies"
