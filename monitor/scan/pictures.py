"""The pictures of the page as SVG: hours of days, the share of the limit over time, and bands."""

from __future__ import annotations

import datetime
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from monitor.core.types import FloatArray
from monitor.dashboard.render.formatting import duration, hertz, share
from monitor.report.event_text import MONTHS
from monitor.scan.overview import Hour

WEEKS_IN_STRIP = 8  # at most stand beside each other
WIDTH, CELL_H, LEFT, TOP = 920.0, 8.0, 40.0, 30.0
WIDEST = 24.0  # of a day
MOST_NAMED = 500  # hours with anomalies that say what they are when the pointer is on them
SHARES = (0.25, 0.5, 0.75)  # limits between the classes of hours without an anomaly
ANOMALIES = (0.05, 0.25)  # shares of the heard time in anomaly between the classes of the others
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Strip:
    """Some weeks, a column for each day and a row for each hour."""

    title: str
    svg: Markup


def hour_class(hour: Hour) -> str:
    """The class of an hour for its colour."""
    if hour.anomaly_s or hour.share > 1:
        return f"a{sum(hour.anomaly_s >= limit * hour.heard_s for limit in ANOMALIES)}"
    if math.isnan(hour.share) and hour.off_s * 2 > hour.heard_s:
        return "off"
    if math.isnan(hour.share):
        return "none"
    return f"q{sum(hour.share >= limit for limit in SHARES)}"


def strips(hours: Sequence[Hour]) -> Iterator[Strip]:
    """The hours as pictures of some weeks, each beginning on a Monday; weeks without any may be left out."""
    if not hours:
        return
    first, last = _monday(hours[0].at.date()), hours[-1].at.date()
    weeks = (last - first).days // 7 + 1
    days = 7 * -(-weeks // -(-weeks // WEEKS_IN_STRIP))  # all strips are equally long
    by_strip: dict[int, list[Hour]] = defaultdict(list)
    for hour in hours:
        by_strip[(hour.at.date() - first).days // days].append(hour)
    loud = [one for one in hours if hour_class(one)[0] == "a"]
    named = {id(one) for one in sorted(loud, key=lambda one: -one.anomaly_s)[:MOST_NAMED]}
    for number in sorted(by_strip):
        yield _strip(first + datetime.timedelta(days=number * days), days, by_strip[number], named)


def _strip(begin: datetime.date, days: int, hours: Sequence[Hour], named: set[int]) -> Strip:
    cell, height = min(WIDEST, (WIDTH - LEFT) / days), TOP + 24 * CELL_H + 2
    cells: dict[str, list[str]] = defaultdict(list)
    titles: list[str] = []
    for hour in hours:
        x, y = LEFT + (hour.at.date() - begin).days * cell, TOP + hour.at.hour * CELL_H
        cells[hour_class(hour)].append(f"M{x:.5g} {y:g}h{cell - 1:.4g}v{CELL_H - 1:g}h-{cell - 1:.4g}z")
        if id(hour) in named:
            rect = f'<rect x="{x:.5g}" y="{y:g}" width="{cell - 1:.4g}" height="{CELL_H - 1:g}" fill="transparent">'
            titles.append(f"{rect}<title>{escape(_hour_text(hour))}</title></rect>")
    extent = f'width="{days * cell - 1:.5g}" height="{24 * CELL_H - 1:g}"'
    frame = f'<rect class="empty" x="{LEFT:g}" y="{TOP:g}" {extent}/>'
    paths = "".join(f'<path class="{name}" d="{"".join(parts)}"/>' for name, parts in sorted(cells.items()))
    texts = "".join(_labels(begin, days, cell))
    title = f"{_day(begin)} – {_day(begin + datetime.timedelta(days=days - 1))}"
    svg = (
        f'<svg class="hours" viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(title)}">'
        f"{frame}{paths}{texts}{''.join(titles)}</svg>"
    )
    return Strip(title, Markup(svg))


def _labels(begin: datetime.date, days: int, cell: float) -> Iterator[str]:
    for hour in (0, 6, 12, 18):
        yield f'<text class="y" x="{LEFT - 6:g}" y="{TOP + hour * CELL_H + 8:g}">{hour:02d}:00</text>'
    for number in range(days):
        day, x = begin + datetime.timedelta(days=number), LEFT + number * cell
        if number % 7 == 0:
            yield f'<text x="{x:.5g}" y="{TOP - 6:g}">{day.day}</text>'
        room = (days - number) * cell > 70 and (number == 0 or number * cell > 60)
        if number == 0 or (day.day == 1 and room):
            year = f" {day.year}" if number == 0 or day.month == 1 else ""
            yield f'<text class="month" x="{x:.5g}" y="{TOP - 18:g}">{MONTHS[day.month - 1][:3]}{year}</text>'


def _hour_text(hour: Hour) -> str:
    at = hour.at
    return (
        f"{_DAYS[at.weekday()]} {_day(at.date())} {at:%H:%M}: {share(hour.share)} of the limit, "
        f"in anomaly {duration(hour.anomaly_s)}"
    )


def _day(day: datetime.date) -> str:
    return f"{day.day} {MONTHS[day.month - 1][:3]} {day.year}"


def _monday(day: datetime.date) -> datetime.date:
    return day - datetime.timedelta(days=day.weekday())


CHART_H, COLUMNS, TOP_SHARE = 170.0, 460, 2.0


def share_chart(hours: Sequence[Hour]) -> Markup:
    """The highest and the usual share of the limit over time, in up to COLUMNS steps; empty without two hours."""
    if len(hours) < 2:
        return Markup("")
    times = np.array([one.at.timestamp() for one in hours])
    since, until = times[0], times[-1] + 3600
    step = max(3600.0, math.ceil((until - since) / COLUMNS / 3600) * 3600)
    columns = ((times - since) // step).astype(int)
    total = int((until - since) / step) + 1
    bars: dict[str, list[str]] = defaultdict(list)
    usual: list[str] = []
    width = (WIDTH - LEFT) / total
    for column in np.unique(columns).tolist():
        inside = [hours[i] for i in np.flatnonzero(columns == column).tolist()]
        x = LEFT + column * width
        highest = max((one.share for one in inside if not math.isnan(one.share)), default=math.nan)
        medians = [one.usual for one in inside if not math.isnan(one.usual)]
        if not math.isnan(highest):
            loud = any(hour_class(one)[0] == "a" for one in inside)
            y = _chart_y(highest)
            bars["loud" if loud else "quiet"].append(
                f"M{x:.1f} {_chart_y(0):g}V{y:.1f}h{max(width - 0.4, 0.8):.1f}V{_chart_y(0):g}z"
            )
        if medians:
            usual.append(f"M{x:.1f} {_chart_y(float(np.median(medians))):.1f}h{width:.1f}")
    paths = "".join(
        f'<path class="{name}" d="{"".join(parts)}"/>' for name, parts in sorted(bars.items(), reverse=True)
    )
    ticks = "".join(_time_ticks(since, until))
    limit_y = _chart_y(1.0)
    return Markup(
        f'<svg class="share" viewBox="0 0 {WIDTH:g} {CHART_H:g}" role="img" '
        'aria-label="Share of the limit over time">'
        f'{ticks}<line class="axis" x1="{LEFT:g}" x2="{WIDTH:g}" y1="{_chart_y(0):g}" y2="{_chart_y(0):g}"/>{paths}'
        f'<path class="usual" d="{"".join(usual)}"/>'
        f'<line class="limit" x1="{LEFT:g}" x2="{WIDTH:g}" y1="{limit_y:g}" y2="{limit_y:g}"/>'
        f'<text class="y" x="{LEFT - 6:g}" y="{limit_y + 4:g}">limit</text>'
        f'<text class="y" x="{LEFT - 6:g}" y="{_chart_y(0) + 2:g}">0</text></svg>'
    )


def _chart_y(value: float) -> float:
    """The height of a share; what is above TOP_SHARE is cut off."""
    return 10 + (CHART_H - 34) * (1 - min(value, TOP_SHARE) / TOP_SHARE)


def _time_ticks(since: float, until: float) -> Iterator[str]:
    """A line for each day, week, month or year, as many as there is room for: a wrong clock may state any year."""
    first = datetime.datetime.fromtimestamp(since).astimezone()
    days, before = (until - since) / 86_400, -math.inf
    day = first.replace(hour=0, minute=0) + datetime.timedelta(days=1)
    while day.timestamp() < until:
        x = LEFT + (WIDTH - LEFT) * (day.timestamp() - since) / (until - since)
        shown = days <= 14 or (day.weekday() == 0 if days <= 100 else day.day == 1 and (days <= 800 or day.month == 1))
        if shown and x - before > 30:
            before, month = x, MONTHS[day.month - 1][:3]
            text = f"{day.day} {month}" if days <= 100 else month if days <= 800 else str(day.year)
            yield f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="10" y2="{CHART_H - 18:g}"/>'
            yield f'<text x="{x + 3:.1f}" y="{CHART_H - 6:g}">{text}</text>'
        day += datetime.timedelta(days=1)


def band_chart(seconds: Sequence[int], band_hz: FloatArray) -> Markup:
    """What each band contributed to the anomalies: bars upwards for new, downwards for missing sound."""
    highest = max((abs(one) for one in seconds), default=0)
    if not highest:
        return Markup("")
    width, middle, half = (WIDTH - LEFT) / len(seconds), 70.0, 60.0
    new = "".join(
        _bar(LEFT + i * width, middle, -half * one / highest, width) for i, one in enumerate(seconds) if one > 0
    )
    missing = "".join(
        _bar(LEFT + i * width, middle, -half * one / highest, width) for i, one in enumerate(seconds) if one < 0
    )
    ticks = "".join(_band_ticks(band_hz, width))
    return Markup(
        f'<svg class="bands" viewBox="0 0 {WIDTH:g} 158" role="img" aria-label="Contribution of the bands">'
        f'<path class="new" d="{new}"/><path class="missing" d="{missing}"/>'
        f'<line class="axis" x1="{LEFT:g}" x2="{WIDTH:g}" y1="{middle:g}" y2="{middle:g}"/>'
        f'<text class="y" x="{LEFT - 6:g}" y="{middle - 24:g}">new</text>'
        f'<text class="y" x="{LEFT - 6:g}" y="{middle + 30:g}">less</text>{ticks}</svg>'
    )


def _bar(x: float, middle: float, height: float, width: float) -> str:
    return f"M{x + 0.5:.1f} {middle:g}v{height:.1f}h{width - 1:.1f}v{-height:.1f}z"


def _band_ticks(band_hz: FloatArray, width: float) -> Iterator[str]:
    """Round frequencies at the bands that are nearest to them."""
    before = -math.inf
    for hz in _round_frequencies():
        if not band_hz[0] <= hz <= band_hz[-1]:
            continue
        x = LEFT + (float(np.interp(hz, band_hz, np.arange(len(band_hz)))) + 0.5) * width
        if x - before > 60:
            yield f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="134" y2="139"/>'
            yield f'<text class="x" x="{x:.1f}" y="153">{hertz(hz)}</text>'
            before = x


def _round_frequencies() -> Iterable[float]:
    return (factor * 10.0**power for power in (1, 2, 3, 4) for factor in (1, 2, 5))
