"""Each lane is a stream of its own, whatever the other lanes do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import noise, small_bundle, small_config
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monitor.streaming import stream_batch as module
from monitor.bundle.bundle import Bundle
from monitor.scoring.rolling_mean import LaneMeans
from monitor.streaming.stream_batch import Lanes, Portions
from monitor.scoring.scorer import RollingMean, to_suffixes
from monitor.streaming.stream import Scores, ScoreStream
from monitor.model.cuda_transfer import Transfers

COUNT = 5
SETTINGS = (
    (),
    ("score.kind=error", "score.window_s=0"),
    ("score.kind=mahalanobis", "score.window_s=0.17"),
    ("features.hop_length=256",),
    ("features.n_fft=1024", "features.window_frames=6"),
    ("features.hop_length=512", "features.window_frames=2"),
    ("features.scale=power",),
)
BUNDLES = [small_bundle(small_config(*overrides), seed=number) for number, overrides in enumerate(SETTINGS)]

LANE_SETS = st.sets(st.integers(0, COUNT - 1), min_size=1).map(sorted)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), LANE_SETS, st.integers(0, 70)),
        st.tuples(st.just("push"), LANE_SETS, st.integers(1, 9)),
        st.tuples(st.just("reset"), LANE_SETS, st.just(0)),
        st.tuples(st.just("flush"), st.integers(0, COUNT - 1).map(lambda lane: [lane]), st.integers(0, 159)),
    ),
    min_size=1,
    max_size=14,
)


def agree(found: tuple[Tensor, Scores], expected: tuple[Tensor, Scores]) -> None:
    """Frames, rows, means and scores are the same but for how the order of sums rounds."""
    (frames, scores), (frames_alone, alone) = found, expected
    pairs = [(frames, frames_alone, 1e-6)]
    pairs += [(getattr(scores, name), getattr(alone, name), 1e-5) for name in ("rows", "rolling")]
    for ours, theirs, tolerance in pairs:
        assert ours.shape == theirs.shape
        largest = float(theirs.nan_to_num().abs().max()) if theirs.numel() else 0.0
        torch.testing.assert_close(ours, theirs.float(), rtol=tolerance, atol=tolerance * largest, equal_nan=True)
    torch.testing.assert_close(scores.score, alone.score, rtol=1e-5, atol=0, equal_nan=True)


def sound(bundle: Bundle, lane: int, step: int, hops: int, *, rest: int = 0) -> Tensor:
    """Noise of a loudness that changes from step to step and from lane to lane."""
    samples = hops * bundle.config.features.hop_length + rest
    return torch.from_numpy(noise(samples, seed=100 * step + lane, amplitude=10.0 ** -((step + lane) % 4)))


@settings(max_examples=60, deadline=None)
@given(number=st.integers(0, len(SETTINGS) - 1), steps=STEPS)
def test_a_lane_computes_what_a_stream_alone_does_whatever_the_others_do(number, steps) -> None:
    bundle = BUNDLES[number]
    lanes = Lanes(bundle, COUNT)
    alone = [ScoreStream(bundle) for _ in range(COUNT)]
    for step, (kind, which, amount) in enumerate(steps):
        if kind == "reset":
            lanes.reset(torch.tensor(which))
            for lane in which:
                alone[lane].reset()
        elif kind == "flush":
            rest = sound(bundle, which[0], step, 0, rest=amount)
            frames, scores = alone[which[0]].push(rest[None])
            last_frames, last = alone[which[0]].flush()
            whole = (torch.cat(pair, dim=1) for pair in zip(fields(scores), fields(last), strict=True))
            expected = torch.cat((frames, last_frames), dim=1), Scores(*whole, scores.n_mels)
            agree(lanes.flush(which[0], rest), expected)
        else:
            samples = torch.stack([sound(bundle, lane, step, amount) for lane in which])
            heard = lanes.push(samples, torch.tensor(which))
            for position, lane in enumerate(which):
                agree(heard.of(position), alone[lane].push(samples[position : position + 1]))
                missing = amount - int(heard.new_rows[position])
                assert heard.scores.rows[position, :missing].isnan().all()
                assert heard.frames[position, : amount - int(heard.new_frames[position])].isnan().all()


def fields(scores: Scores) -> tuple[Tensor, Tensor, Tensor]:
    return scores.rows, scores.rolling, scores.score


def test_a_lane_that_is_not_pushed_does_not_change() -> None:
    bundle = BUNDLES[0]
    lanes, undisturbed = Lanes(bundle, COUNT), Lanes(bundle, COUNT)
    first, other, second = (sound(bundle, 0, step, 45)[None] for step in range(3))
    for one in (lanes, undisturbed):
        one.push(first, torch.tensor([2]))
    lanes.push(other.expand(4, -1), torch.tensor([4, 0, 3, 1]))
    lanes.reset(torch.tensor([0, 3]))
    lanes.flush(4)
    found, expected = (one.push(second, torch.tensor([2])) for one in (lanes, undisturbed))
    assert torch.equal(found.scores.score, expected.scores.score)
    assert not found.scores.score.isnan().any()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("end", ["reset", "flush"])
def test_whatever_a_lane_heard_a_new_beginning_forgets_it(value: float, end: str) -> None:
    bundle = BUNDLES[0]
    lanes, alone = Lanes(bundle, 3), ScoreStream(bundle)
    broken = torch.full((1, 37 * 160), value)
    lanes.push(broken, torch.tensor([1]))
    lanes.reset(torch.tensor([1])) if end == "reset" else lanes.flush(1)
    samples = sound(bundle, 1, 1, 150)[None]
    agree(lanes.push(samples, torch.tensor([1])).of(0), alone.push(samples))


def test_one_lanes_broken_sound_is_not_in_anothers_score() -> None:
    bundle = BUNDLES[0]
    lanes, alone = Lanes(bundle, 2), ScoreStream(bundle)
    samples = sound(bundle, 0, 1, 80)[None]
    both = torch.cat((torch.full_like(samples, np.nan), samples))
    agree(lanes.push(both, torch.tensor([0, 1])).of(1), alone.push(samples))


def test_a_loud_moment_that_has_left_the_mean_leaves_nothing_behind() -> None:
    bundle = BUNDLES[0]
    length = 30
    lanes, calm = Lanes(bundle, 1), Lanes(bundle, 1)
    quiet = sound(bundle, 0, 1, 60)[None]
    for one, peak in ((lanes, 1e12), (calm, 0.1)):
        one.push(peak * quiet, torch.tensor([0]))
    rest = sound(bundle, 0, 2, 3 * length)[None]
    found, expected = (one.push(rest, torch.tensor([0])) for one in (lanes, calm))
    left = length + 22  # rows until no mean has a window, 20 frames long and two more of sound, of the loud moment
    assert torch.equal(found.scores.rolling[:, left:], expected.scores.rolling[:, left:])


def test_what_is_normal_of_one_lane_moves_for_that_lane_alone_and_outlives_a_reset() -> None:
    bundle = BUNDLES[0]
    offsets = {part: torch.rand(len(normal.centre)).double() for part, normal in bundle.normals.items()}
    lanes, moved, unmoved = Lanes(bundle, 3), ScoreStream(bundle), ScoreStream(bundle)
    lanes.recentre(2, offsets)
    moved.recentre(offsets)
    lanes.reset(torch.tensor([2]))
    samples = sound(bundle, 0, 1, 60)[None]
    heard = lanes.push(samples.expand(2, -1), torch.tensor([2, 0]))
    agree(heard.of(0), moved.push(samples))
    agree(heard.of(1), unmoved.push(samples))


def test_many_lanes_are_computed_in_groups_and_long_sounds_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ON_CPU", Portions(rows=14, hops=7, windows=5))
    bundle, which = BUNDLES[0], torch.tensor([3, 1, 4, 0, 2])
    lanes, alone = Lanes(bundle, COUNT), ScoreStream(bundle, COUNT)
    samples = torch.stack([sound(bundle, lane, 1, 60) for lane in range(COUNT)])
    heard, (_, together) = lanes.push(samples, which), alone.push(samples)
    for position in range(COUNT):
        found, expected = heard.of(position)[1].score[0], together.score[position]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=0, equal_nan=True)


class Elsewhere(Transfers):
    """As to a device that has memory of its own."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.needed = True


def test_a_device_with_memory_of_its_own_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ON_CPU", Portions(rows=100, hops=1000, windows=70))
    bundle, which = BUNDLES[0], torch.tensor([3, 1, 4])
    here, cuts = Lanes(bundle, COUNT), (50, 7, 230, 1)
    monkeypatch.setattr(module, "Transfers", Elsewhere)
    there = Lanes(bundle, COUNT)
    for step, hops in enumerate(cuts):
        samples = torch.stack([sound(bundle, lane, step, hops) for lane in which.tolist()])
        expected, found = here.push(samples, which), there.push(samples, which)
        for position in range(len(which)):
            agree(found.of(position), expected.of(position))
    agree(there.flush(3), here.flush(3))


def test_bfloat16_scores_are_within_a_hundredth_of_float32() -> None:
    bundle, which = BUNDLES[0], torch.arange(COUNT)
    samples = torch.stack([sound(bundle, lane, 1, 400) for lane in range(COUNT)])
    scores = [
        Lanes(bundle, COUNT, precision=precision).push(samples, which).scores.score[:, 60:]
        for precision in ("float32", "bfloat16")
    ]
    assert torch.quantile((scores[1] / scores[0] - 1).abs(), 0.99) < 0.01


@pytest.mark.parametrize(("samples", "which"), [(161, [0, 1]), (160, [1, 1]), (160, [0])])
def test_what_is_not_whole_hops_of_different_lanes_is_refused(samples: int, which: list[int]) -> None:
    with pytest.raises(ValueError, match="whole hops"):
        Lanes(BUNDLES[0], 2).push(torch.zeros(2, samples), torch.tensor(which))


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 30), cuts=st.lists(st.integers(0, 40), min_size=1, max_size=6), lane=st.integers(0, 6))
def test_the_mean_of_a_lane_is_that_of_a_stream_wherever_its_blocks_begin(length, cuts, lane) -> None:
    rows = torch.from_numpy(noise(sum(cuts) * 3, seed=length, amplitude=1.0)).view(1, -1, 3)
    expected = RollingMean(length, 3).push(rows)
    means = LaneMeans(length, 3, 7, Transfers(torch.device("cpu")))
    found = torch.empty_like(rows)
    start = 0
    for cut in cuts:
        part = slice(start, start + cut)
        means.push(rows[:, part], torch.tensor([lane]), found[:, part])
        start += cut
    torch.testing.assert_close(found[:, length - 1 :], expected[:, length - 1 :].float(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 3, 16, 17, 200, 211])
def test_a_block_becomes_the_sums_of_its_ends(length: int) -> None:
    blocks = torch.rand(3, length, 5, dtype=torch.float64)
    expected = torch.stack([blocks[:, row:].sum(dim=1) for row in range(length)], dim=1)
    to_suffixes(blocks)
    torch.testing.assert_close(blocks, expected, rtol=1e-13, atol=0)
