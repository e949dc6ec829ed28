"""Each lane is a stream of its own, whatever the other lanes do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import noise, small_bundle, small_config
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monitor import lanes as module
from monitor.bundle import Bundle
from monitor.lane_means import LaneMeans, to_suffixes
from monitor.lanes import Lanes
from monitor.scoring import RollingMean
from monitor.stream import Scores, ScoreStream

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
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance * largest, equal_nan=True)
    torch.testing.assert_close(scores.score, alone.score, rtol=1e-5, atol=0, equal_nan=True)


def sound(bundle: Bundle, lane: int, step: int, hops: int, *, rest: int = 0) -> Tensor:
    """Noise of a loudness that changes from step to step and from lane to lane."""
    samples = hops * bundle.config.features.hop_length + rest
    return torch.from_numpy(noise(samples, seed=100 * step + lane, amplitude=10.0 ** -((step + lane) % 4)))


@settings(max_examples=60, deadline=None)
@given(number=st.integers(0, len(SETTINGS) - 1), steps=STEPS, threads=st.sampled_from([1, 2]))
def test_a_lane_computes_what_a_stream_alone_does_whatever_the_others_do(number, steps, threads) -> None:
    bundle = BUNDLES[number]
    lanes = Lanes(bundle, COUNT, threads=threads)
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
    lanes.close()


def fields(scores: Scores) -> tuple[Tensor, Tensor, Tensor]:
    return scores.rows, scores.rolling, scores.score
