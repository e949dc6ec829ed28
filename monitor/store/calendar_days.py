"""Days of a calendar: how many anomalies began on each, by verdict, and how near the alarm its streams were."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import sqlalchemy as sa

from monitor.store.database import Store
from monitor.store.minute_row import MINUTE_S
from monitor.store.tables import events, minutes, verdicts
from monitor.store.verdicts import IS_NEWEST


@dataclass(frozen=True, slots=True)
class DayEvents:
    """The anomalies that began on a day."""

    by_verdict: Mapping[str, int] = field(default_factory=dict)  # by the newest verdict; "": without one
    peak_share: float = math.nan  # the highest share of the limit of any of them

    @property
    def total(self) -> int:
        """The number of anomalies."""
        return sum(self.by_verdict.values())


@dataclass(frozen=True, slots=True)
class DayMinutes:
    """The minute values of a day, over streams."""

    worst_share: float = math.nan  # the highest share of the limit
    heard_s: float = 0.0  # seconds, summed over streams
    not_heard_s: float = 0.0


def day_starts(first: datetime.date, days: int) -> list[float]:
    """The Unix times at which days in local time begin, and at which the last one ends: `days` + 1 numbers.

    A day in which the clock is changed has 23 or 25 hours.
    """
    dates = (first + datetime.timedelta(number) for number in range(days + 1))
    return [datetime.datetime(one.year, one.month, one.day).timestamp() for one in dates]


def anomalies_by_day(store: Store, starts: Sequence[float], streams: Sequence[int] = ()) -> list[DayEvents]:
    """The anomalies of each day, counted by the database.

    Args:
        store: the store.
        starts: Unix times at which the days begin, and at which the last one ends, as of `day_starts`.
        streams: ids of streams; empty: all.

    Raises:
        StoreError: if the store cannot be read.
    """
    day = sa.case(*((events.c.onset < end, number) for number, end in enumerate(starts[1:]))).label("day")
    verdict = sa.func.coalesce(verdicts.c.verdict, "").label("verdict")
    chosen = (
        sa.select(day, verdict, sa.func.count(), sa.func.max(events.c.peak_share))
        .select_from(events)
        .outerjoin(verdicts, IS_NEWEST)
        .where(events.c.kind == "anomaly", events.c.onset >= starts[0], events.c.onset < starts[-1])
        .group_by(day, verdict)
    )
    if streams:
        chosen = chosen.where(events.c.stream_id.in_(streams))
    counts: list[dict[str, int]] = [{} for _ in starts[1:]]
    peaks = [math.nan] * len(counts)
    with store.reading() as connection:
        for number, said, many, peak in connection.execute(chosen):
            counts[number][said] = many
            peaks[number] = float(np.fmax(peaks[number], np.nan if peak is None else peak))
    return [DayEvents(found, peak) for found, peak in zip(counts, peaks, strict=True)]


def minutes_by_day(store: Store, starts: Sequence[float], streams: Sequence[int]) -> list[DayMinutes]:
    """The worst share of the limit of each day, and how long was heard, by the database from minute values.

    Args:
        store: the store.
        starts: Unix times at which the days begin, and at which the last one ends, as of `day_starts`.
        streams: ids of streams.

    Raises:
        StoreError: if the store cannot be read.
    """
    table = minutes.c
    heard: Any = table.listening_s + table.normal_s + table.warning_s + table.anomaly_s + table.off_s + table.new_mode_s
    # A statement for each day and stream, each a range of the primary key: nothing is sorted.
    chosen = sa.select(sa.func.max(table.share_max), sa.func.sum(heard), sa.func.sum(table.not_heard_s)).where(
        table.stream_id == sa.bindparam("stream"),
        table.minute >= sa.bindparam("first"),
        table.minute < sa.bindparam("end"),
    )
    found: list[DayMinutes] = []
    with store.reading() as connection:
        for begin, end in pairwise(starts):
            worst, heard_s, not_heard_s = math.nan, 0.0, 0.0
            for stream in streams:
                values = {"stream": stream, "first": math.ceil(begin / MINUTE_S), "end": math.ceil(end / MINUTE_S)}
                share, one_heard, one_missed = connection.execute(chosen, values).one()
                worst = float(np.fmax(worst, math.nan if share is None else share * 1e-3))
                heard_s, not_heard_s = heard_s + (one_heard or 0), not_heard_s + (one_missed or 0)
            found.append(DayMinutes(worst, heard_s, not_heard_s))
    return found
