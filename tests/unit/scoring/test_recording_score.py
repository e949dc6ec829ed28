"""The score of a recording: of its mean row, or its highest score, without the frames that are cut at the ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.bundle.bundle import Bundle
from monitor.scoring.recording_score import RecordingScore
from monitor.scoring.score_parts import SCORE_KINDS, row_width
from support.builders import pieces, small_bundle, small_config
from support.oracle import expected_score


def recording_value(bundle: Bundle, rows: np.ndarray, scores: np.ndarray, cuts: list[int]) -> float:
    config = bundle.config
    width = row_width(config.score.kind, config.features.n_mels)
    whole = RecordingScore(config.score, bundle.scorer(), width)
    for part in pieces(len(rows), cuts):
        whole.push(rows[part], scores[part])
    return whole.value()


@settings(max_examples=50)
@given(
    total=st.integers(0, 260),
    cut=st.sampled_from([0, 1, 50]),
    kind=st.sampled_from(list(SCORE_KINDS)),
    cuts=st.lists(st.integers(1, 90), min_size=1, max_size=5),
    warm_up=st.sampled_from([0, 30, 120]),
)
def test_a_recordings_score_is_that_of_its_mean_row_or_its_highest(total, cut, kind, cuts, warm_up) -> None:
    """However the rows are divided into pushes."""
    names = ("features.n_mels=4", f"score.kind={kind}", f"score.cut_frames={cut}")
    by_mean = small_bundle(small_config(*names))
    by_max = small_bundle(small_config(*names, "score.recording=max"))
    random = np.random.default_rng(total)
    rows, scores = random.random((total, row_width(kind, 4)), np.float32), random.random(total)
    scores[:warm_up] = np.nan
    left = slice(cut, max(cut, total - cut))
    mean = recording_value(by_mean, rows, scores, cuts)
    if total > 2 * cut:
        [expected] = expected_score(by_mean, rows[left].mean(axis=0, dtype=np.float64)[None], whole=True)
        assert mean == pytest.approx(expected, rel=1e-9)
    else:
        assert np.isnan(mean)
    highest = recording_value(by_max, rows, scores, cuts)
    counted = scores[left][~np.isnan(scores[left])]
    if len(counted):
        assert highest == counted.max()
    else:
        assert np.isnan(highest)


def test_fifty_frames_are_cut_at_each_end_exactly() -> None:
    """As in the article: the 50th frame from either end does not count, the 51st does."""
    bundle = small_bundle(small_config("score.kind=error", "score.cut_frames=50", "score.recording=max"))
    random = np.random.default_rng(0)
    for counts, at in ((False, 49), (True, 50), (True, 149), (False, 150)):
        scores = random.random(200)
        scores[at] = 99.0
        assert (recording_value(bundle, random.random((200, 128), np.float32), scores, [64]) == 99.0) == counts
