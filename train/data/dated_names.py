"""When recordings were made, as the names of their files and folders say."""

from __future__ import annotations

import datetime
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAJORITY = 0.9  # share of the recordings that must have a date in the same place: single numbers only look like dates
FIRST_YEAR = 1990
_TIME = (
    r"[ _.,-]*(?:t|at)?[ _.-]*(?P<hour>\d\d)(?P<mark>[-_.:h]?)(?P<minute>\d\d)(?:(?P=mark)(?P<second>\d\d)(?:\d{3})?)?"
)
_FORMS = {
    "year first": rf"(?<!\d)(?P<year>\d{{4}})(?P<sep>[-_.]?)(?P<month>\d\d)(?P=sep)(?P<day>\d\d)(?:{_TIME})?(?!\d)",
    "year last": rf"(?<!\d)(?P<day>\d\d?)(?P<sep>[-_.])(?P<month>\d\d?)(?P=sep)(?P<year>\d{{4}})(?:{_TIME})?(?!\d)",
    # Two digits of the year are common in recorders' names, but convince only with a time of day.
    "short year": rf"(?<!\d)(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d)(?=[ _t-]){_TIME}(?!\d)",
    "Unix time": r"(?<!\d)(?P<unix>\d{10})(?:\d{3})?(?!\d)",
}
_COMPILED = {form: re.compile(pattern, re.IGNORECASE) for form, pattern in _FORMS.items()}

_Place = tuple[
    int, str, int
]  # level of a name (0: the file, 1: its folder …), form of a date, number among those in it


@dataclass(frozen=True, slots=True)
class NamedTimes:
    """The dates in the names of recordings."""

    times: list[datetime.datetime | None]  # of each recording: local time; None if its name has no date
    exact: bool  # whether they have the time of day, or are midnights


def times_in_names(paths: Sequence[Path]) -> NamedTimes | None:
    """Finds the dates in the names of files, or of their folders below the one that all are in.

    Most recordings must have a valid date, from 1990 to next year, in the same place of their names. Of several such
    places the one with the time of day is taken, else the one with most different dates (others may be those of an
    export), else the one nearest to the end of the path.

    Returns:
        None if there are no dates.
    """
    if not paths:
        return None
    matches: defaultdict[_Place, dict[int, re.Match[str]]] = defaultdict(dict)
    for number, names in enumerate(_names_below_common_folder(paths)):
        for level, name in enumerate(names):
            for form, pattern in _COMPILED.items():
                for ordinal, match in enumerate(pattern.finditer(name)):
                    matches[level, form, ordinal][number] = match
    found = [(place, named) for place, at in matches.items() if (named := _named_times(place[1], at, len(paths)))]
    return max(found, key=_preference)[1] if found else None


def _preference(found: tuple[_Place, NamedTimes]) -> tuple[bool, int, int, int]:
    (level, _, ordinal), named = found
    return named.exact, len(set(named.times) - {None}), -level, -ordinal


def _names_below_common_folder(paths: Sequence[Path]) -> list[list[str]]:
    """The names of each file (without its suffix), of its folder, and so on, below the folder that all are in."""
    absolute = [path.absolute() for path in paths]
    common = Path(os.path.commonpath([path.parent for path in absolute]))
    return [[path.stem, *reversed(path.parent.relative_to(common).parts)] for path in absolute]


def _named_times(form: str, matches: dict[int, re.Match[str]], count: int) -> NamedTimes | None:
    """The times of `count` recordings by the matches in one place of their names; None if too few are dates."""
    if len(matches) < MAJORITY * count:
        return None
    for exact in (True, False) if form != "short year" else (True,):
        # 03/04/2026: the day comes first, unless most dates are valid only with the month first.
        for month_first in (False, True) if form == "year last" else (False,):
            times: list[datetime.datetime | None] = [None] * count
            for number, match in matches.items():
                times[number] = _time(match, exact=exact, month_first=month_first)
            if count - times.count(None) >= MAJORITY * count:
                return NamedTimes(times, exact)
    return None


def _time(match: re.Match[str], *, exact: bool, month_first: bool) -> datetime.datetime | None:
    """The time that a match of a form stands for; None if there is no such time, or it is not plausible."""
    parts = match.groupdict()
    try:
        if "unix" in parts:
            time = datetime.datetime.fromtimestamp(int(parts["unix"]))
        else:
            if exact and parts["minute"] is None:
                return None
            year, month, day = (int(parts[name]) for name in ("year", "month", "day"))
            if month_first:
                month, day = day, month
            hour, minute, second = (int(parts[name] or 0) if exact else 0 for name in ("hour", "minute", "second"))
            time = datetime.datetime(year + (2000 if year < 100 else 0), month, day, hour, minute, second)
    except (ValueError, OverflowError, OSError):
        return None
    return time if FIRST_YEAR <= time.year <= datetime.datetime.now().year + 1 else None
