"""All samples of the ring reach the model or are counted as discarded, and a dead microphone is not scored."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.sources.preprocess import SILENT_S, TAIL_S, Preprocessor
from support.builders import noise, pieces

RATE = 1000


def preprocessor(*, rate: int = RATE, hold_silence: bool = True, capacity: int = 40 * RATE) -> Preprocessor:
    return Preprocessor(RingReader(SampleRing(capacity)), RATE, rate, hold_silence=hold_silence)


def pushed(into: Preprocessor, sound: np.ndarray, cuts: list[int]) -> np.ndarray:
    """Returns the samples to be scored of a sound that arrives in pieces."""
    parts = []
    for part in pieces(len(sound), cuts):
        into.reader.ring.write(sound[part, None])
        parts.append(into.take(RATE).samples)
    return np.concatenate([np.zeros(0, np.float32), *parts])


CUTS = st.lists(st.integers(3, 400), min_size=1, max_size=8)


@given(cuts=CUTS, zeros=st.integers(0, 400))
def test_a_short_silence_is_scored_like_any_sound(cuts: list[int], zeros: int) -> None:
    sound = np.concatenate((noise(700), np.zeros(zeros, np.float32), noise(700, seed=1)))
    live = preprocessor()
    np.testing.assert_array_equal(pushed(live, sound, cuts), sound)
    assert (live.scored, live.discarded, live.waiting) == (len(sound), 0, 0)


@settings(max_examples=40)
@given(cuts=CUTS, constant=st.sampled_from([0.0, 0.25, -1.0]), seconds=st.floats(1.0, 2.0))
def test_sound_that_does_not_change_for_long_is_not_scored_and_all_else_is(
    cuts: list[int], constant: float, seconds: float
) -> None:
    before, after = noise(700), noise(700, seed=1)
    silence = np.full(round(seconds * RATE), constant, np.float32)
    live = preprocessor()
    scored = pushed(live, np.concatenate((before, silence, after)), cuts)
    np.testing.assert_array_equal(scored[:700], before)
    # At most TAIL_S of the silence is scored at its beginning, and at its end the part that shares a piece with sound.
    assert 0 <= len(scored) - 1400 < TAIL_S * RATE + max(cuts)
    np.testing.assert_array_equal(scored[-700:], after)
    assert live.scored + live.discarded == 1400 + len(silence)
    assert not live.silent


@given(cuts=CUTS, constant=st.sampled_from([0.0, 0.25]))
def test_a_microphone_that_is_dead_is_silent_after_half_a_second(cuts: list[int], constant: float) -> None:
    live = preprocessor()
    before = round(SILENT_S * RATE) - 1
    pushed(live, np.concatenate((noise(300), np.full(before, constant, np.float32))), cuts)
    assert not live.silent
    pushed(live, np.full(round(TAIL_S * RATE) + max(cuts), constant, np.float32), cuts)
    assert live.silent


def test_silence_in_a_recording_is_scored_like_any_sound() -> None:
    replay = preprocessor(hold_silence=False)
    sound = np.concatenate((noise(700), np.zeros(5 * RATE, np.float32)))
    np.testing.assert_array_equal(pushed(replay, sound, [160]), sound)
    assert not replay.silent


@pytest.mark.parametrize("hold_silence", [False, True])
def test_another_rate_is_resampled_as_in_one_piece(hold_silence: bool) -> None:
    live, sound = preprocessor(rate=16_000, hold_silence=hold_silence), noise(5000)
    found = np.concatenate((pushed(live, sound, [160, 3]), live.flush()))
    np.testing.assert_allclose(found, soxr.resample(sound, RATE, 16_000), atol=1e-6)


def test_no_samples_from_before_an_interruption_are_in_the_samples_after_it() -> None:
    live, sound = preprocessor(rate=16_000), noise(500)
    pushed(live, np.ones(500, np.float32) * np.tile([1, -1], 250).astype(np.float32), [500])
    live.reset()
    found = np.concatenate((pushed(live, sound, [500]), live.flush()))
    np.testing.assert_allclose(found, soxr.resample(sound, RATE, 16_000), atol=1e-6)


def test_overwritten_samples_are_reported_and_counted() -> None:
    live = preprocessor(capacity=1000)
    for block in np.split(noise(1600), 8):
        live.reader.ring.write(block[:, None])
    chunk = live.take(1000)
    assert chunk.lost == 1100
    np.testing.assert_array_equal(chunk.samples, noise(1600)[1100:])
    assert (live.scored, live.discarded) == (500, 1100)


def test_samples_held_back_before_an_interruption_are_counted_as_discarded() -> None:
    live = preprocessor()
    pushed(live, np.concatenate((noise(300), np.zeros(100, np.float32))), [400])
    live.reset()
    assert (live.scored, live.discarded, live.waiting) == (300, 100, 0)


def test_discarded_samples_are_counted_with_those_held_back() -> None:
    live = preprocessor()
    pushed(live, np.concatenate((noise(300), np.zeros(100, np.float32))), [400])
    live.reader.ring.write(noise(50)[:, None])
    assert live.waiting == 150
    assert live.discard() == 150
    assert (live.scored, live.discarded, live.waiting) == (300, 150, 0)
