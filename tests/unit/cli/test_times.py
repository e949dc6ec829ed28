"""Points in time on the command line."""

from __future__ import annotations

import datetime

import pytest

from monitor.cli.times import instant

NOW = datetime.datetime(2026, 11, 27, 14, 30, 5).timestamp()


def local(*parts: int) -> float:
    """A local time as Unix time."""
    return datetime.datetime(*parts).timestamp()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", NOW),
        ("90s", NOW - 90),
        ("30min", NOW - 1800),
        ("2h", NOW - 7200),
        ("1.5 h", NOW - 5400),
        ("7d", NOW - 7 * 86_400),
        ("4W", NOW - 28 * 86_400),
        ("today", local(2026, 11, 27)),
        ("yesterday", local(2026, 11, 26)),
        ("2026-11-20", local(2026, 11, 20)),
        ("2026-11-20 08:15", local(2026, 11, 20, 8, 15)),
        ("2026-11-20T08:15:30", local(2026, 11, 20, 8, 15, 30)),
    ],
)
def test_a_time_can_be_given_as_people_say_it(text: str, meant: float) -> None:
    assert instant(text, NOW) == pytest.approx(meant)


def test_a_time_with_an_offset_is_not_local() -> None:
    assert instant("2026-11-20T08:00:00Z", NOW) == 1_795_161_600.0
    assert instant("2026-11-20T08:00:00+02:00", NOW) == 1_795_161_600.0 - 7200


def test_no_time_is_too_long_ago() -> None:
    assert instant("99999999999d", NOW) == instant("1001-01-01", NOW) == 0.0


@pytest.mark.parametrize("text", ["", "7", "d", "-2h", "7y", "20.11.2026", "2026-13-01", "tomorrow", "1e999d", "nand"])
def test_anything_else_is_refused_with_what_can_be_given(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time: give 2h, 7d, .*2026-11-20"):
        instant(text, NOW)
