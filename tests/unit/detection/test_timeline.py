"""The last minute in slots of a tenth of a second, which the dashboard draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.detection.timeline import QUIETEST, SLOTS, Timeline
from monitor.detection.timelines import Timelines
from support.builders import pieces

HOP_S = 0.01


def highest(slots: np.ndarray, values: np.ndarray, wanted: range) -> np.ndarray:
    """The highest value of each slot, NaN where there is none: the reference."""
    result = []
    for slot in wanted:
        inside = values[slots == slot]
        inside = inside[~np.isnan(inside)]
        result.append(inside.max() if len(inside) else np.nan)
    return np.array(result, np.float32)


def slots_of(total: int, hop_s: float, slot_s: float) -> np.ndarray:
    """The slot that the middle of each hop lies in."""
    return np.array([math.floor((hop + 0.5) * hop_s / slot_s + 1e-9) for hop in range(total)])


def random_scores(total: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.random(total), generator.random(total)


def filled(total: int, cuts: list[int], *, hop_s: float = HOP_S, n_mels: int = 3, seed: int = 0) -> Timeline:
    timeline = Timeline(n_mels, hop_s)
    error, score = random_scores(total, seed)
    power = random_power(total, n_mels, seed)
    for part in pieces(total, cuts):
        timeline.add_frames(part.start, power[part])
        timeline.add_scores(part.start, error[part], score[part])
    return timeline


def random_power(total: int, n_mels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + 1).exponential(1e-4, (total, n_mels)).astype(np.float32)


def decibels(power: np.ndarray) -> np.ndarray:
    """The mean power of frames (t, n_mels) in dB."""
    return 10 * np.log10(power.mean(axis=0, dtype=np.float64))


def test_the_share_of_the_limit_and_the_sum_are_kept_beside_the_scores() -> None:
    timeline = Timeline(3, HOP_S)
    levels = np.stack((np.arange(100) / 100, np.full(100, 0.5)), axis=1)
    timeline.add_scores(0, *random_scores(100), levels)
    share, lasting = timeline.levels()
    np.testing.assert_allclose(share, [0.01 * (10 * slot + 9) for slot in range(10)], rtol=1e-5)
    np.testing.assert_allclose(lasting, 0.5)
    assert len(share) == len(timeline.view()[1])


def test_time_without_sound_moves_the_minute_on_and_leaves_it_empty() -> None:
    timeline = filled(100, [30])
    timeline.advance(149)
    first, error, score, spectrogram = timeline.view()
    assert (first, len(error), len(timeline.levels()[0])) == (0, 15, 15)
    assert np.isfinite(score[:10]).all()
    assert np.isnan(score[10:]).all()
    assert np.isnan(spectrogram[10:]).all()


def test_before_any_sound_there_is_nothing_to_draw() -> None:
    first, error, score, spectrogram = Timeline(5, HOP_S).view()
    assert (first, error.shape, score.shape, spectrogram.shape) == (0, (0,), (0,), (0, 5))


def test_a_slot_holds_the_highest_error_and_score_and_the_mean_power_of_ten_hops_in_db() -> None:
    timeline = Timeline(2, HOP_S)
    timeline.add_scores(0, np.arange(25.0), -np.arange(25.0))
    timeline.add_frames(0, np.stack((np.arange(25.0), 2 * np.arange(25.0)), axis=1).astype(np.float32))
    first, error, score, spectrogram = timeline.view()
    assert first == 0
    assert error.tolist() == [9, 19, 24]
    assert score.tolist() == [0, -10, -20]
    np.testing.assert_allclose(spectrogram, 10 * np.log10([[4.5, 9], [14.5, 29], [22, 44]]), rtol=1e-6)


def test_silence_is_drawn_as_the_quietest_there_is() -> None:
    timeline = Timeline(2, HOP_S)
    timeline.add_frames(0, np.zeros((10, 2), np.float32))
    np.testing.assert_allclose(timeline.view()[3], 10 * math.log10(QUIETEST))


def test_frames_that_come_to_a_slot_that_was_seen_already_change_its_mean() -> None:
    timeline, power = Timeline(3, HOP_S), random_power(10, 3)
    timeline.add_frames(0, power[:4])
    np.testing.assert_allclose(timeline.view()[3], [decibels(power[:4])], rtol=1e-5)
    timeline.add_frames(4, power[4:])
    np.testing.assert_allclose(timeline.view()[3], [decibels(power)], rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    total=st.integers(1, 1500),
    cuts=st.lists(st.integers(1, 900), min_size=1, max_size=4),
    hop_s=st.sampled_from([0.01, 0.02, 512 / 16000, 160 / 22050, 0.25]),
)
def test_any_portions_give_the_same_slots(total: int, cuts: list[int], hop_s: float) -> None:
    first, error, score, spectrogram = filled(total, cuts, hop_s=hop_s).view()
    slot_s = Timeline(3, hop_s).slot_s
    slots = slots_of(total, hop_s, slot_s)
    wanted = range(max(0, slots[-1] + 1 - SLOTS), slots[-1] + 1)
    errors, scores = random_scores(total)
    power = random_power(total, 3)
    assert first == wanted.start
    np.testing.assert_array_equal(error, highest(slots, errors, wanted))
    np.testing.assert_array_equal(score, highest(slots, scores, wanted))
    expected = [decibels(power[slots == slot]) if (slots == slot).any() else [np.nan] * 3 for slot in wanted]
    np.testing.assert_allclose(spectrogram, expected, rtol=1e-4, atol=1e-3)


def test_a_slot_is_a_tenth_of_a_second_or_a_hop_where_that_is_longer() -> None:
    assert Timeline(3, 0.01).slot_s == 0.1
    assert Timeline(3, 0.25).slot_s == 0.25
    assert filled(7, [2], hop_s=0.25).view()[1].shape == (7,)


@pytest.mark.parametrize("cuts", [[1], [97], [2500], [20_000]])
def test_after_a_minute_the_oldest_makes_room(cuts: list[int]) -> None:
    total = 14_237
    first, error, score, spectrogram = filled(total, cuts).view()
    assert first == 1424 - SLOTS
    errors, scores = random_scores(total)
    slots = slots_of(total, HOP_S, 0.1)
    np.testing.assert_array_equal(error, highest(slots, errors, range(first, 1424)))
    np.testing.assert_array_equal(score, highest(slots, scores, range(first, 1424)))
    power = random_power(total, 3)
    np.testing.assert_allclose(spectrogram[0], decibels(power[slots == first]), rtol=1e-4)
    np.testing.assert_allclose(spectrogram[-1], decibels(power[slots == 1423]), rtol=1e-4)


def test_a_minute_at_once_is_a_whole_minute_whatever_the_hop() -> None:
    at_once, pieced = (filled(1880, cuts, hop_s=512 / 16000).view() for cuts in ([1880], [100]))
    np.testing.assert_array_equal(at_once[1], pieced[1])


def test_scores_that_come_later_than_their_frames_find_their_slots() -> None:
    """A window is complete ten frames after its own."""
    timeline = Timeline(1, HOP_S)
    timeline.add_frames(0, np.ones((200, 1), np.float32))
    timeline.add_scores(0, np.ones(100), np.full(100, 2.0))
    first, error, score, spectrogram = timeline.view()
    assert (first, len(error)) == (0, 20)
    assert (error[:10] == 1).all()
    assert np.isnan(error[10:]).all()
    assert (score[:10] == 2).all()
    assert np.isnan(score[10:]).all()
    assert (spectrogram == 0).all()


def test_what_belongs_to_slots_that_have_gone_is_not_put_in_newer_ones() -> None:
    timeline = Timeline(1, HOP_S)
    timeline.add_frames(0, np.ones((10 * SLOTS + 50, 1), np.float32))
    timeline.add_scores(0, np.full(50, 99.0), np.full(50, 99.0))
    assert np.isnan(timeline.view()[1]).all()
    timeline.add_frames(0, np.full((50, 1), 99.0, np.float32))
    assert (timeline.view()[3] == 0).all()


def test_a_gap_in_the_sound_stays_a_gap() -> None:
    """What was in the ring's slots a minute ago does not show through it."""
    timeline = filled(10 * SLOTS, [500])
    later = 10 * SLOTS + 1000
    timeline.add_frames(later, random_power(10, 3))
    timeline.add_scores(later, np.ones(10), np.ones(10))
    first, error, _, spectrogram = timeline.view()
    assert first == 101
    assert np.isnan(error[-101:-1]).all()
    assert np.isnan(spectrogram[-101:-1]).all()
    assert not np.isnan(error[: SLOTS - 101]).any()
    assert error[-1] == 1


def test_a_slot_without_a_score_shows_none_and_a_missing_score_hides_no_other() -> None:
    timeline = Timeline(1, HOP_S)
    timeline.add_scores(0, np.array([1.0] * 20), np.array([np.nan] * 15 + [3.0] * 5))
    _, error, score, _ = timeline.view()
    assert error.tolist() == [1, 1]
    assert np.isnan(score[0])
    assert score[1] == 3


def test_a_view_does_not_change_afterwards() -> None:
    """A snapshot is immutable: the timeline goes on without it."""
    timeline = filled(100, [100])
    before = [np.copy(part) for part in timeline.view()]
    seen = timeline.view()
    timeline.add_scores(100, np.full(9000, 7.0), np.full(9000, 7.0))
    timeline.add_frames(100, np.zeros((9000, 3), np.float32))
    for a, b in zip(seen, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_memory_does_not_grow() -> None:
    def held(timeline: Timeline) -> int:
        return sum(value.nbytes for value in vars(timeline._lines).values() if isinstance(value, np.ndarray))

    timeline = Timeline(3, HOP_S)
    before = held(timeline)
    assert before > 0
    for start in range(0, 100_000, 1000):
        timeline.add_frames(start, np.zeros((1000, 3), np.float32))
        timeline.add_scores(start, np.zeros(1000), np.zeros(1000))
    assert held(timeline) == before
    assert not [value for value in vars(timeline).values() if isinstance(value, (list, dict, set))]


@settings(max_examples=30, deadline=None)
@given(
    firsts=st.lists(st.integers(0, 7000), min_size=1, max_size=4),
    sizes=st.lists(st.integers(1, 120), min_size=1, max_size=4),
    together=st.booleans(),
)
def test_streams_are_kept_together_as_each_would_be_alone(firsts: list[int], sizes: list[int], together: bool) -> None:
    """Whether they began at the same time, or each at its own."""
    firsts = [firsts[0]] * len(firsts) if together else firsts
    lines, streams = Timelines(len(firsts), 3, HOP_S), np.arange(len(firsts))
    alone, position = [Timeline(3, HOP_S) for _ in firsts], np.array(firsts)
    for number, size in enumerate(sizes):
        power = random_power(size * len(firsts), 3, number).reshape(len(firsts), size, 3)
        values = np.random.default_rng(number).random((4, len(firsts), size))
        lines.add_frames(streams, position, power)
        lines.add_highest(streams, position, size, lambda hops, values=values: [hops.highest(one) for one in values])
        for i, one in enumerate(alone):
            one.add_frames(int(position[i]), power[i])
            one.add_scores(int(position[i]), values[0, i], values[1, i], values[2:, i].T)
        position = position + size + 700 * (number % 2)  # with a gap now and then, longer than the minute in all
    for i, one in enumerate(alone):
        for found, expected in zip((*lines.view(i), *lines.levels(i)), (*one.view(), *one.levels()), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-6)
