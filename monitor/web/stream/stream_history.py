"""The last hour, day or month of a stream from the store, on a regular grid, beside the time before."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.core.types import DoubleArray
from monitor.dashboard.render.formatting import share
from monitor.dashboard.render.time_grid import STATES
from monitor.dashboard.render.time_ticks import ticks
from monitor.dashboard.widgets.long_term import long
from monitor.store import queries
from monitor.store.database import Store
from monitor.store.event_search import EventSearch, page
from monitor.store.records import MinuteValues, StoredEvent

HOUR_S, DAY_S = 3600.0, 86_400.0
MOST_MARKS = 200  # events that are marked in a chart; of more, those with the highest shares
MOST_READ = 2000  # events that are read for these


@dataclass(frozen=True, slots=True)
class Range:
    """A length of time that can be chosen."""

    key: str  # in the address
    name: str  # on the button
    long_name: str  # in sentences: the last …
    seconds: float
    step_s: float  # of the grid, a multiple of a minute
    before_days: int  # how many days the time that it is compared with is earlier
    before_name: str  # what that is called
    refresh_s: float  # how often it is worth reading again


RANGES = (
    Range("1h", "1 h", "hour", HOUR_S, 60.0, 7, "last week", 30.0),
    Range("24h", "24 h", "24 hours", DAY_S, 300.0, 7, "last week", 60.0),
    Range("30d", "30 d", "30 days", 30 * DAY_S, HOUR_S, 30, "the 30 days before", 600.0),
)
QUANTITIES = {"share": "share of limit", "score": "score", "error": "reconstruction error", "level": "level"}


@dataclass(frozen=True, slots=True)
class Series:
    """One quantity in the steps of a grid; NaN where nothing was heard or stored."""

    mean: DoubleArray  # (n,)
    highest: DoubleArray  # (n,) of the level: the mean as well


@dataclass(frozen=True, slots=True)
class StreamHistory:
    """What the store knows of a stream in a range of time. All arrays have a number for each step."""

    range: Range
    since: float  # Unix time at which the first step begins
    until: float  # at which the last one ends
    time: DoubleArray  # (n,) Unix times at which the steps begin
    series: Mapping[str, Series]  # by the keys of QUANTITIES
    before: Mapping[str, Series]  # the same local times some days earlier
    seconds: Mapping[str, DoubleArray]  # (n,) seconds in each state, by the keys of STATES
    events: tuple[StoredEvent, ...]  # anomalies, oldest first; at most MOST_MARKS
    anomalies: int  # how many there were

    @property
    def has_values(self) -> bool:
        """Whether anything is stored of this time."""
        return any(float(np.nansum(one)) > 0 for one in self.seconds.values())

    @property
    def has_before(self) -> bool:
        """Whether anything is stored of the time that it is compared with."""
        return any(bool(np.isfinite(one.mean).any()) for one in self.before.values())

    def total_s(self, state: str) -> float:
        """Seconds in a state."""
        return float(np.nansum(self.seconds[state]))


def range_of(key: str) -> Range:
    """The range with a key; that of an hour if there is none."""
    return next((one for one in RANGES if one.key == key), RANGES[0])


def read_history(store: Store, stream_id: int, wanted: Range, now: float) -> StreamHistory:
    """Reads the newest time of a stream, up to the step that `now` is in, and the time that it is compared with.

    Raises:
        StoreError: if the store cannot be read.
    """
    step = wanted.step_s
    until = (math.floor(now / step) + 1) * step
    count = round(wanted.seconds / step)
    since = until - count * step
    time: DoubleArray = since + step * np.arange(count, dtype=np.float64)
    earlier = earlier_times(time, wanted.before_days)
    values = queries.minutes(store, stream_id, since=since, until=until, step_s=step)
    known = earlier[np.isfinite(earlier)]
    first, last = (float(known.min()), float(known.max()) + step) if len(known) else (since, since)
    before = queries.minutes(store, stream_id, since=first, until=last, step_s=step)
    events, anomalies = _anomalies(store, stream_id, since, until)
    return StreamHistory(
        range=wanted,
        since=since,
        until=until,
        time=time,
        series=_series(values, time),
        before=_series(before, earlier),
        seconds={state: on_times(values, values.seconds[state], time) for state in STATES},
        events=events,
        anomalies=anomalies,
    )


def earlier_times(times: DoubleArray, days: int) -> DoubleArray:
    """The same local times some days earlier, as Unix times (n,).

    A day that the clock was changed in between has 23 or 25 hours, so this is not always the same number of seconds.
    NaN where the clock did not show that time, because it was set forward.
    """
    shift = datetime.timedelta(days=days)
    made = np.empty(len(times))
    for i, unix in enumerate(times.tolist()):
        wanted = datetime.datetime.fromtimestamp(unix) - shift
        earlier = wanted.timestamp()
        made[i] = earlier if datetime.datetime.fromtimestamp(earlier) == wanted.replace(fold=0) else math.nan
    return made


def on_times(values: MinuteValues, numbers: DoubleArray, times: DoubleArray) -> DoubleArray:
    """The numbers (m,) of stored steps at the times (n,) of others of the same length; NaN where there are none."""
    made = np.full(len(times), np.nan)
    if not len(values.time):
        return made
    wanted = np.floor(np.nan_to_num(times, nan=-1.0) / values.step_s)
    stored = np.rint(values.time / values.step_s)
    at = np.minimum(np.searchsorted(stored, wanted), len(stored) - 1)
    found = (stored[at] == wanted) & np.isfinite(times)
    made[found] = numbers[at[found]]
    return made


def summary(history: StreamHistory) -> str:
    """What a chart of the history shows, in sentences, for those who cannot see it."""
    if not history.has_values:
        return f"Nothing is stored of the last {history.range.long_name}."
    shares, before = history.series["share"], history.before["share"]
    said = []
    if np.isfinite(shares.mean).any():
        mean, highest = float(np.nanmean(shares.mean)), _highest(shares.highest)
        said.append(
            f"In the last {history.range.long_name}: {share(mean)} of the limit on average, {share(highest)} at most."
        )
        if np.isfinite(before.mean).any():
            then = share(float(np.nanmean(before.mean)))
            name = history.range.before_name
            said.append(f"{name[:1].upper()}{name[1:]}: {then} on average, {share(_highest(before.highest))} at most.")
    else:
        said.append(f"No decisions in the last {history.range.long_name}.")
    count = history.anomalies
    said.append("No anomaly." if not count else f"{count} anomal{'y' if count == 1 else 'ies'}.")
    spent = [(history.total_s(state), word) for state, word in STATES.items() if history.total_s(state) >= 1]
    lengths = "; ".join(f"{word} {long(seconds)}" for seconds, word in sorted(spent, reverse=True))
    said.append(f"{lengths[:1].upper()}{lengths[1:]}.")
    return " ".join(said)


def axis_labels(history: StreamHistory, most: int = 8) -> list[tuple[float, str]]:
    """Round local times in the range with their labels."""
    return ticks(history.since, history.until, most)


def clock_changes(since: float, until: float) -> list[tuple[float, int]]:
    """The offsets of local time from UTC in a range: from which Unix time on, and how many seconds."""
    made: list[tuple[float, int]] = []
    for unix in np.arange(since, until + 900.0, 900.0).tolist():  # clocks are changed at quarters of an hour
        offset = datetime.datetime.fromtimestamp(unix).astimezone().utcoffset()
        seconds = int(offset.total_seconds()) if offset is not None else 0
        if not made or made[-1][1] != seconds:
            made.append((unix, seconds))
    return made


def _series(values: MinuteValues, times: DoubleArray) -> dict[str, Series]:
    level = on_times(values, values.level, times)
    made = {
        name: Series(
            on_times(values, getattr(values, f"{name}_mean"), times),
            on_times(values, getattr(values, f"{name}_max"), times),
        )
        for name in ("share", "score", "error")
    }
    return {**made, "level": Series(level, level)}


def _anomalies(store: Store, stream_id: int, since: float, until: float) -> tuple[tuple[StoredEvent, ...], int]:
    wanted = EventSearch(since=since, until=until, streams=(stream_id,), kinds=("anomaly",))
    found = list(page(store, wanted, size=MOST_READ).events)
    # An anomaly that began before and lasts into this time is a part of it, too.
    found += queries.events(store, since=since, until=since, streams=[stream_id], kinds=["anomaly"], limit=MOST_MARKS)
    marked: Sequence[StoredEvent] = sorted(found, key=lambda one: -(one.peak_share or 0.0))[:MOST_MARKS]
    return tuple(sorted(marked, key=lambda one: one.onset)), len(found)


def _highest(values: DoubleArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else math.nan
