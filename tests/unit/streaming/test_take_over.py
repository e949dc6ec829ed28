"""A stream that goes on with another model is scored as if it had been scored with that model from its beginning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.bundle.bundle import Bundle
from monitor.model.network import ON_CPU, Compute
from monitor.streaming.hops import HopCutter
from monitor.streaming.recent_frames import RecentFrames, can_follow, frames_to_hear_again
from monitor.streaming.stream_batch import StreamBatch
from support.backends import BACKENDS, compute
from support.builders import RATE, noise, pieces, small_bundle, small_config

KINDS = {
    "one mode": (small_bundle(seed=1), small_bundle(seed=2)),
    "other modes": (small_bundle(seed=1), small_bundle(seed=2, modes=2)),
    "peaks": (small_bundle(seed=1, peaks=True), small_bundle(seed=2, peaks=True)),
    "rhythm": (small_bundle(seed=1, rhythm=True), small_bundle(seed=2, rhythm=True, peaks=True)),
    "no rhythm any more": (small_bundle(seed=1, rhythm=True), small_bundle(seed=2)),
}

CUTS = st.lists(st.integers(60, 900), min_size=1, max_size=4)


def listened(
    before: Bundle, after: Bundle, sound: np.ndarray, moment: int, cuts: list[int], on: Compute = ON_CPU
) -> np.ndarray:
    """The scores of a sound (n,), of which the part before `moment` was scored with another model, cut as `cuts`."""
    old, new = StreamBatch(before, 3, compute=on), StreamBatch(after, 2, compute=on)
    recent = RecentFrames(frames_to_hear_again(before), 64)
    cutter, found = HopCutter(before.config.features.hop_length), []
    new.push(noise(40 * 160, streams=1, seed=9), [1])  # by a stream that was in the same place before
    new.recentre({part.name: np.ones(part.size(64)) for part in new._scores.scorer.parts}, 1)
    for part in pieces(moment, cuts):
        hops = cutter.push(sound[part])
        [portion] = old.push(hops[None], [2]).portions()
        recent.push(portion.frames[None], np.zeros(1, np.int64))
        found.append(portion.score)
    new.take_over(1, old, 2, recent.newest())
    for part in pieces(len(sound) - moment, cuts):
        hops = cutter.push(sound[moment:][part])
        found.append(new.push(hops[None], [1]).portions()[0].score)
    return np.concatenate([*found, new.flush(1, cutter.remainder).score])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5)
@given(moment=st.integers(0, RATE), cuts=CUTS)
def test_each_score_after_the_exchange_is_that_of_the_new_model_alone(kind: str, moment: int, cuts: list[int]) -> None:
    before, after = KINDS[kind]
    sound = noise(RATE + RATE // 5, seed=3)
    alone, cutter = StreamBatch(after), HopCutter(160)
    [whole] = alone.push(cutter.push(sound)[None], [0]).portions()
    expected = np.concatenate((whole.score, alone.flush(0, cutter.remainder).score))
    found = listened(before, after, sound, moment, cuts)
    assert len(found) == len(expected)
    scored_before = max(0, moment // 160 - 1 - 9)  # whose windows were complete
    assert np.allclose(found[scored_before:], expected[scored_before:], rtol=1e-4, equal_nan=True)


@pytest.mark.parametrize("where", BACKENDS)
def test_a_stream_goes_on_in_the_same_way_on_a_device_with_its_own_memory(where: str) -> None:
    before, after = KINDS["peaks"]
    sound, moment = noise(RATE, seed=4), 11 * RATE // 16
    expected = listened(before, after, sound, moment, [480])
    found = listened(before, after, sound, moment, [480], compute(where))
    assert np.allclose(found, expected, rtol=1e-3, equal_nan=True)


def test_only_a_model_of_the_same_frames_and_means_can_follow_without_a_gap() -> None:
    one = small_bundle()
    assert can_follow(small_bundle(seed=2, modes=3), one)
    assert can_follow(small_bundle(small_config("features.channel=1")), one), "the channel is the stream's"
    for setting in ("features.n_mels=32", "features.hop_length=80", "features.fmax=null", "score.window_s=0.5"):
        assert not can_follow(replace(one, config=small_config(setting)), one)


@settings(max_examples=60)
@given(
    pushes=st.lists(
        st.tuples(st.integers(1, 8), st.lists(st.integers(0, 8), min_size=3, max_size=3), st.sets(st.integers(0, 2))),
        max_size=8,
    )
)
def test_of_each_stream_only_the_last_frames_are_kept_in_their_order(
    pushes: list[tuple[int, list[int], set[int]]],
) -> None:
    """Each push has some frames of some streams, of which only the last ones may be valid."""
    recent, expected, number = RecentFrames(5, 2, streams=3), [np.zeros((0, 2), np.float32)] * 3, 0
    for count, valid, streams in pushes:
        which = np.array(sorted(streams), np.int64)
        frames = number + np.arange(len(which) * count * 2, dtype=np.float32).reshape(len(which), count, 2)
        number += frames.size
        known = np.minimum([valid[stream] for stream in which], count).astype(np.int64)
        recent.push(frames, which, known)
        for row, stream in enumerate(which):
            expected[stream] = np.concatenate((expected[stream], frames[row, count - known[row] :]))
        for stream in range(3):
            assert np.array_equal(recent.newest(stream), expected[stream][-5:])
    recent.reset(1)
    assert not len(recent.newest(1))
    assert np.array_equal(recent.newest(2), expected[2][-5:])


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.integers(1, 4).map(lambda count: ("push", count))
        | st.sampled_from([("others", 1), ("reset", 0), ("reset", 2), ("take over", 1)]),
        max_size=30,
    )
)
def test_frames_of_streams_that_are_pushed_together_are_kept_without_a_copy_and_found_all_the_same(
    steps: list[tuple[str, int]],
) -> None:
    """Whatever comes between: other streams, gaps, streams that move here. They are looked at only at the end."""
    recent, expected, number = RecentFrames(5, 2, streams=4), [np.zeros((0, 2), np.float32)] * 4, 0
    for kind, value in steps:
        count = value if kind == "push" else 3
        frames = number + np.arange(3 * count * 2, dtype=np.float32).reshape(3, count, 2)
        number += frames.size
        if kind == "reset":
            recent.reset(value)
            expected[value] = expected[value][:0]
        elif kind == "take over":
            recent.take_over(value, frames[0])
            expected[value] = frames[0]
        else:
            which = np.array([0, 1, 2] if kind == "push" else [1, 3])
            recent.push(frames[: len(which)], which)
            for row, stream in enumerate(which):
                expected[stream] = np.concatenate((expected[stream], frames[row]))
    for stream in range(4):
        assert np.array_equal(recent.newest(stream), expected[stream][-5:])


@pytest.mark.parametrize("name", BACKENDS)
def test_streams_of_one_batch_with_models_learnt_from_one_another_are_scored_as_if_each_were_alone(name: str) -> None:
    first = small_bundle(seed=1, modes=2, peaks=True)
    references = {key: replace(one, centre=one.centre + 1) for key, one in first.references.items()}
    second, sound = replace(first, references=references, model_id="second"), noise(RATE, seed=3)
    batch = StreamBatch(first, 3, compute=compute(name))
    batch.use(second, 1)
    offsets = {part.name: np.full(part.size(64), 0.5) for part in batch._scores.scorer.parts}
    batch.recentre(offsets, 1)
    found = batch.push(np.stack([sound] * 3), [0, 1, 2]).portions()
    for model, number in ((first, 0), (second, 1), (first, 2)):
        alone = StreamBatch(model)
        if number == 1:
            alone.recentre(offsets, 0)
        [expected] = alone.push(sound[None], [0]).portions()
        assert np.allclose(found[number].score, expected.score, rtol=1e-3, equal_nan=True)
        row = expected.means[-1]
        assert np.allclose(batch.shares(row, number)[0], alone.shares(row, 0)[0], rtol=1e-4, atol=1e-6)
    batch.use(first, 1)
    batch.reset([1])
    [again] = batch.push(sound[None], [1]).portions()
    assert np.allclose(again.score, found[0].score, rtol=1e-3, equal_nan=True), (
        "the model of the batch, without offsets"
    )
