"""How days differ is said in decibels, by octave, with the day that differs most."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest

from monitor.core.errors import DataError
from monitor.normal_sound.day_differences import OCTAVES_HZ, day_differences, levels_of
from monitor.normal_sound.piece_writing import file_name
from monitor.normal_sound.recorded_days import compare_days, named_time
from support.builders import RATE, noise, sine, write_sound
from support.logs import logged

MONDAY = datetime.datetime(2026, 11, 23, 12, 0).timestamp()
DAY_S = 86_400.0


def test_a_tone_is_in_its_octave_with_its_level() -> None:
    for number, centre in enumerate(OCTAVES_HZ[:-2]):
        found = levels_of(sine(2.0, hz=centre, amplitude=0.1) + np.float32(0.2), RATE, MONDAY)
        assert 10 * np.log10(found.power) == pytest.approx(-23.0, abs=0.1)  # without the constant offset
        assert found.octaves.argmax() == number
        assert found.octaves[number] == pytest.approx(found.power, rel=0.12)
    assert len(found.octaves) == 8  # up to 4 kHz: the next one has not all its frequencies below 8 kHz


def test_white_noise_gains_three_decibels_an_octave() -> None:
    levels = 10 * np.log10(levels_of(noise(20 * RATE), RATE, MONDAY).octaves)
    assert np.diff(levels[1:]) == pytest.approx(3.01, abs=0.7)


def test_the_day_that_differs_most_is_named_with_its_octave() -> None:
    hum = sine(1.0, hz=125.0, amplitude=0.1)
    days = [[noise(RATE, seed=10 * day + i) for i in range(4)] for day in range(4)]
    days[2] = [samples + hum for samples in days[2]]
    found = day_differences(
        levels_of(samples, RATE, MONDAY + day * DAY_S + 600 * i)
        for day, pieces in enumerate(days) for i, samples in enumerate(pieces)
    )  # fmt: skip
    assert [day.pieces for day in found.days] == [4, 4, 4, 4]
    assert found.sentence.startswith("Of 4 days Wed 2026-11-25 differs most from their mean: it is ")
    assert "dB louder around 125 Hz; the others differ by at most" in found.sentence
    table = found.table()
    assert table[0][:3] == ["day", "recordings", "level"]
    assert [row[0] for row in table[1:]] == ["Mon 2026-11-23", "Tue 2026-11-24", "Wed 2026-11-25", "Thu 2026-11-26"]
    assert all(len(row) == len(table[0]) for row in table)


def test_days_that_sound_alike_are_said_to() -> None:
    found = day_differences(levels_of(noise(5 * RATE, seed=day), RATE, MONDAY + day * DAY_S) for day in range(3))
    assert found.sentence.endswith("The days sound alike.")


def test_two_days_are_compared_with_each_other() -> None:
    loud, soft = noise(RATE, amplitude=0.1), noise(RATE, amplitude=0.05)
    found = day_differences([levels_of(loud, RATE, MONDAY), levels_of(soft, RATE, MONDAY + DAY_S)])
    assert "at most 6.0 dB" in found.sentence
    assert "leave that day out" in found.sentence


def test_silence_and_a_single_day_and_nothing_at_all_are_no_error() -> None:
    silent = levels_of(np.zeros(RATE, np.float32), RATE, MONDAY)
    assert "there is no other day to compare with" in day_differences([silent]).sentence
    found = day_differences([silent, levels_of(noise(RATE), RATE, MONDAY + DAY_S)])
    assert np.isfinite(found.days[0].octaves_db).all()
    assert day_differences([]).sentence == "There are no recordings to compare."
    levels_of(np.zeros(0, np.float32), RATE, MONDAY)


def test_recordings_in_a_folder_are_assigned_to_local_days_by_their_names(tmp_path: Path) -> None:
    for day in range(2):
        write_sound(tmp_path / file_name(MONDAY + day * DAY_S), noise(RATE, seed=day), subtype="PCM_16")
    write_sound(tmp_path / "sub" / "normal_20261123T120000Z_0001.flac", noise(RATE), subtype="PCM_16")
    (tmp_path / file_name(MONDAY + 5 * DAY_S)).write_bytes(b"no sound")
    (tmp_path / "recording-plan.json").touch()
    with logged("monitor.normal_sound") as messages:
        found = compare_days(tmp_path)
    assert sum(day.pieces for day in found.days) == 3
    assert len(found.days) == 2
    assert messages[0].startswith("1 recording left out, such as: ")


def test_the_number_in_the_name_of_a_recording_in_one_stretch_counts_its_ten_seconds() -> None:
    noon = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC).timestamp()
    assert named_time(Path("normal_20261123T120000Z_0007.flac")) == noon + 70
    assert named_time(Path("normal_20261123T120000Z-2.flac")) == noon
    assert named_time(Path("normal_20261323T120000Z.flac")) is None
    assert named_time(Path("pump.wav")) is None


def test_a_folder_without_recordings_is_one_sentence(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match=r"no recordings in it|No such file"):
            compare_days(folder)
