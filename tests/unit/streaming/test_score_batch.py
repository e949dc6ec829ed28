"""Scores from power mel frames, as calibration computes them, are as defined and equal to those from samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.bundle.bundle import Bundle
from monitor.streaming.portion import Portion, joined
from monitor.streaming.score_batch import ScoreBatch
from monitor.streaming.stream_batch import StreamBatch
from support.backends import BACKENDS, compute
from support.builders import noise, pieces, small_bundle, small_config
from support.oracle import Expected, expected_of_frames

BUNDLES = {
    size: small_bundle(small_config(f"features.window_frames={size}", "features.n_mels=8")) for size in (2, 4, 20, 32)
}
# A machine with two operating modes, one that clicks, and one with all that a machine can have.
MACHINES = {
    name: small_bundle(small_config("features.n_mels=8"), **what)
    for name, what in (
        ("modes", {"modes": 2}),
        ("impulses", {"rhythm": True, "peaks": True}),
        ("all", {"modes": 3, "rhythm": True, "peaks": True}),
    )
}


def random_frames(total: int, n_mels: int = 8, *, streams: int = 1, seed: int = 0) -> np.ndarray:
    """Random power mel frames of very different magnitudes: (streams, total, n_mels)."""
    return (10 ** np.random.default_rng(seed).uniform(-8, 2, (streams, total, n_mels))).astype(np.float32)


def scored(bundle: Bundle, frames: np.ndarray, cuts: Sequence[int], name: str = "numpy") -> Portion:
    """All results of one stream of frames (T, n_mels) that are pushed in pieces."""
    batch, whole = ScoreBatch(bundle, compute=compute(name)), None
    for part in pieces(len(frames), cuts):
        [portion] = batch.push(frames[None, part]).portions()
        whole = portion if whole is None else joined(whole, portion)
    [ending] = batch.flush().portions()
    return ending if whole is None else joined(whole, ending)


def assert_as_defined(found: Portion, expected: Expected) -> None:
    for name in ("rows", "means", "error", "rolling_error", "score"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert ours.shape == theirs.shape, name
        within = 1e-5 * np.abs(np.nan_to_num(theirs)).max(initial=0.0)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=within, equal_nan=True, err_msg=name)


@settings(max_examples=40)
@given(total=st.integers(10, 90), cuts=st.lists(st.integers(1, 40), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_windows_are_as_in_the_article_however_the_frames_are_pushed(total: int, cuts: list[int], seed: int) -> None:
    """Window t has frames t - 10 … t + 9; the ends are padded with the first ten and the last ten frames reversed."""
    frames = random_frames(total, seed=seed)[0]
    expected = expected_of_frames(BUNDLES[20], frames)
    assert len(expected.rows) == total
    for some in ([total], cuts, [1]):
        assert_as_defined(scored(BUNDLES[20], frames, some), expected)


def machine_sound(total: int, *, streams: int = 1, seed: int = 0) -> np.ndarray:
    """Frames with levels that vary little, louder for half a second at times, with clicks: (streams, total, 8)."""
    random = np.random.default_rng(seed)
    louder = np.repeat(random.integers(0, 3, (streams, total // 50 + 1)), 50, axis=1)[:, :total]
    clicks = random.random((streams, total)) < 0.1
    decibels = -35 - 12 * louder + 25 * clicks + 3 * random.standard_normal((8, streams, total))
    return (10 ** (np.moveaxis(decibels, 0, -1) / 10)).astype(np.float32)


@pytest.mark.parametrize("machine", MACHINES)
@settings(max_examples=25)
@given(total=st.integers(10, 300), cuts=st.lists(st.integers(1, 40), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_modes_intervals_and_peaks_are_as_defined_however_the_frames_are_pushed(
    machine: str, total: int, cuts: list[int], seed: int
) -> None:
    bundle, frames = MACHINES[machine], machine_sound(total, seed=seed)[0]
    expected = expected_of_frames(bundle, frames)
    for some in ([total], cuts):
        assert_as_defined(scored(bundle, frames, some), expected)


def test_the_sound_of_these_tests_has_several_modes_and_intervals_and_each_alternative_is_sometimes_the_score() -> None:
    """Otherwise the tests would not test them."""
    frames, layout = machine_sound(2000)[0], MACHINES["all"].layout
    found = scored(MACHINES["all"], frames, [2000])
    modes, intervals = (found.rows[:, columns] for columns in (layout.mode_columns, layout.impulse_column))
    assert modes.mean(axis=0).min() > 0.1
    assert np.count_nonzero(intervals) > 50
    machine = MACHINES["impulses"]
    references = {name: one for name, one in machine.references.items() if name != "peaks"}
    score = scored(machine, frames, [2000]).score[30:]
    for without in (replace(machine, references=references), replace(machine, rhythm=None)):
        assert np.mean(score > scored(without, frames, [2000]).score[30:] * 1.001) > 0.02


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("machine", MACHINES)
def test_streams_with_modes_intervals_and_peaks_are_independent_on_every_backend(machine: str, name: str) -> None:
    """Some streams are pushed more often than others, and one starts anew."""
    bundle = MACHINES[machine]
    batch, frames = ScoreBatch(bundle, 4, compute=compute(name)), machine_sound(260, streams=4, seed=3)
    done, found = [0] * 4, [[] for _ in range(4)]
    for number, (count, streams) in enumerate(
        [(37, [3, 1]), (60, [0, 1, 2, 3]), (1, [2]), (90, [2, 0, 3]), (33, [1, 3])]
    ):
        if number == 3:
            batch.reset(np.array([3]))
            done[3], found[3] = 0, []
        pushed = np.stack([frames[stream, done[stream] : done[stream] + count] for stream in streams])
        for stream, portion in zip(streams, batch.push(pushed, np.array(streams)).portions(), strict=True):
            found[stream].append(portion)
            done[stream] += count
    for stream in range(4):
        whole = found[stream][0]
        for portion in found[stream][1:]:
            whole = joined(whole, portion)
        assert_as_defined(whole, expected_of_frames(bundle, frames[stream, : done[stream]], ended=False))


@pytest.mark.parametrize("size", [2, 4, 32])
@pytest.mark.parametrize("name", BACKENDS)
def test_windows_of_other_sizes_are_padded_by_half_their_size(size: int, name: str) -> None:
    for total in (size // 2, size, 3 * size + 1):
        frames = random_frames(total, seed=size)[0]
        expected = expected_of_frames(BUNDLES[size], frames)
        for cuts in ([total], [1], [3, 7]):
            assert_as_defined(scored(BUNDLES[size], frames, cuts, name), expected)


@pytest.mark.parametrize("total", range(10))
def test_fewer_frames_than_half_a_window_give_no_score(total: int) -> None:
    for cuts in ([1], [10]):
        found = scored(BUNDLES[20], random_frames(total)[0], cuts)
        assert found.rows.shape == (0, 5 * 8 + 1)
        assert found.score.shape == (0,)


def test_a_window_of_20_frames_is_scored_nine_frames_after_its_own_frame() -> None:
    """There is no further delay: frame t + 9 completes the window of frame t."""
    batch, frames = ScoreBatch(BUNDLES[20]), random_frames(40)
    rows = [int(batch.push(frames[:, t : t + 1]).valid_rows[0]) for t in range(40)]
    assert rows == [0] * 9 + [1] * 31
    assert batch.flush().valid_rows.tolist() == [9]


def test_streams_pushed_together_have_the_scores_of_single_streams() -> None:
    frames = random_frames(57, streams=4)
    batch = ScoreBatch(BUNDLES[20], 4)
    parts = [batch.push(frames[:, part]).portions() for part in pieces(57, [8, 1, 13])]
    for stream in range(4):
        whole = parts[0][stream]
        for portions in parts[1:]:
            whole = joined(whole, portions[stream])
        assert_as_defined(whole, expected_of_frames(BUNDLES[20], frames[stream], ended=False))


@pytest.mark.parametrize("end", ["reset", "flush"])
@pytest.mark.parametrize("before", [4, 15, 50])
def test_after_a_reset_or_a_flush_scores_do_not_depend_on_earlier_frames(end: str, before: int) -> None:
    batch, frames = ScoreBatch(BUNDLES[20]), random_frames(50, seed=2)
    batch.push(random_frames(before, seed=1))
    batch.reset(np.array([0])) if end == "reset" else batch.flush()
    [portion], [ending] = batch.push(frames).portions(), batch.flush().portions()
    assert_as_defined(joined(portion, ending), expected_of_frames(BUNDLES[20], frames[0]))


def test_frames_give_the_same_scores_as_the_samples_that_they_were_computed_from() -> None:
    bundle, batch = small_bundle(), StreamBatch(small_bundle())
    samples = noise(160 * 187, seed=2)
    [beginning] = batch.push(samples[None], [0]).portions()
    expected = joined(beginning, batch.flush(0, noise(80, seed=3)))
    found = scored(bundle, expected.frames, [60, 200])
    for name in Portion._fields:
        ours, theirs = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5, equal_nan=True, err_msg=name)


def test_more_windows_than_the_network_computes_at_once_have_correct_scores() -> None:
    bundle, frames = small_bundle(), random_frames(1500, 64, streams=2)
    batch = ScoreBatch(bundle, 2)
    for stream, found in enumerate(batch.push(frames).portions()):
        assert_as_defined(found, expected_of_frames(bundle, frames[stream], ended=False))


def test_pushed_frames_are_not_changed() -> None:
    for overrides in ((), ("features.scale=power",), ("features.remove_level=true",)):
        batch, frames = ScoreBatch(small_bundle(small_config("features.n_mels=8", *overrides))), random_frames(40)
        before = frames.copy()
        result = batch.push(frames)
        assert np.array_equal(frames, before)
        assert np.array_equal(result.frames, before)
