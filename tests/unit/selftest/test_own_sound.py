"""The machine's own sound: its level when its model was made, its tonal lines, and what the microphone has lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from monitor.bundle.bundle import Bundle
from monitor.features.mel import MelTransform
from monitor.features.normalization import Normalization
from monitor.selftest.own_sound import own_sound
from support.builders import RATE, noise, sine, small_bundle


def trained_on(sound: np.ndarray) -> Bundle:
    """A bundle whose training frames are those of a sound."""
    bundle = small_bundle()
    features = bundle.config.features
    frames = Normalization(features).scaled(MelTransform(features)(sound[None])[0])
    return replace(bundle, mean=frames.mean(axis=0))


def machine(seed: int = 0) -> np.ndarray:
    return (noise(10 * RATE, seed=seed) + sine(10.0, hz=500.0, amplitude=0.05)).astype(np.float32)


def test_sound_as_in_training_has_lost_nothing_and_has_its_level_and_tonal_line() -> None:
    own = own_sound([machine(1), machine(2)], trained_on(machine(3)))
    assert own.loss_db.max() < 0.5
    assert own.rms == pytest.approx(np.sqrt(0.1**2 + 0.05**2 / 2), rel=0.1)
    assert own.lines_hz[0] == 500.0


def test_what_a_covered_microphone_has_lost_is_found_and_the_level_is_that_of_before() -> None:
    covered = signal.sosfilt(signal.butter(2, 1500, fs=RATE, output="sos"), machine(1)).astype(np.float32)
    own = own_sound([covered], trained_on(machine(3)))
    assert own.loss_db[own.band_hz < 700].max() < 1
    assert own.loss_db[own.band_hz > 4500].min() > 15
    assert own.rms == pytest.approx(np.sqrt(0.1**2 + 0.05**2 / 2), rel=0.1), "a fault is not quieter at its origin"


def test_a_louder_machine_does_not_make_faults_louder() -> None:
    own = own_sound([3 * machine(1)], trained_on(machine(3)))
    assert own.loss_db.max() == 0
    assert own.rms == pytest.approx(np.sqrt(0.1**2 + 0.05**2 / 2), rel=0.1)
