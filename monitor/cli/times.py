"""Times on the command line: past ones (2h, 7d, today, a date …), coming ones (14:30, a date …), and durations."""

from __future__ import annotations

import datetime
import re
import time

import click

_UNITS_S = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
LONGEST_S = 100 * 366 * 86_400  # of a duration
_FORMS = "2h, 7d, 4w, today, yesterday, 2026-11-20, or 2026-11-20T14:30"


def instant(text: str, now: float) -> float:
    """The Unix time that a text means, 0 for what is before 1970; dates and times without an offset are local.

    Args:
        text: a time before now (`90min`, `2h`, `7d`, `4w`), `now`, `today` or `yesterday` (their first moment), a date,
            or a time in ISO 8601.
        now: Unix time.

    Raises:
        ValueError: if it is none of these; the message says what can be given.
    """
    wanted = text.strip().lower()
    if wanted == "now":
        return now
    midnight = datetime.datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    if wanted in ("today", "yesterday"):
        return (midnight - datetime.timedelta(wanted == "yesterday")).timestamp()
    if (found := _AGO.fullmatch(wanted)) and found[2] in _UNITS_S:
        return max(now - float(found[1]) * _UNITS_S[found[2]], 0.0)
    try:
        return max(datetime.datetime.fromisoformat(text.strip()).timestamp(), 0.0)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text!r} is not a time: give {_FORMS}.") from None


class When(click.ParamType):  # type: ignore[type-arg]
    """A point in time, as a Unix time."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns the Unix time."""
        if isinstance(value, float):
            return value
        try:
            return instant(str(value), time.time())
        except ValueError as error:
            self.fail(str(error), param, ctx)


WHEN = When()


def coming(text: str, now: float) -> float:
    """The Unix time that a text means, where it has to be after now; without an offset it is local.

    Args:
        text: a time of day (14:30: the next time that it comes), a date, or a time in ISO 8601.
        now: Unix time.

    Raises:
        ValueError: if it is none of these, or is not after now; the message says what can be given.
    """
    given = text.strip()
    try:
        if re.fullmatch(r"\d{1,2}:\d\d", given):
            hour, minute = map(int, given.split(":"))
            clock = datetime.time(hour, minute)
            day = datetime.datetime.fromtimestamp(now).date()
            times = [datetime.datetime.combine(day + datetime.timedelta(n), clock).timestamp() for n in range(2)]
            return next(one for one in times if one > now)
        found = datetime.datetime.fromisoformat(given).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text!r} is not a time: give 14:30, 2026-11-20, or 2026-11-20T14:30.") from None
    if found <= now:
        raise ValueError(f"{text!r} is over already: give a time after now.")
    return found


def duration_s(text: str) -> float:
    """The seconds that a text such as 90min, 2h or 7d means.

    Raises:
        ValueError: if it is no duration above 0; the message says what can be given.
    """
    found = _AGO.fullmatch(text.strip().lower())
    seconds = float(found[1]) * _UNITS_S.get(found[2], 0) if found else 0.0
    if not 0 < seconds < LONGEST_S:
        raise ValueError(f"{text!r} is not a duration: give 90min, 2h, 7d or 4w.")
    return seconds


class Coming(click.ParamType):  # type: ignore[type-arg]
    """A time after now, as a Unix time."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns the Unix time."""
        if isinstance(value, float):
            return value
        try:
            return coming(str(value), time.time())
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A duration, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns the seconds."""
        if isinstance(value, float):
            return value
        try:
            return duration_s(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


COMING = Coming()
DURATION = Duration()


def require_order(since: float | None, until: float | None) -> None:
    """Checks that a range of time is not empty.

    Raises:
        click.BadParameter: if it ends before it begins.
    """
    if since is not None and until is not None and until <= since:
        raise click.BadParameter("--until is not after --since: there is nothing between them.")
