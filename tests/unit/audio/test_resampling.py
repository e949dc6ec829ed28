"""Another sample rate gives the same sound, however it is cut into blocks."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.audio.resampling import Resampler, require_channel, select_channel
from monitor.core.errors import DataError
from support.builders import noise, pieces, sine


@settings(max_examples=20, deadline=None)
@given(
    length=st.integers(0, 20_000),
    cuts=st.lists(st.integers(1, 5000), min_size=1, max_size=4),
    rates=st.sampled_from([(48_000, 16_000), (44_100, 16_000), (16_000, 16_000), (8000, 16_000)]),
)
def test_resampling_does_not_depend_on_how_the_sound_is_cut(
    length: int, cuts: list[int], rates: tuple[int, int]
) -> None:
    sound = noise(length, seed=length)
    resampler = Resampler(*rates)
    parts = [resampler.push(sound[part]) for part in pieces(length, cuts)]
    found = np.concatenate((*parts, resampler.push(sound[:0], last=True)))
    np.testing.assert_allclose(found, soxr.resample(sound, *rates) if length else sound, atol=1e-6)
    assert abs(len(found) - length * rates[1] / rates[0]) <= 1


def test_a_stream_at_the_models_rate_is_not_touched() -> None:
    sound = noise(100)
    assert Resampler(16_000, 16_000).push(sound) is sound


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000, 192_000])
def test_a_tone_is_the_same_tone_at_another_rate(rate: int) -> None:
    resampler = Resampler(rate, 16_000)
    found = np.concatenate((resampler.push(sine(1.0, hz=1000, rate=rate)), resampler.push(np.zeros(0, np.float32))))
    found = np.concatenate((found, resampler.push(np.zeros(0, np.float32), last=True)))
    middle = slice(4000, 12_000)
    np.testing.assert_allclose(found[middle], sine(1.0, hz=1000)[middle], atol=1e-4)


def test_one_channel_and_the_mean_of_all_are_taken_from_many() -> None:
    block = noise(100, streams=3).T
    assert np.array_equal(select_channel(block, 2), block[:, 2])
    np.testing.assert_allclose(select_channel(block, "mix"), block.mean(axis=1), rtol=1e-6)
    assert np.array_equal(select_channel(block[:, :1], "mix"), block[:, 0])
    assert select_channel(block, "mix").dtype == np.float32


def test_a_channel_that_there_is_not_is_refused_with_how_many_there_are() -> None:
    require_channel(2, 3)
    require_channel("mix", 1)
    with pytest.raises(DataError, match=r"no channel 3, only 3 channels"):
        require_channel(3, 3)
