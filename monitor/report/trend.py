"""How the last week of a stream differs from the week before, and whether its share of the limit drifts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.core.text import counted
from monitor.dashboard.render.formatting import share
from monitor.dashboard.widgets.long_term import long
from monitor.store.records import MinuteValues, StoredEvent

WEEK_S = 7 * 86_400.0
LEAST_S = 86_400.0  # of sound that a week must have to be compared
_STEADY = 0.03  # difference of the share of the limit that is not worth mentioning
_HEARD = ("listening", "normal", "warning", "anomaly", "off", "new_mode")


@dataclass(frozen=True, slots=True)
class Period:
    """A length of time of one stream, summed up."""

    median_share: float  # of the limit, over the steps in which it made decisions; NaN without any
    highest_share: float
    heard_s: float
    anomaly_s: float
    not_heard_s: float
    anomalies: int

    @property
    def comparable(self) -> bool:
        """Whether there was enough sound to compare it with another period."""
        return self.heard_s >= LEAST_S and not math.isnan(self.median_share)


def period(values: MinuteValues, events: Sequence[StoredEvent], since: float, until: float) -> Period:
    """Sums up a length of time: its steps from `since` on, and the anomalies that began in it."""
    chosen = (values.time >= since) & (values.time < until)
    means, highest = values.share_mean[chosen], values.share_max[chosen]
    seconds = {state: float(np.nansum(numbers[chosen])) for state, numbers in values.seconds.items()}
    known = means[np.isfinite(means)]
    return Period(
        median_share=float(np.median(known)) if len(known) else math.nan,
        highest_share=float(np.nanmax(highest)) if np.isfinite(highest).any() else math.nan,
        heard_s=sum(seconds.get(state, 0.0) for state in _HEARD),
        anomaly_s=seconds.get("anomaly", 0.0),
        not_heard_s=seconds.get("not_heard", 0.0),
        anomalies=sum(one.kind == "anomaly" and since <= one.onset < until for one in events),
    )


def two_weeks(values: MinuteValues, events: Sequence[StoredEvent], now: float) -> tuple[Period, Period]:
    """The last seven days, and the seven days before."""
    return (
        period(values, events, now - WEEK_S, now),
        period(values, events, now - 2 * WEEK_S, now - WEEK_S),
    )


def comparison(week: Period, before: Period) -> str:
    """What happened in the last seven days, beside the seven days before."""
    return f"Last 7 days: {_happened(week)}. The 7 days before: {_happened(before)}."


def drift(week: Period, before: Period) -> str:
    """Whether the share of the limit rises or falls, by the medians of two weeks."""
    if not week.comparable or not before.comparable:
        return "There is not yet a day of sound in both of the last two weeks, so no drift can be told."
    now, then = week.median_share, before.median_share
    shares = f"median {share(now)} in the last 7 days, {share(then)} in the 7 days before"
    if abs(now - then) < _STEADY:
        return f"The share of the limit is steady: {shares}."
    word = "risen" if now > then else "fallen"
    points = round(100 * abs(now - then))
    return f"The share of the limit has {word} by {points} percentage points: {shares}."


def _happened(one: Period) -> str:
    if not one.heard_s and not one.not_heard_s:
        return "nothing stored"
    anomalies = counted(one.anomalies, "anomaly", "anomalies") if one.anomalies else "no anomaly"
    lasted = f" ({long(one.anomaly_s)} in all)" if one.anomalies and one.anomaly_s else ""
    missed = f", {long(one.not_heard_s)} not heard" if one.not_heard_s else ""
    highest = f", up to {share(one.highest_share)} of the limit" if math.isfinite(one.highest_share) else ""
    return f"{anomalies}{lasted}{highest}{missed}, {long(one.heard_s)} heard"
