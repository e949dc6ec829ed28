"""Formatting of text that users read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.events import Band
from monitor.core.text import band_list, band_range, counted, duration_text, printable, some_of, stream_folder


def band(low: float, high: float, change: str = "new") -> Band:
    return Band(low, high, 0.5, change)


def test_a_count_has_its_noun_in_singular_or_plural() -> None:
    assert [counted(count, "day") for count in (0, 1, 2)] == ["0 days", "1 day", "2 days"]
    assert [counted(count, "is", "are") for count in (1, 2)] == ["1 is", "2 are"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (23.6, "24 s"), (179, "179 s"), (180, "3 min"), (35_999, "600 min"), (36_000, "10 hours")],
)
def test_a_duration_is_in_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@given(st.text())
def test_a_name_from_outside_cannot_move_the_cursor(name: str) -> None:
    shown = printable(name)
    assert shown.isprintable()
    assert len(shown) == len(name)
    assert all(ours in (theirs, "?") for ours, theirs in zip(shown, name, strict=True))


def test_of_many_names_those_that_are_most_like_the_wanted_one_come_first() -> None:
    names = [f"hall-{number}/press" for number in range(300)] + ["hall-7/pump"]
    listed = some_of(names, "Hall-7/pmup", most=3)
    assert listed.startswith("hall-7/pump, ")
    assert listed.endswith(" and 298 more")
    assert some_of(names, most=2) == "hall-0/press, hall-1/press and 299 more"


def test_few_names_are_all_listed_in_their_order() -> None:
    assert some_of(["pump", "fan"], "fan") == "pump, fan"
    assert some_of([], "fan") == ""


def test_names_of_any_language_are_shown_as_they_are() -> None:
    assert printable("Pumpe Süd 3 – 水泵") == "Pumpe Süd 3 – 水泵"
    assert printable("\x1b[2Ja\nb\udcff") == "?[2Ja?b?"


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (310, 420, "310-420 Hz"),
        (310, 310.2, "310 Hz"),
        (990, 999.4, "990-999 Hz"),
        (800, 1200, "0.8-1.2 kHz"),
        (2100, 2140, "2.1 kHz"),
        (999, 1000, "1.0 kHz"),
        (9000, 12_000, "9-12 kHz"),
        (600, 12_000, "0.6-12 kHz"),
        (12_000, 12_300, "12 kHz"),
    ],
)
def test_a_frequency_range_is_as_short_as_possible(low: float, high: float, text: str) -> None:
    assert band_range(band(low, high)) == text


def test_as_many_bands_are_listed_as_fit() -> None:
    bands = [band(310, 420), band(800, 1200, "missing"), band(2100, 2140)]
    whole = "310-420 Hz new, 0.8-1.2 kHz missing, 2.1 kHz new"
    assert band_list(bands, len(whole)) == whole
    assert band_list(bands, len(whole) - 1) == "310-420 Hz new, 0.8-1.2 kHz missing"
    assert band_list(bands, 14) == "310-420 Hz new"
    assert band_list(bands, 13) == band_list([], 80) == ""


def test_no_two_streams_share_a_folder_whatever_their_names() -> None:
    names = ("pump", "pump 1", "pump-1", "pump/1", "測試", "送風機", "..", "", "sound", "x" * 61, "x" * 62)
    folders = [stream_folder(name) for name in names]
    assert folders[0] == "pump"
    assert len(set(folders)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", folder) for folder in folders)
