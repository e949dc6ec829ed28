"""The newest sound is kept exactly, in memory that does not grow, and longer only while a clip needs it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.audio.writer import as_int16
from monitor.clips.memory import SoundMemory
from support.builders import CUTS, noise, pieces, small_config

FEATURES = small_config("features.hop_length=50").features
HOP, RATE = FEATURES.hop_length, FEATURES.sample_rate
AS_THEY_COME = 4 * RATE  # bytes of the newest second, before it is converted


def filled(samples: np.ndarray, cuts: list[int], keep_s: float = 1000.0, first: int = 0) -> SoundMemory:
    """A memory that has heard samples in pieces of these lengths."""
    memory = SoundMemory(keep_s, FEATURES)
    memory.restart(first)
    for part in pieces(len(samples), cuts):
        memory.push(samples[part])
    return memory


FRAMES = st.integers(0, 1000)


@given(cuts=CUTS, length=st.integers(0, 3 * RATE), first=FRAMES, ends=st.tuples(FRAMES, FRAMES))
def test_what_is_cut_out_is_what_was_heard_there_however_it_came_in(
    cuts: list[int], length: int, first: int, ends: tuple[int, int]
) -> None:
    sound = noise(length)
    memory = filled(sound, [50 * cut for cut in cuts], first=first)
    assert (memory.begin, memory.oldest, memory.end) == (first, first, first + length // HOP)
    began, stop = sorted(ends)
    cut = memory.cut(first + began, first + stop)
    assert cut.first == first + began
    np.testing.assert_array_equal(cut.samples(), as_int16(sound)[began * HOP : stop * HOP])
    np.testing.assert_array_equal(memory.cut(first + began, None).samples(), as_int16(sound)[began * HOP :])


def test_memory_stays_as_it_is_however_long_it_listens() -> None:
    memory = filled(noise(6 * RATE), [160], keep_s=5.0)
    before = memory.nbytes
    for _ in range(40):
        memory.push(noise(RATE))
        assert memory.end - memory.oldest >= 5.0 / FEATURES.hop_s
        assert memory.nbytes <= before + 2 * RATE
    assert before <= 2 * RATE * 7 + AS_THEY_COME


@given(cuts=CUTS, length=st.integers(0, 8 * RATE))
def test_however_sound_comes_in_the_memory_reaches_back_as_far(cuts: list[int], length: int) -> None:
    sound = noise(length)
    memory, at_once = filled(sound, [50 * cut for cut in cuts], keep_s=2.0), filled(sound, [RATE], keep_s=2.0)
    assert (memory.oldest, memory.end) == (at_once.oldest, at_once.end)


def test_what_a_clip_needs_is_kept_until_it_is_cut_out_and_then_given_up() -> None:
    sound = noise(30 * RATE)
    memory = filled(sound[: 6 * RATE], [1600], keep_s=5.0)
    memory.needed = began = round(2.0 / FEATURES.hop_s)
    for part in pieces(24 * RATE, [1600]):
        memory.push(sound[6 * RATE :][part])
    cut = memory.cut(began, None)
    memory.needed = None
    memory.push(noise(2 * RATE))
    assert memory.nbytes <= 2 * RATE * 7 + AS_THEY_COME
    np.testing.assert_array_equal(cut.samples(), as_int16(sound)[began * HOP :])


def test_a_cut_begins_later_where_the_memory_does_not_reach_back() -> None:
    memory = filled(noise(20 * RATE), [1600], keep_s=5.0)
    cut = memory.cut(0, None)
    assert cut.first == memory.oldest > 0
    assert cut.count == 20 * RATE - memory.oldest * HOP


def test_nothing_of_before_an_interruption_is_left_after_it() -> None:
    memory = filled(noise(2 * RATE), [1600])
    memory.restart(700)
    assert (memory.end, memory.cut(0, None).count) == (700, 0)
    memory.push(noise(3 * HOP + 7))
    assert (memory.end, memory.cut(0, None).first, memory.cut(0, None).count) == (703, 700, 3 * HOP + 7)
