"""What is measured of a recording does not depend on how it is divided, and tells dead and cancelling channels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monitor.audio.sound_facts import SoundFacts, SoundSurvey, count_clipped
from support.builders import noise, pieces


def facts_of(recorded: np.ndarray, cuts: list[int] | None = None) -> SoundFacts:
    """The facts of samples (n, channels), heard as their mean."""
    survey = SoundSurvey()
    for part in pieces(len(recorded), cuts or [1000]):
        survey.add(recorded[part], recorded[part].mean(axis=1), 16_000)
    return survey.facts()


@given(
    samples=arrays(np.float32, st.tuples(st.integers(1, 300), st.just(1)), elements=st.floats(-1, 1, width=32)),
    cuts=st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
def test_peak_and_clipping_do_not_depend_on_how_a_recording_is_cut(samples: np.ndarray, cuts: list[int]) -> None:
    facts = facts_of(samples, cuts)
    assert facts.peak == pytest.approx((float(samples.max()) - float(samples.min())) / 2)
    assert facts.clipped_share == count_clipped(samples) / len(samples)
    assert facts.sample_rate == 16_000


def test_without_samples_there_is_neither_a_peak_nor_clipping() -> None:
    assert SoundSurvey().facts() == SoundFacts(peak=0.0)


def test_channels_cancel_each_other_where_little_is_left_of_them_in_the_mean() -> None:
    one, other = noise(16_000), noise(16_000, seed=1)
    offset = np.float32(0.3)
    assert facts_of(np.stack([one, -one], axis=1)).cancelled
    assert facts_of(np.stack([one + offset, -0.95 * one], axis=1)).cancelled, "an offset is not heard"
    assert facts_of(np.stack([one, other, -one - other], axis=1)).cancelled
    for channels in ((one, one), (one, other), (one, -0.5 * one), (one, np.zeros_like(one)), (one,)):
        assert not facts_of(np.stack(channels, axis=1)).cancelled
    assert not facts_of(noise(16_000, streams=64).T).cancelled, "many unrelated channels have a quiet mean"


def test_a_channel_is_dead_if_it_is_silent_and_others_are_not() -> None:
    sound, hiss = noise(16_000), noise(16_000, seed=1, amplitude=3e-5)
    assert facts_of(np.stack([sound, hiss, sound, 0.5 + hiss], axis=1)).dead_channels == (1, 3)
    assert facts_of(np.stack([sound, 1e-2 * sound], axis=1)).dead_channels == (), "quiet is not dead"
    assert facts_of(np.stack([hiss, hiss], axis=1)).dead_channels == (), "all of a quiet recording are equal"
