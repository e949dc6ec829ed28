"""The normalization of a frame is absolute: it depends on no other frame."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from monitor.config.schema import Features
from monitor.features.normalization import Normalization
from support.backends import BACKENDS, backend


def random_power(total: int, n_mels: int = 64) -> np.ndarray:
    return np.random.default_rng(0).exponential(1.0, (total, n_mels)).astype(np.float32)


def test_decibels_are_absolute_and_no_lower_than_the_floor() -> None:
    normalization = Normalization(Features(scale="log", floor=1e-10))
    power = np.tile(np.array([0.0, 1e-12, 1e-10, 1.0, 100.0], np.float32)[:, None], 64)
    expected = np.array([-100.0, -100.0, -100.0, 0.0, 20.0])
    np.testing.assert_allclose(normalization(power)[:, 0], expected, atol=1e-5)
    np.testing.assert_allclose(normalization(power * 10)[3:, 5], expected[3:] + 10, atol=1e-5)


def test_decibels_are_equal_to_librosas() -> None:
    power = random_power(50) * np.float32(1e-6)
    expected = librosa.power_to_db(power.astype(np.float64), amin=1e-10, top_db=None)
    np.testing.assert_allclose(Normalization(Features())(power), expected, rtol=1e-6, atol=1e-5)


def test_with_scale_power_frames_are_not_converted() -> None:
    power = random_power(7)
    assert np.array_equal(Normalization(Features(scale="power"))(power), power)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("scale", ["log", "power"])
def test_bands_are_standardized_and_the_inverse_restores_them(name: str, scale: str) -> None:
    features, power, random = Features(scale=scale), random_power(7), np.random.default_rng(1)
    mean, deviation = (random.uniform(2, 9, 64).astype(np.float32) for _ in range(2))
    before = power.copy()
    arrays = backend(name)
    normalized = np.asarray(Normalization(features, mean, deviation, arrays)(arrays.upload(power)))
    unscaled = 10 * np.log10(power.astype(np.float64)) if scale == "log" else power
    np.testing.assert_allclose(normalized, (unscaled - mean) / deviation, rtol=1e-5, atol=1e-5)
    inverse = Normalization(features, mean, deviation).inverse(normalized)
    np.testing.assert_allclose(inverse, unscaled, rtol=1e-4, atol=1e-4)
    assert np.array_equal(power, before)


def test_with_remove_level_normalized_frames_do_not_depend_on_loudness() -> None:
    power = random_power(7)
    normalization = Normalization(Features(remove_level=True))
    np.testing.assert_allclose(normalization(power).mean(axis=-1), 0, atol=1e-4)
    np.testing.assert_allclose(normalization(1e3 * power), normalization(power), atol=1e-4)
