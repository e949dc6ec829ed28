"""AUC, pAUC, rates and F-score of labelled recordings, compared with independent definitions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, roc_auc_score

from support.builders import small_bundle, small_config
from train.calibration.scored_recordings import ScoredRecording
from train.data.feature_cache import Frames
from train.evaluation.metrics import Labelled, metrics, rates, threshold_at_fpr
from train.evaluation.summary import evaluation_summary

scores_of_both = st.lists(st.tuples(st.booleans(), st.integers(0, 30)), min_size=2, max_size=60).filter(
    lambda pairs: len({anomaly for anomaly, _ in pairs}) == 2
)
BUNDLE = small_bundle(small_config("score.kind=error"))  # only its settings and thresholds matter


def labelled(anomaly: bool, score: float) -> Labelled:
    """A labelled recording with a score; its frames are not used."""
    frames = Frames(Path("x.wav"), np.zeros((30, 64), np.float32), "")
    return Labelled("x.wav", anomaly, ScoredRecording(frames, score, 1.0))


def arrays(pairs: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,), True for anomalous, and scores (n,)."""
    return np.array([anomaly for anomaly, _ in pairs]), np.array([float(score) for _, score in pairs])


@given(scores_of_both)
@settings(max_examples=60, deadline=None)
def test_auc_is_the_share_of_pairs_that_are_in_order(pairs: list[tuple[bool, int]]) -> None:
    found = metrics(BUNDLE, [labelled(anomaly, float(score)) for anomaly, score in pairs])
    normal = np.array([score for anomaly, score in pairs if not anomaly])
    faulty = np.array([score for anomaly, score in pairs if anomaly])
    above = (faulty[:, None] > normal).mean() + 0.5 * (faulty[:, None] == normal).mean()
    assert found["auc"] == pytest.approx(above)
    assert found["pauc"] == pytest.approx(roc_auc_score(*arrays(pairs), max_fpr=0.1))


@given(scores_of_both, st.floats(0.01, 0.5))
@settings(max_examples=60, deadline=None)
def test_no_threshold_has_a_false_positive_rate_nearer_to_the_one_asked_for(
    pairs: list[tuple[bool, int]], wanted: float
) -> None:
    anomaly, scores = arrays(pairs)
    threshold = threshold_at_fpr(anomaly, scores, wanted)
    distance = abs((scores[~anomaly] >= threshold).mean() - wanted)
    for other in scores:
        assert abs((scores[~anomaly] >= other).mean() - wanted) >= distance - 1e-12


@given(scores_of_both, st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_the_f_score_at_a_threshold_is_that_of_scikit_learn(pairs: list[tuple[bool, int]], threshold: int) -> None:
    anomaly, scores = arrays(pairs)
    expected = f1_score(anomaly, scores >= threshold, zero_division=0)
    assert rates(anomaly, scores, threshold)["f1"] == pytest.approx(expected)


def test_recordings_that_are_too_short_to_judge_count_in_no_figure_and_short_ones_have_their_own_limit() -> None:
    limit = BUNDLE.thresholds["recording"].value
    frames = Frames(Path("x.wav"), np.zeros((30, 64), np.float32), "")

    def scored(anomaly: bool, score: float, factor: float) -> Labelled:
        return Labelled("x.wav", anomaly, ScoredRecording(frames, score, 1.0, factor))

    normal = [scored(False, 0.5 * limit, 1.0), scored(False, 3 * limit, 4.0)]
    short = [scored(False, 50 * limit, math.nan), scored(True, 50 * limit, math.nan)]
    found = metrics(BUNDLE, [*normal, *short, scored(True, 2 * limit, 1.0), scored(True, 5 * limit, 4.0)])
    assert (found["n_normal"], found["n_anomaly"], found["n_too_short"]) == (2, 2, 2)
    assert (found["fpr"], found["tpr"], found["auc"]) == (0.0, 1.0, 1.0)
    assert [one["limit"] for one in found["files"][:3]] == [limit, 4 * limit, None]
    assert "2 recordings" in next(line for line in evaluation_summary(found).splitlines() if "Too short" in line)
