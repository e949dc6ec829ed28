"""Round local times to label a time axis with: minutes, hours or dates, as many as there is room for."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator

_DAY_S = 86_400
_STEPS_S = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
_STEPS_DAYS = (1, 2, 7, 14, 28, 56, 91, 182, 364)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date(unix_time: float) -> str:
    """The local date without the year: 24 Nov."""
    local = time.localtime(unix_time)
    return f"{local.tm_mday} {_MONTHS[local.tm_mon - 1]}"


def ticks(since: float, until: float, most: int) -> list[tuple[float, str]]:
    """Round local times in a range, and what to write at them.

    Args:
        since: Unix time of the beginning.
        until: Unix time of the end.
        most: the largest number of labels.

    Returns:
        Unix times in ascending order with their labels: 14:30 within a day, 24 Nov for longer ranges and midnights.
    """
    span = max(until - since, 1.0)
    step = next((one for one in _STEPS_S if span / one <= most), 0)
    if step:
        # the offset of local time can change within the range; the hours are then those of its end
        offset = time.localtime(until).tm_gmtoff
        first = -int(-(since + offset) // step) * step - offset
        places = range(int(first), int(until) + 1, step)
        return [(float(at), _time_of_day(at)) for at in places if since <= at <= until]
    days = next((one for one in _STEPS_DAYS if span / (one * _DAY_S) <= most), _STEPS_DAYS[-1])
    return [(at, date(at)) for at in _midnights(since, until, days)]


def _time_of_day(at: float) -> str:
    local = time.localtime(at)
    return date(at) if local.tm_hour == local.tm_min == 0 else f"{local.tm_hour:02d}:{local.tm_min:02d}"


def _midnights(since: float, until: float, days: int) -> Iterator[float]:
    """Local midnights, every so many days; whole weeks begin on Mondays."""
    day = datetime.datetime.fromtimestamp(since).date()
    if days >= 7:
        day -= datetime.timedelta(day.weekday())
    elif day.toordinal() % days:
        day -= datetime.timedelta(day.toordinal() % days)
    while True:
        at = datetime.datetime(day.year, day.month, day.day).timestamp()
        if at > until:
            return
        if at >= since:
            yield at
        day += datetime.timedelta(days)
