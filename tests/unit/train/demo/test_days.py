"""Days of a simulated machine: each is a little different, smoothly over the frequency, and always the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from support.spectra import level
from train.demo.days import GAIN_DB, ROOM_DB, TILT_DB, TILT_HZ, WARMTH, Day, day
from train.demo.machines import MACHINES

RATE = 16000


def response_db(one: Day, at: np.ndarray) -> np.ndarray:
    """The gain of the microphone's place at the frequencies, from its answer to an impulse."""
    impulse = np.zeros(RATE)
    impulse[0] = 1.0
    spectrum = np.abs(np.fft.rfft(one.microphone(RATE)(impulse)))
    return 20 * np.log10(np.interp(at, np.fft.rfftfreq(RATE, 1 / RATE), spectrum))


def test_a_day_is_always_the_same_and_unlike_the_others_within_the_stated_ranges() -> None:
    days = [day(number) for number in range(50)]
    assert days == [day(number) for number in range(50)]
    assert len(set(days)) == 50
    for values, largest in (
        ([one.gain_db for one in days], GAIN_DB),
        ([decibels for one in days for decibels in one.tilt_db], TILT_DB),
        ([one.resonance - 1 for one in days], WARMTH),
        ([one.room_db for one in days], ROOM_DB),
    ):
        assert 0.8 * largest < np.abs(values).max() <= largest
        assert abs(np.mean(values)) < 0.4 * largest


def test_the_place_of_the_microphone_changes_the_spectrum_smoothly() -> None:
    at = np.geomspace(60, 5000, 200)
    for number in range(10):
        gains = response_db(day(number), at)
        assert np.abs(gains).max() < GAIN_DB + 2 * TILT_DB
        assert np.abs(np.diff(gains)).max() / np.diff(np.log2(at)).max() < 3  # dB an octave


def test_its_gain_and_tilt_are_what_the_day_says() -> None:
    at = np.array(TILT_HZ)
    assert response_db(Day(gain_db=1.2), at) == pytest.approx(1.2)
    assert response_db(Day(tilt_db=(0.0, 2.0, 0.0)), at)[1] == pytest.approx(2.0, abs=0.01)


def test_a_warm_machine_has_lower_resonances_and_a_loud_room_more_noise() -> None:
    ordinary, warm, loud = (
        MACHINES["valve"].sound(RATE, 1, passing_noises=False, day=one).read(20 * RATE)
        for one in (None, Day(resonance=0.98), Day(room_db=3.0))
    )
    peaks = []
    for samples in (ordinary, warm):
        at, power = signal.welch(samples, RATE, nperseg=4096)
        ring = (at > 2100) & (at < 2500)
        peaks.append(float(np.average(at[ring], weights=power[ring] ** 4)))
    assert peaks[1] / peaks[0] == pytest.approx(0.98, abs=0.01)
    assert 0.5 < level(loud) - level(ordinary) < 3.0


@pytest.mark.parametrize("name", MACHINES)
def test_any_machine_can_have_a_day_which_changes_its_sound_by_some_decibels(name: str) -> None:
    recordings = [
        MACHINES[name].sound(RATE, 3, passing_noises=False, day=one).read(10 * RATE) for one in (None, day(1), day(2))
    ]
    spectra = [10 * np.log10(signal.welch(one, RATE, nperseg=512)[1][2:230]) for one in recordings]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert 0.3 < np.abs(spectra[a] - spectra[b]).mean() < 5


@pytest.mark.parametrize("name", MACHINES)
def test_a_fault_on_a_day_is_not_heard_before_its_onset(name: str) -> None:
    machine = MACHINES[name]
    well, ill = (
        machine.sound(8000, 3, day=day(1), fault=f, onset_s=2.0).read(48_000) for f in (None, machine.faults[0])
    )
    assert np.array_equal(well[:16_000], ill[:16_000])
    assert not np.array_equal(well[16_000:], ill[16_000:])
