"""The test sound of the self-test covers all bands, and its errors are those of a stream."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from monitor.bundle.self_test import chirp, chirp_error, chirp_frames, chirp_samples
from monitor.config.schema import Features
from monitor.features.mel import band_centres
from support.builders import small_bundle, small_config
from support.oracle import expected_of, librosa_frames

SETTINGS = [Features(), Features(n_fft=4096, window_frames=64), Features(sample_rate=48000, n_fft=2048, hop_length=480)]


@pytest.mark.parametrize("overrides", [(), ("features.scale=power",), ("features.n_fft=256", "score.kind=error")])
def test_the_errors_of_the_self_test_are_those_of_a_stream_of_the_test_sound(overrides: tuple[str, ...]) -> None:
    bundle = small_bundle(small_config(*overrides))
    expected = expected_of(bundle, chirp(bundle.config.features)).error
    np.testing.assert_allclose(chirp_error(bundle), expected, rtol=1e-4)


@pytest.mark.parametrize("features", SETTINGS)
def test_the_test_sound_is_in_every_band_and_is_reproducible(features: Features) -> None:
    samples = chirp(features)
    assert len(samples) == chirp_samples(features) >= features.sample_rate
    assert np.array_equal(samples, chirp(features))
    frames = librosa_frames(samples, features)
    assert len(frames) == chirp_frames(features) >= 2 * features.window_frames
    level = 10 * np.log10(np.maximum(frames, 1e-20))
    passed = band_centres(features) < 0.45 * features.sample_rate
    assert passed.sum() > 0.9 * features.n_mels
    assert (level.max(axis=0) > level.min(axis=0) + 6)[passed].all(), "the tone passes the bands"
    assert (level > -60).all(), "there is noise in all bands"


def test_the_tone_of_the_test_sound_rises_to_nine_tenths_of_the_bandwidth() -> None:
    """Compared with scipy's chirp."""
    samples = chirp(Features())
    t = np.arange(len(samples)) / 16_000
    rest = samples - 0.02 * scipy.signal.chirp(t, 50, len(t) / 16_000, 0.45 * 16_000, phi=-90)
    assert np.abs(rest).max() <= 0.0201, "only the noise remains"
