"""The level computed from mel frames is the RMS level of the sound."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monitor.features.frame_level import FrameLevel
from support.builders import frames_of, noise, sine, small_config

SETTINGS = small_config().features


def rms_dbfs(sound: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64))))


ALL = "features.fmax=null"  # all frequencies
SPECTRA = [
    (ALL,),
    (ALL, "features.n_fft=1024", "features.n_mels=128"),
    (ALL, "features.n_fft=256", "features.hop_length=80"),
    (ALL, "features.n_fft=2048", "features.sample_rate=48000", "features.hop_length=480"),
    (ALL, "features.sample_rate=8000", "features.n_mels=32"),
]


@pytest.mark.parametrize("overrides", SPECTRA)
@pytest.mark.parametrize("amplitude", [0.5, 1e-3])
def test_the_level_of_white_noise_is_its_rms_level_within_half_a_decibel(
    overrides: tuple[str, ...], amplitude: float
) -> None:
    settings = small_config(*overrides)
    sound = noise(4 * settings.features.sample_rate, amplitude=amplitude)
    power = frames_of(settings, sound[None])[0][5:-5]
    found = 10 * math.log10(float((10 ** (FrameLevel(settings.features).dbfs(power) / 10)).mean()))
    assert found == pytest.approx(rms_dbfs(sound), abs=0.5)


@pytest.mark.parametrize("overrides", SPECTRA)
@pytest.mark.parametrize("share", [0.07, 0.2, 0.5, 0.9])
def test_the_level_of_a_tone_is_its_rms_level_within_half_a_decibel(overrides: tuple[str, ...], share: float) -> None:
    """At any frequency between the lowest and the highest band."""
    settings = small_config(*overrides)
    rate = settings.features.sample_rate
    sound = sine(1.0, hz=share * rate / 2, rate=rate, amplitude=0.25)
    levels = FrameLevel(settings.features).dbfs(frames_of(settings, sound[None])[0][10:-10])
    np.testing.assert_allclose(levels, rms_dbfs(sound), atol=0.5)


def test_silence_is_minus_200_dbfs_and_sound_outside_the_bands_does_not_count() -> None:
    assert FrameLevel(SETTINGS).dbfs(np.zeros((3, 64), np.float32)).tolist() == pytest.approx([-200] * 3)
    high = small_config("features.fmin=2000").features
    hum = frames_of(small_config("features.fmin=2000"), sine(1.0, hz=100, amplitude=0.5)[None])[0][10:-10]
    assert (FrameLevel(high).dbfs(hum) < -60).all()


@pytest.mark.parametrize("overrides", SPECTRA)
def test_a_constant_offset_of_the_samples_is_not_part_of_the_level(overrides: tuple[str, ...]) -> None:
    settings = small_config(*overrides)
    level = FrameLevel(settings.features)
    sound = noise(settings.features.sample_rate, amplitude=1e-3)
    plain, offset = (level.dbfs(frames_of(settings, (sound + add)[None])[0][10:-10]) for add in (0.0, np.float32(0.1)))
    np.testing.assert_allclose(offset, plain, atol=0.01)
