"""What an archive tells as a whole: hours and days in local time, when anomalies began, and in which bands they are."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.core.types import DoubleArray
from monitor.scan.findings import Finding, Quarter

SURE = 6.0  # logarithm of the likelihood ratio from which on a change is told: chance gives it once in a few hundred
QUARTERS = 4  # of an hour


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of the clock, in local time."""

    at: datetime.datetime  # its beginning, with the offset from UTC
    heard_s: int
    share: float  # the highest share of the limit; NaN without one
    usual: float  # median of the quarters' usual shares; NaN without one
    anomaly_s: int
    off_s: int
    file: str  # the piece with the highest share


@dataclass(frozen=True, slots=True)
class Onset:
    """When anomalies began to be frequent: they are in `after` of the hours since `at`, in `before` of the others."""

    at: datetime.datetime
    after: tuple[int, int]  # hours with an anomaly, and hours heard
    before: tuple[int, int]


def hours_of(findings: Iterable[Finding]) -> list[Hour]:
    """The hours in which something was heard, in their order; pieces without a time are left out."""
    by_hour: dict[datetime.datetime, list[tuple[Quarter, str]]] = {}
    for one in findings:
        if math.isnan(one.began):
            continue
        for quarter in one.quarters:
            at = datetime.datetime.fromtimestamp(quarter.at).astimezone().replace(minute=0, second=0, microsecond=0)
            by_hour.setdefault(at, []).append((quarter, one.name))
    return [_hour(at, by_hour[at]) for at in sorted(by_hour)]


def _hour(at: datetime.datetime, quarters: Sequence[tuple[Quarter, str]]) -> Hour:
    shares = [one.share for one, _ in quarters if not math.isnan(one.share)]
    usual = [one.usual for one, _ in quarters if not math.isnan(one.usual)]
    _, file = max(quarters, key=lambda one: -math.inf if math.isnan(one[0].share) else one[0].share)
    return Hour(
        at,
        sum(one.heard_s for one, _ in quarters),
        max(shares, default=math.nan),
        float(np.median(usual)) if usual else math.nan,
        sum(one.anomaly_s for one, _ in quarters),
        sum(one.off_s for one, _ in quarters),
        file,
    )


def onset(hours: Sequence[Hour]) -> Onset | None:
    """When anomalies began to be frequent; None if they are as frequent all the time, or there is none.

    That is the change of a rate: the hour that divides the hours into two parts with the most different shares of hours
    with an anomaly, by likelihood. It is told only if it is beyond chance.
    """
    anomalous = np.array([one.anomaly_s > 0 for one in hours], np.float64)
    count = len(anomalous)
    if count < 2 or not anomalous.any() or anomalous.all():
        return None
    before = np.cumsum(anomalous)[:-1]  # with an anomaly, before hour k + 1
    length = np.arange(1, count, dtype=np.float64)
    total = float(anomalous.sum())
    after, rest = total - before, count - length
    whole = _likelihood(np.array([total]), np.array([float(count)]))
    gain = _likelihood(before, length) + _likelihood(after, rest) - whole
    gain = np.where(after / rest > before / length, gain, -np.inf)
    best = int(gain.argmax())
    if gain[best] < SURE:
        return None
    return Onset(
        hours[best + 1].at, (int(after[best]), int(rest[best])), (int(before[best]), int(length[best]))
    )  # fmt: skip


def _likelihood(hits: DoubleArray, trials: DoubleArray) -> DoubleArray:
    """The logarithm of the highest likelihood of so many hits in so many trials."""
    rate = hits / trials
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.nan_to_num(hits * np.log(rate)) + np.nan_to_num((trials - hits) * np.log1p(-rate))
    result: DoubleArray = np.where((rate == 0) | (rate == 1), 0.0, terms)
    return result


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """The pieces, those with anomalies first, then by their highest share of the limit."""
    return sorted(
        findings,
        key=lambda one: (
            one.anomalies == 0,
            math.inf if math.isnan(one.share) else -one.share,
            math.inf if math.isnan(one.score) else -one.score,
            one.name,
        ),
    )


def ranked_hours(hours: Iterable[Hour]) -> list[Hour]:
    """The hours by their highest share of the limit."""
    return sorted(hours, key=lambda one: (math.inf if math.isnan(one.share) else -one.share, one.at))


def band_seconds(findings: Iterable[Finding]) -> tuple[int, ...]:
    """The seconds of anomaly, by what each band contributed; negative: more missing than new sound. Empty: none."""
    found = [one.bands for one in findings if any(one.bands)]
    return tuple(np.sum(found, axis=0).tolist()) if found else ()


def anomalies(findings: Iterable[Finding]) -> list[dict[str, object]]:
    """The events that are anomalies, in the order of time and names."""
    return [event for event in events(findings) if event["kind"] == "anomaly"]


def events(findings: Iterable[Finding]) -> list[dict[str, object]]:
    """All events, in the order of time and names; those without a time are the last."""
    found = [event for one in findings for event in one.events]
    return sorted(
        found,
        key=lambda one: (
            math.inf if one["wall_time"] is None else one["wall_time"], one["piece"], one["start_s"], one["kind"],
        ),
    )  # fmt: skip
