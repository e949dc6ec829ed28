"""Sound of a low sample rate is told where it lacks frequencies that the model hears; resamplers agree below `fmax`."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from scipy import signal

from monitor.audio.bandwidth import is_narrow, narrow_note
from monitor.config.schema import Features
from monitor.features.mel import MelTransform, centred_frames
from support.builders import noise


@pytest.mark.parametrize(
    ("sample_rate", "features", "narrow"),
    [
        (8_000, Features(), True),
        (14_000, Features(), True),  # the slope of the filter begins below 7000 Hz
        (16_000, Features(), False),
        (48_000, Features(), False),
        (8_000, Features(fmax=3500), False),
        (16_000, Features(fmax=None), False),  # it is not resampled
        (16_000, Features(sample_rate=48_000), True),
        (0, Features(), False),  # unknown, as of mel frames
    ],
)
def test_sound_is_narrow_if_resampling_it_leaves_bands_of_the_model_without_sound(
    sample_rate: int, features: Features, narrow: bool
) -> None:
    assert is_narrow(sample_rate, features) == narrow
    assert bool(narrow_note(sample_rate, features)) == narrow


def test_a_note_says_the_sample_rate_and_both_frequencies() -> None:
    note = narrow_note(8_000, Features())
    assert all(number in note for number in ("8000", "3500", "7000"))


def spectra(features: Features) -> list[np.ndarray]:
    """The mean power in dB (n_mels,) of the same sound at 48 kHz, resampled in three ways."""
    sound = noise(48_000 * 2)
    resampled = (
        soxr.resample(sound, 48_000, 16_000, "HQ"),
        soxr.resample(sound, 48_000, 16_000, "MQ"),
        signal.resample_poly(sound, 1, 3),
    )
    transform = MelTransform(features)
    return [10 * np.log10(centred_frames(one.astype(np.float32)[None], transform)[0].mean(axis=0)) for one in resampled]


def test_the_default_bands_are_the_same_whatever_program_resampled_a_recording() -> None:
    first, *others = spectra(Features())
    for other in others:
        np.testing.assert_allclose(other, first, atol=0.2)
    first, *others = spectra(Features(fmax=None))
    assert max(np.abs(other - first).max() for other in others) > 1, "the slopes of the filters differ"
