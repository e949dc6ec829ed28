"""The labels of a time axis: round local times, in any time zone, and not more than fit."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from monitor.dashboard.render.time_ticks import ticks

NOON = 1_774_785_600.0  # 29 March 2026, 12:00 UTC: in Europe the clocks were set an hour forward that night
DAY = 86_400.0


@pytest.fixture(params=["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("span", [120, 3600, DAY, 7 * DAY, 30 * DAY, 400 * DAY, 4000 * DAY])
@pytest.mark.parametrize("most", [1, 4, 9])
def test_labels_are_round_in_order_and_few(zone: str, span: float, most: int) -> None:
    found = ticks(NOON - span, NOON, most)
    times = [at for at, _ in found]
    assert times == sorted(times)
    assert len(found) <= (most + 1 if span < 2000 * DAY else 12)
    assert all(NOON - span <= at <= NOON for at in times)
    for at, text in found:
        local = time.localtime(at)
        assert local.tm_sec == 0
        if ":" in text:
            assert text == f"{local.tm_hour:02d}:{local.tm_min:02d}"
        else:
            assert (local.tm_hour, local.tm_min) == (0, 0)
            assert text.startswith(f"{local.tm_mday} ")


def test_weeks_begin_on_mondays(zone: str) -> None:
    assert {time.localtime(at).tm_wday for at, _ in ticks(NOON - 40 * DAY, NOON, 6)} == {0}
