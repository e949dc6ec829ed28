"""Times in the names of recordings."""

from __future__ import annotations

import pytest

from monitor.audio.recording_time import recording_began, time_in_name, without_time
from support.archives import sound
from support.builders import RATE, write_sound

NOON = 1795176000.0  # 2026-11-20T12:00:00Z


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    "name",
    [
        "20261120T120000Z.wav",
        "press_20261120_130000.WAV",
        "2026-11-20T13-00-00.flac",
        "2026-11-20 13.00.00.wav",
        "mic 2 2026_11_20_13_00_00.wav",
        "2026-11-20T12:00:00+00:00.flac",
        "2026-11-20T14-00-00+0200-part.flac",
    ],
)
def test_a_date_with_the_time_of_day_is_local_unless_it_says_otherwise(name: str) -> None:
    assert time_in_name(name) == NOON


@pytest.mark.parametrize("name", ["20261320_120000.wav", "normal_03.wav", "2026-11-20.wav", "120261120120000.wav", ""])
def test_other_numbers_are_no_time(name: str) -> None:
    assert time_in_name(name) is None


def test_names_of_one_recorder_are_alike_without_their_times() -> None:
    assert without_time("press_20261120_130000.wav") == without_time("press_20261121_000010.wav")
    assert without_time("part-9.wav") == without_time("part-10.wav")
    assert without_time("mic1_20261120_130000.wav") != without_time("mic2_20261120_130000.wav")


def test_a_recording_began_when_its_name_says_so_and_not_when_it_was_copied(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = write_sound(tmp_path / "20261120T120000Z.wav", sound(1))
    assert recording_began(path, len(sound(1)) / RATE) == NOON
