"""The score of a recording: of its mean row, or its highest score, without the frames that are cut at the ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.bundle.bundle import Bundle
from monitor.scoring.recording_score import RecordingScore
from monitor.scoring.score_parts import SCORE_KINDS
from support.builders import pieces, small_bundle, small_config
from support.oracle import expected_score

MACHINES = {"plain": {}, "peaks": {"peaks": True}, "all": {"modes": 2, "rhythm": True, "peaks": True}}


def recording_value(bundle: Bundle, means: np.ndarray, scores: np.ndarray, cuts: list[int]) -> float:
    """The score of a recording whose rows are the first columns of its mean rows (k, mean_width)."""
    whole = RecordingScore(bundle.config.score, bundle.scorer())
    for part in pieces(len(means), cuts):
        whole.push(means[part, : bundle.layout.row_width], means[part], scores[part])
    return whole.value()


@settings(max_examples=60)
@given(
    total=st.integers(0, 260),
    cut=st.sampled_from([0, 1, 50]),
    kind=st.sampled_from(list(SCORE_KINDS)),
    machine=st.sampled_from(list(MACHINES)),
    cuts=st.lists(st.integers(1, 90), min_size=1, max_size=5),
    warm_up=st.sampled_from([0, 30, 120]),
)
def test_a_recordings_score_is_that_of_its_mean_row_or_its_highest(total, cut, kind, machine, cuts, warm_up) -> None:
    """However the rows are divided into pushes. Peaks are averaged over the rows that have them, after the warm-up."""
    names = ("features.n_mels=4", f"score.kind={kind}", f"score.cut_frames={cut}")
    machine = MACHINES[machine] if kind in ("fused", "spectrum") else {}
    by_mean = small_bundle(small_config(*names), **machine)
    by_max = small_bundle(small_config(*names, "score.recording=max"), **machine)
    random, layout = np.random.default_rng(total), by_mean.layout
    means, scores = random.random((total, layout.mean_width), np.float32), random.random(total)
    scores[:warm_up] = means[:warm_up, layout.peak_columns] = np.nan
    left = slice(cut, max(cut, total - cut))
    mean = recording_value(by_mean, means, scores, cuts)
    if total > 2 * cut:
        rows = [column[~np.isnan(column)].astype(np.float64) for column in means[left].T]
        expected_row = np.array([one.mean() if len(one) else np.nan for one in rows])
        if np.isnan(expected_row).any():  # without peaks the other parts are the score
            expected_row[layout.peak_columns] = by_mean.references["peaks"].centre
        [expected] = expected_score(by_mean, expected_row[None], whole=True)
        assert mean == pytest.approx(expected, rel=1e-9)
    else:
        assert np.isnan(mean)
    highest = recording_value(by_max, means, scores, cuts)
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
