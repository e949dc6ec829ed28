"""Quiet hours: times of day, in local time, in which no messages are sent."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

MINUTE_S, DAY_S = 60, 86_400


def is_quiet(quiet: Sequence[str], now: float, zone: datetime.tzinfo | None = None) -> bool:
    """Whether a Unix time is in quiet hours.

    Args:
        quiet: times of day, each as 22:00-06:00; the end does not belong to it.
        now: Unix time.
        zone: the time zone; None: that of the computer.
    """
    clock = f"{datetime.datetime.fromtimestamp(now, zone):%H:%M}"
    for hours in quiet:
        begin, end = hours.split("-")
        if begin <= clock < end if begin < end else clock >= begin or clock < end:
            return True
    return False


def quiet_until(quiet: Sequence[str], now: float, zone: datetime.tzinfo | None = None) -> float | None:
    """The Unix time at which the quiet hours end that `now` is in; None if it is in none. Arguments as `is_quiet`.

    The time is found by looking at the clock minute by minute, so it is right on days on which the clock is changed,
    too. If all hours are quiet it is a day later.
    """
    if not is_quiet(quiet, now, zone):
        return None
    first = int(now // MINUTE_S + 1) * MINUTE_S
    return next((float(t) for t in range(first, first + DAY_S, MINUTE_S) if not is_quiet(quiet, t, zone)), now + DAY_S)
