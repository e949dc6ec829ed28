"""The scores that `evaluate --compare` compares with the model's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score

from monitor.bundle.bundle import Bundle
from support.logs import logged
from support.recordings import RememberedProgress
from train.commands.evaluate import evaluate
from train.data.feature_cache import Frames
from train.evaluation.summary import evaluation_summary


def test_the_models_score_is_that_of_evaluate_and_the_others_are_what_their_names_say(
    bundle: Bundle, data: Path, frames
) -> None:
    result = evaluate(bundle, bundle.config, data, RememberedProgress(), with_baselines=True)
    by_name = {row["score"]: row for row in result["compared"]}
    assert by_name["fused: network + spectrum"]["auc"] == pytest.approx(result["auc"])
    assert by_name["fused: network + spectrum"]["pauc"] == pytest.approx(result["pauc"])

    def level(recording: Frames) -> np.ndarray:
        return bundle.normalization()(np.array(recording.power)).mean(axis=0, dtype=np.float64)

    known, normal, anomalous = (
        np.stack([level(r) for r in frames(name)]) for name in ("train_normal", "test_normal", "test_anomaly")
    )
    tested = np.concatenate((normal, anomalous))
    truth = np.repeat([0, 1], [len(normal), len(anomalous)])
    nearest, distance = cdist(tested, known).min(axis=1), LedoitWolf().fit(known).mahalanobis(tested)
    assert by_name["no network: nearest neighbour of it"]["auc"] == pytest.approx(roc_auc_score(truth, nearest))
    plain = by_name["no network: Mahalanobis of the mean log mel"]
    assert plain["auc"] == pytest.approx(roc_auc_score(truth, distance))


def test_a_comparison_on_recordings_that_the_model_was_not_trained_on_is_logged(bundle: Bundle, data: Path) -> None:
    bundle.provenance["manifest"] = "of others"
    with logged("train") as messages:
        evaluate(bundle, bundle.config, data, RememberedProgress(), with_baselines=True)
    assert any("trained on other recordings" in message for message in messages)


@pytest.mark.parametrize(
    ("kind", "own", "spectrum", "said"),
    [
        ("fused", 0.900, 0.950, True),
        ("fused", 0.900, 0.896, True),  # within .005
        ("fused", 0.900, 0.890, False),
        ("error", 0.700, 0.900, True),
        ("spectrum", 0.900, 0.900, False),  # has no network
    ],
)
def test_where_the_spectrum_alone_is_as_good_evaluate_says_that_the_autoencoder_adds_nothing(
    kind: str, own: float, spectrum: float, said: bool
) -> None:
    rows = {kind: own, "spectrum": spectrum, "nearest neighbour": 0.99}
    compared = [
        {"kind": name, "score": name, "auc": auc, "pauc": 0.5, "auc_of_any_window": None} for name, auc in rows.items()
    ]
    metrics = {
        "score": kind, "auc": own, "pauc": 0.5, "n_normal": 4, "n_anomaly": 4, "n_too_short": 0, "threshold": 1.0,
        "threshold_method": "normal", "fpr": 0.1, "tpr": 0.9, "f1": 0.9, "compared": compared,
    }  # fmt: skip
    sentence = "The autoencoder adds nothing here: the spectrum alone is as good."
    assert (sentence in evaluation_summary(metrics)) == said
