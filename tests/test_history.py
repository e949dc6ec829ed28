"""The last minute in slots of a tenth of a second, and the level meter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builders import noise, pieces
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.detection.timeline import SLOTS, History
from monitor.audio.level import LevelMeter

HOP_S = 0.01


def worst(slots: np.ndarray, values: np.ndarray, wanted: range) -> np.ndarray:
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


def filled(total: int, cuts: list[int], *, hop_s: float = HOP_S, n_mels: int = 3, seed: int = 0) -> History:
    history = History(n_mels, hop_s)
    error, score = random_scores(total, seed)
    levels = random_levels(total, n_mels, seed)
    for part in pieces(total, cuts):
        history.add_levels(part.start, levels[part])
        history.add_scores(part.start, error[part], score[part])
    return history


def random_levels(total: int, n_mels: int, seed: int = 0) -> np.ndarray:
    return (-80 * np.random.default_rng(seed + 1).random((total, n_mels))).astype(np.float32)


def test_nothing_heard_is_nothing_to_see() -> None:
    first, error, score, levels = History(5, HOP_S).view()
    assert (first, error.shape, score.shape, levels.shape) == (0, (0,), (0,), (0, 5))


def test_a_slot_holds_the_worst_error_and_score_and_the_mean_level_of_ten_hops() -> None:
    history = History(2, HOP_S)
    history.add_scores(0, np.arange(25.0), -np.arange(25.0))
    history.add_levels(0, np.stack((np.arange(25.0), 2 * np.arange(25.0)), axis=1).astype(np.float32))
    first, error, score, levels = history.view()
    assert first == 0
    assert error.tolist() == [9, 19, 24]
    assert score.tolist() == [0, -10, -20]
    assert levels.tolist() == [[4.5, 9], [14.5, 29], [22, 44]]


@settings(max_examples=30, deadline=None)
@given(
    total=st.integers(1, 1500),
    cuts=st.lists(st.integers(1, 900), min_size=1, max_size=4),
    hop_s=st.sampled_from([0.01, 0.02, 512 / 16000, 160 / 22050, 0.25]),
)
def test_any_portions_give_the_same_slots(total: int, cuts: list[int], hop_s: float) -> None:
    first, error, score, levels = filled(total, cuts, hop_s=hop_s).view()
    slot_s = History(3, hop_s).slot_s
    slots = slots_of(total, hop_s, slot_s)
    wanted = range(max(0, slots[-1] + 1 - SLOTS), slots[-1] + 1)
    errors, scores = random_scores(total)
    heard_levels = random_levels(total, 3)
    assert first == wanted.start
    np.testing.assert_array_equal(error, worst(slots, errors, wanted))
    np.testing.assert_array_equal(score, worst(slots, scores, wanted))
    expected = [heard_levels[slots == slot].mean(axis=0) if (slots == slot).any() else [np.nan] * 3 for slot in wanted]
    np.testing.assert_allclose(levels, expected, rtol=1e-4)


def test_a_slot_is_a_tenth_of_a_second_or_a_hop_where_that_is_longer() -> None:
    assert History(3, 0.01).slot_s == 0.1
    assert History(3, 0.25).slot_s == 0.25
    assert filled(7, [2], hop_s=0.25).view()[1].shape == (7,)


@pytest.mark.parametrize("cuts", [[1], [97], [2500], [20_000]])
def test_after_a_minute_the_oldest_makes_room(cuts: list[int]) -> None:
    total = 14_237
    first, error, score, levels = filled(total, cuts).view()
    assert first == 1424 - SLOTS
    errors, scores = random_scores(total)
    slots = slots_of(total, HOP_S, 0.1)
    np.testing.assert_array_equal(error, worst(slots, errors, range(first, 1424)))
    np.testing.assert_array_equal(score, worst(slots, scores, range(first, 1424)))
    heard_levels = random_levels(total, 3)
    np.testing.assert_allclose(levels[0], heard_levels[slots == first].mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(levels[-1], heard_levels[slots == 1423].mean(axis=0), rtol=1e-4)


def test_a_minute_at_once_is_a_whole_minute_whatever_the_hop() -> None:
    at_once, pieced = (filled(1880, cuts, hop_s=512 / 16000).view() for cuts in ([1880], [100]))
    np.testing.assert_array_equal(at_once[1], pieced[1])


def test_scores_that_come_later_than_the_levels_find_their_slots() -> None:
    """The score of a window comes ten frames after its last frame's level."""
    history = History(1, HOP_S)
    history.add_levels(0, np.zeros((200, 1), np.float32))
    history.add_scores(0, np.ones(100), np.full(100, 2.0))
    first, error, score, levels = history.view()
    assert (first, len(error)) == (0, 20)
    assert (error[:10] == 1).all()
    assert np.isnan(error[10:]).all()
    assert (score[:10] == 2).all()
    assert np.isnan(score[10:]).all()
    assert (levels == 0).all()


def test_scores_of_slots_that_have_gone_are_not_put_in_newer_ones() -> None:
    history = History(1, HOP_S)
    history.add_levels(0, np.zeros((10 * SLOTS + 50, 1), np.float32))
    history.add_scores(0, np.full(50, 99.0), np.full(50, 99.0))
    assert np.isnan(history.view()[1]).all()
    history.add_levels(0, np.full((50, 1), 99.0, np.float32))
    assert (history.view()[3] == 0).all()


def test_a_hole_in_the_sound_stays_a_hole() -> None:
    """What was in the ring's slots a minute ago does not show through it."""
    history = filled(10 * SLOTS, [500])
    later = 10 * SLOTS + 1000
    history.add_levels(later, random_levels(10, 3))
    history.add_scores(later, np.ones(10), np.ones(10))
    first, error, _, levels = history.view()
    assert first == 101
    assert np.isnan(error[-101:-1]).all()
    assert np.isnan(levels[-101:-1]).all()
    assert not np.isnan(error[: SLOTS - 101]).any()
    assert error[-1] == 1


def test_no_score_yet_is_no_score_in_its_slot_and_hides_none() -> None:
    history = History(1, HOP_S)
    history.add_scores(0, np.array([1.0] * 20), np.array([np.nan] * 15 + [3.0] * 5))
    _, error, score, _ = history.view()
    assert error.tolist() == [1, 1]
    assert np.isnan(score[0])
    assert score[1] == 3


def test_what_was_seen_stays_as_it_was_seen() -> None:
    """A snapshot is immutable: the history goes on without it."""
    history = filled(100, [100])
    before = [np.copy(part) for part in history.view()]
    seen = history.view()
    history.add_scores(100, np.full(9000, 7.0), np.full(9000, 7.0))
    history.add_levels(100, np.zeros((9000, 3), np.float32))
    for a, b in zip(seen, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_memory_does_not_grow() -> None:
    def held(history: History) -> int:
        return sum(value.nbytes for value in vars(history).values() if isinstance(value, np.ndarray))

    history = History(3, HOP_S)
    before = held(history)
    assert before > 0
    for start in range(0, 100_000, 1000):
        history.add_levels(start, np.zeros((1000, 3), np.float32))
        history.add_scores(start, np.zeros(1000), np.zeros(1000))
    assert held(history) == before
    assert not [value for value in vars(history).values() if isinstance(value, (list, dict, set))]


# The level meter


def tone(seconds: float, amplitude: float, rate: int = 16000) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * 100 * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("block", [160, 1000, 16_000])
def test_a_full_scale_sine_has_minus_3_dbfs_and_a_peak_of_0(block: int) -> None:
    meter = LevelMeter(16000)
    for part in pieces(32_000, [block]):
        meter.push(tone(2, 1.0)[part])
    assert meter.rms_dbfs == pytest.approx(-3.01, abs=0.3)
    assert meter.peak_dbfs == pytest.approx(0, abs=0.01)


def test_silence_has_no_level() -> None:
    meter = LevelMeter(16000)
    assert meter.rms_dbfs == meter.peak_dbfs == -math.inf
    meter.push(np.zeros(160, np.float32))
    assert meter.rms_dbfs == meter.peak_dbfs == -math.inf


def test_the_level_is_that_of_the_last_tenth_of_a_second_and_the_peak_is_held_for_two() -> None:
    meter = LevelMeter(16000)
    meter.push(np.concatenate((tone(1, 1.0), tone(0.1, 0.01))))
    assert meter.rms_dbfs == pytest.approx(-43.01, abs=0.1)
    assert meter.peak_dbfs == pytest.approx(0, abs=0.01)
    for _ in range(10):
        meter.push(tone(0.1, 0.01))
    assert meter.peak_dbfs == pytest.approx(0, abs=0.01)
    for _ in range(15):
        meter.push(tone(0.1, 0.01))
    assert meter.peak_dbfs == pytest.approx(-40, abs=0.1)


def test_a_negative_peak_counts_as_much() -> None:
    meter = LevelMeter(16000)
    meter.push(np.append(noise(100, amplitude=1e-3), np.float32(-0.5)))
    assert meter.peak_dbfs == pytest.approx(-6.02, abs=0.01)
