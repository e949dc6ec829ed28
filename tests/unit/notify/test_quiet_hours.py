"""Quiet hours are those of the clock on the wall, over midnight and when the clock is changed."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.notify.quiet_hours import is_quiet, quiet_until

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: datetime.tzinfo = BERLIN, fold: int = 0) -> float:
    """The Unix time of a local time."""
    return datetime.datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


@pytest.mark.parametrize(
    ("quiet", "now", "end"),
    [
        (["22:00-06:00"], "2025-11-27T21:59:59", None),
        (["22:00-06:00"], "2025-11-27T22:00:00", "2025-11-28T06:00"),
        (["22:00-06:00"], "2025-11-28T03:00:00", "2025-11-28T06:00"),
        (["22:00-06:00"], "2025-11-28T05:59:59", "2025-11-28T06:00"),
        (["22:00-06:00"], "2025-11-28T06:00:00", None),
        (["12:00-13:00"], "2025-11-28T12:30:30", "2025-11-28T13:00"),
        (["22:00-00:00"], "2025-11-28T23:59:59", "2025-11-29T00:00"),
        (["00:00-00:01"], "2025-11-28T00:00:59", "2025-11-28T00:01"),
        (["22:00-02:00", "02:00-06:00"], "2025-11-28T01:00:00", "2025-11-28T06:00"),
        ([], "2025-11-28T01:00:00", None),
    ],
)
def test_quiet_hours_end_at_their_time_on_the_clock(quiet: list[str], now: str, end: str | None) -> None:
    assert quiet_until(quiet, at(now), BERLIN) == (None if end is None else at(end))


def test_the_night_in_which_the_clock_is_set_forward_is_an_hour_shorter() -> None:
    assert at("2026-03-29T06:00") - at("2026-03-28T22:00") == 7 * 3600
    assert quiet_until(["22:00-06:00"], at("2026-03-28T22:00"), BERLIN) == at("2026-03-29T06:00")


def test_the_night_in_which_the_clock_is_set_back_is_an_hour_longer() -> None:
    assert quiet_until(["22:00-06:00"], at("2026-10-24T22:00"), BERLIN) == at("2026-10-24T22:00") + 9 * 3600


def test_an_end_that_the_clock_skips_is_when_it_jumps() -> None:
    """From 02:00 the clock goes on at 03:00: 02:30 does not come."""
    assert quiet_until(["01:00-02:30"], at("2026-03-29T01:30"), BERLIN) == at("2026-03-29T03:00")


def test_an_hour_that_the_clock_repeats_is_quiet_twice() -> None:
    for fold in (0, 1):
        assert is_quiet(["02:00-02:30"], at("2026-10-25T02:15", fold=fold), BERLIN)
        assert not is_quiet(["02:00-02:30"], at("2026-10-25T02:45", fold=fold), BERLIN)


def test_a_day_that_is_all_quiet_is_looked_at_again_a_day_later() -> None:
    now = at("2025-11-28T01:00:30")
    assert quiet_until(["00:00-12:00", "12:00-00:00"], now, BERLIN) == now + 86_400


@given(
    begin=st.integers(0, 1439),
    end=st.integers(0, 1439),
    now=st.floats(1.7e9, 1.9e9),
    zone=st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_quiet_hours_are_quiet_until_they_end_and_not_after(begin: int, end: int, now: float, zone: str) -> None:
    hours = [f"{begin // 60:02d}:{begin % 60:02d}-{end // 60:02d}:{end % 60:02d}"]
    place = ZoneInfo(zone)
    until = quiet_until(hours, now, place)
    if until is None or begin == end:
        return
    assert now < until <= now + 90_000
    assert not is_quiet(hours, until, place)
    assert is_quiet(hours, (now + until) / 2, place)
    assert is_quiet(hours, until - 1, place)
