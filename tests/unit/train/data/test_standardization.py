"""Standardisation gives each band mean 0 and standard deviation 1 over the training frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from monitor.features.normalization import Normalization
from support.builders import small_config
from train.data.feature_cache import Frames
from train.data.standardization import standardization


def recording(power: np.ndarray) -> Frames:
    return Frames(path=Path("none.wav"), power=np.ascontiguousarray(power, np.float32), digest="")


@pytest.mark.parametrize("scale", ["log", "power"])
def test_each_band_has_mean_0_and_deviation_1_over_the_training_frames(scale: str) -> None:
    config, random = small_config(f"features.scale={scale}"), np.random.default_rng(3)
    gains = 10.0 ** np.arange(-4, 4, 0.125)
    recordings = [recording(random.exponential(1.0, (total, 64)) * gains) for total in (200, 31, 77)]
    mean, deviation = standardization(recordings, config)
    power = np.concatenate([frames.power for frames in recordings])
    scaled = Normalization(config.features, mean, deviation)(power).astype(np.float64)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-3)
    unscaled = 10 * np.log10(power) if scale == "log" else power
    oracle = StandardScaler().fit(unscaled.astype(np.float64))
    np.testing.assert_allclose(mean, oracle.mean_, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(deviation, oracle.scale_, rtol=1e-4)


def test_a_band_that_is_always_the_same_is_not_divided_by_zero() -> None:
    power = np.random.default_rng(0).exponential(1.0, (50, 64))
    power[:, 7] = 0.0
    mean, deviation = standardization([recording(power)], small_config())
    assert deviation[7] == 1
    assert mean[7] == pytest.approx(-100)


def test_without_standardisation_mean_and_deviation_are_0_and_1() -> None:
    mean, deviation = standardization([recording(np.ones((30, 64)))], small_config("features.standardize=false"))
    assert np.array_equal(mean, np.zeros(64))
    assert np.array_equal(deviation, np.ones(64))
