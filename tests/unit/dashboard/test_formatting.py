"""Numbers, shares, times and frequencies as people read them, in few characters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.events import Band
from monitor.core.text import band_list, band_range
from monitor.dashboard.render.formatting import (
    age,
    duration,
    hertz,
    level,
    number,
    of_limit,
    pace,
    share,
    span,
    tick,
)
from support.snapshots import HISS


def test_numbers_take_few_characters_and_keep_their_size() -> None:
    rng = np.random.default_rng(0)
    for value in [*(10 ** rng.uniform(-8, 13, 500)), 999.4, 999.5, 999.6, 0.9996, 999_499.0, 999_501.0]:
        text = number(float(value))
        assert len(text) <= 6
        factor = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1.0)
        assert float(text.rstrip("kMG")) * factor == pytest.approx(value, rel=0.006 if 0.01 < value < 999e9 else 0.06)
    assert [number(math.nan), number(0.0), number(2e-5)] == ["-", "0", "2.0e-5"]
    assert [tick(0.5), tick(20.0), tick(1500.0), tick(2e-5)] == ["0.5", "20", "1.5k", "2e-5"]


@given(st.floats(0.0, 1e12))
def test_a_share_is_above_100_per_cent_exactly_where_the_limit_is_exceeded(value: float) -> None:
    text = share(value)
    assert len(text) <= 8
    percent = float(text.lstrip(">").rstrip(" %").replace(",", ""))
    assert (percent > 100) == (value > 1)
    assert (percent < 100) == (value < 1)
    assert percent == pytest.approx(min(100 * value, 9999), abs=1)


def test_shares_are_written_in_per_cent() -> None:
    assert [share(v) for v in (0.0, 0.29, 0.476, 12.5, 1e6, math.inf, math.nan)] == [
        "0 %", "29 %", "48 %", "1,250 %", ">9,999 %", ">9,999 %", "-",
    ]  # fmt: skip
    assert [of_limit(0.48), of_limit(math.nan)] == ["48 % of limit", "-"]


def test_times_are_written_without_digits_that_say_nothing() -> None:
    assert [duration(s) for s in (0.0, 0.034, 0.31, 0.4, 7.0, 12.3, 59.9, 60.0, 185, 3785, math.nan)] == [
        "0 s", "0.03 s", "0.3 s", "0.4 s", "7 s", "12.3 s", "59.9 s", "1:00", "3:05", "1:03:05", "-",
    ]  # fmt: skip
    assert [span(5), span(3785), span(183_900)] == ["0:05", "1:03:05", "2d 03:05"]
    assert [age(s) for s in (0.2, 59, 61, 7200, 1e6)] == ["0s", "59s", "1m", "2h", "11d"]


@given(st.floats(0.0, 8e6))
def test_a_duration_takes_nine_characters_at_most(seconds: float) -> None:
    assert len(duration(seconds)) <= 9


def test_frequencies_have_their_unit() -> None:
    assert [hertz(440), hertz(1234), hertz(4000), hertz(12_345)] == ["440 Hz", "1.2 kHz", "4 kHz", "12 kHz"]


def test_ranges_of_frequencies_are_written_in_hertz_or_kilohertz() -> None:
    def written(low: float, high: float) -> str:
        return band_range(Band(low, high, 1.0, "new"))

    assert [written(310, 420), written(840, 1234), written(2149, 2851), written(2149, 2151), written(9800, 12_300)] == [
        "310-420 Hz", "0.8-1.2 kHz", "2.1-2.9 kHz", "2.1-2.2 kHz", "10-12 kHz",
    ]  # fmt: skip
    assert band_list(HISS, 80) == "2.1-2.8 kHz new, 310-420 Hz missing"
    assert band_list(HISS, 20) == "2.1-2.8 kHz new"
    assert band_list(HISS, 3) == ""


def test_levels_and_speeds_are_said_in_words_where_a_number_says_nothing() -> None:
    assert [level(-31.44), level(-31.44, digits=0), level(-math.inf), level(math.nan)] == [
        "-31.4 dB", "-31 dB", "no sound", "no sound",
    ]  # fmt: skip
    assert [pace(1.0), pace(4.0), pace(0.5), pace(math.inf)] == [
        "real time", "4 times real time", "0.5 times real time", "as fast as possible",
    ]  # fmt: skip
