"""When something is due that is done at a time of day, in local time."""

from __future__ import annotations

import datetime


def next_time(after: float, at: str) -> float:
    """The first Unix time after `after` at which the clock on the wall says `at`, such as "03:00".

    On a day on which the clock skips that time, it is an hour later; on one that has it twice, the first of both.
    """
    hour, minute = map(int, at.split(":"))
    clock = datetime.time(hour, minute)
    day = datetime.datetime.fromtimestamp(after).date()
    times = (datetime.datetime.combine(day + datetime.timedelta(days), clock).timestamp() for days in range(3))
    return next(time for time in times if time > after)
