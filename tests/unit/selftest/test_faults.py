"""Known faults have the stated level, are the same for the same seed, and are weakened as the microphone is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from monitor.selftest.faults import FAULTS, Clicks, Imbalance, MissingHarmonic
from monitor.selftest.own_sound import OwnSound
from support.builders import RATE, noise, sine

BANDS = np.linspace(100, 7000, 24).astype(np.float32)
OWN = OwnSound(RATE, 0.05, BANDS, np.zeros(24), (745.0, 48.0), 0.0)


def level_db(sound: np.ndarray) -> float:
    """The RMS in dB relative to the machine's, after the fade-in."""
    return float(20 * np.log10(np.sqrt(np.mean(sound[RATE:] ** 2)) / OWN.rms))


@pytest.mark.parametrize("fault", [one for one in FAULTS if one.name != "missing harmonic"], ids=lambda one: one.name)
@pytest.mark.parametrize("level", [-30.0, 0.0, 12.0])
def test_a_fault_has_the_stated_level_relative_to_the_machine(fault: Clicks, level: float) -> None:
    sound = fault.sound(np.zeros(5 * RATE), level, OWN, (1, 2))
    assert level_db(sound) == pytest.approx(level, abs=0.5)
    assert sound[0] == 0, "it fades in"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda one: one.name)
def test_the_same_seed_gives_the_same_fault_and_another_one_another(fault: Clicks) -> None:
    normal = noise(2 * RATE).astype(np.float64)
    first, again = (fault.sound(normal, 3.0, OWN, (16, 0)) for _ in range(2))
    assert np.array_equal(first, again)
    if fault.name != "missing harmonic":  # it is taken from the machine's own sound
        assert not np.array_equal(first, fault.sound(normal, 3.0, OWN, (16, 1)))


def test_a_missing_harmonic_falls_by_the_stated_level_and_nothing_else_does() -> None:
    normal = (sine(4.0, hz=745.0) + sine(4.0, hz=1500.0)).astype(np.float64)
    left = normal + MissingHarmonic().sound(normal, 12.0, OWN, (0,))
    before, after = (np.abs(np.fft.rfft(one[RATE : 3 * RATE])) for one in (normal, left))
    fall = 20 * np.log10(after / before)
    assert fall[2 * 745] == pytest.approx(-12, abs=0.3)
    assert fall[2 * 1500] == pytest.approx(0, abs=0.1)


def test_a_machine_without_a_tonal_line_has_no_harmonic_that_could_be_missing() -> None:
    silent = dataclasses.replace(OWN, lines_hz=())
    assert MissingHarmonic().missing(silent)
    assert not Clicks().missing(silent)


def test_an_imbalance_is_at_the_rotation_of_the_machine() -> None:
    spectrum = np.abs(np.fft.rfft(Imbalance().sound(np.zeros(4 * RATE), 0.0, OWN, (0,))))
    assert np.argmax(spectrum) / 4 == 48.0


def test_a_covered_microphone_hears_a_fault_as_weakened_as_the_machine() -> None:
    covered = dataclasses.replace(OWN, loss_db=np.where(BANDS > 2000, 20.0, 0.0))
    weaker = level_db(Clicks().sound(np.zeros(5 * RATE), 0.0, covered, (1,)))
    assert weaker < -12, "the resonances of the clicks are above 2 kHz"
    assert level_db(Imbalance().sound(np.zeros(5 * RATE), 0.0, covered, (1,))) == pytest.approx(0, abs=0.5)
