"""Dates in the names of recordings are found, and numbers that only look like dates are not."""

from __future__ import annotations

import datetime
from datetime import datetime as at
from pathlib import Path

import pytest

from train.data.dated_names import times_in_names

MORNING, DAY = at(2026, 3, 2, 8, 15), at(2026, 3, 2)
UNIX_S = 1772439300
UNIX_TIME = at.fromtimestamp(UNIX_S)  # local


@pytest.mark.parametrize(
    ("name", "expected", "exact"),
    [
        ("pump_2026-03-02T08:15:00Z.wav", MORNING, True),
        ("2026-03-02_08-15.flac", MORNING, True),
        ("2026-03-02 at 08.15.00.m4a", MORNING, True),
        ("20260302_081500_03_run.flac", MORNING, True),
        ("20260302_081500123.wav", MORNING, True),
        ("blade-fault_20260302t081500_4.flac", MORNING, True),
        ("guards_20260302081500_4.flac", MORNING, True),
        ("SM4_20260302_0815.wav", MORNING, True),
        ("260302-081500.wav", MORNING, True),
        ("02.03.2026 08h15.wav", MORNING, True),
        ("2-3-2026_08-15.wav", MORNING, True),
        ("20260302_run.flac", DAY, False),
        ("2026.03.02_run_7.wav", DAY, False),
        ("press 02.03.2026.wav", DAY, False),
        ("20260302/piece_0003.wav", DAY, False),
        ("2026-03-02/line 1/0003.wav", DAY, False),
        ("2026-03-02_99-15.wav", DAY, False),
        (f"mic2_{UNIX_S}.wav", UNIX_TIME, True),
        (f"{UNIX_S}250.wav", UNIX_TIME, True),
    ],
)
def test_a_date_in_a_name_is_read(name: str, expected: datetime.datetime, exact: bool) -> None:
    """The other recording makes the folders of this one a part of its name."""
    folders = name.split("/")[:-1]
    other = Path("/data", *(["20260301"] * len(folders)), "20260301_000000_x.wav")
    found = times_in_names([Path("/data", name)] * 19 + [other])
    assert found is not None
    assert (found.times[0], found.exact) == (expected, exact)


@pytest.mark.parametrize(
    "name",
    [
        "normal_id_00_00000030.wav",
        "section_00_source_train_normal_0001_strength_1_ambient.wav",
        "data081.flac",
        "healthy_M1_1400_0.wav",
        "20261345_081500.wav",
        "18991231_235959.wav",
        "29991231.wav",
        "120260302.wav",
        "0000000030.wav",
        "9000000000.wav",
        "260302.wav",
        "260302_99.wav",
        "31.02.2026.wav",
    ],
)
def test_other_numbers_are_no_dates(name: str) -> None:
    assert times_in_names([Path("/data", name)] * 3) is None


def test_a_few_sample_numbers_that_look_like_dates_do_not_count() -> None:
    paths = [Path(f"/data/sample_{number}.wav") for number in range(20251190, 20251240)]
    assert times_in_names(paths) is None


def test_a_few_names_without_a_date_do_no_harm() -> None:
    dated = [Path(f"/data/202603{day:02d}.wav") for day in range(1, 20)]
    found = times_in_names([*dated, Path("/data/first try.wav")])
    assert found is not None
    assert found.times[-1] is None
    assert found.times[0] == at(2026, 3, 1)


def test_the_month_comes_first_where_the_dates_demand_it() -> None:
    found = times_in_names([Path(f"/data/03-{day}-2026.wav") for day in (9, 14, 21)])
    assert found is not None
    assert found.times == [at(2026, 3, 9), at(2026, 3, 14), at(2026, 3, 21)]


def test_the_date_of_an_export_that_all_names_share_gives_way() -> None:
    found = times_in_names([Path(f"/data/export_20260401_rec_202603{day}.wav") for day in (10, 11)])
    assert found is not None
    assert found.times == [at(2026, 3, 10), at(2026, 3, 11)]


def test_the_folder_that_all_recordings_are_in_tells_nothing() -> None:
    assert times_in_names([Path(f"/2026-03-02/train_normal/{number}.wav") for number in range(3)]) is None
