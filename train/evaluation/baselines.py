"""Compares the score with baselines: single score parts, the reconstruction error, and scores without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.core.types import DoubleArray
from monitor.scoring.score_parts import PEAKS, SCORE_KINDS, SCORE_TITLES, measured_statistics
from monitor.scoring.scorer import Scorer
from train.calibration.observations import Observation, observe
from train.calibration.reference import fit_references
from train.calibration.rhythm_finder import FoundRhythm
from train.data.feature_cache import Frames
from train.evaluation.metrics import MAX_FPR

if TYPE_CHECKING:
    import torch

WHOLE_SCORE = "fused"  # the kind with all that is known about a machine
# From mean rows (n, mean_width), and whether they are means over whole recordings, to scores (n,).
Score = Callable[[DoubleArray, bool], DoubleArray]
AS_GOOD = 0.005  # difference of two AUCs that is not worth a network


@dataclass(frozen=True, slots=True)
class ComparisonData:
    """The recordings that a comparison needs."""

    training: Sequence[Frames]  # recordings that the autoencoder was trained on
    held_out: Sequence[Frames]  # other normal recordings to fit reference distributions to
    normal: Sequence[Frames]  # for the test
    anomalous: Sequence[Frames]  # for the test


def compare_scores(bundle: Bundle, data: ComparisonData, device: torch.device | str) -> list[dict[str, Any]]:
    """Evaluates the score and its baselines on the same recordings.

    Args:
        bundle: the model.
        data: the recordings.
        device: where the network computes.

    Returns:
        for each score its `kind` (of `score.kind`, or a name of a few letters), its full name `score`, AUC and pAUC of
        whole recordings, and AUC of any `score.window_s` of them.

    Raises:
        DataError: if there are no normal, or no anomalous recordings.
    """
    if not data.normal or not data.anomalous or not (data.training or data.held_out):
        raise DataError("A comparison needs normal recordings to learn from, and normal and anomalous ones to test.")
    # The rows of the widest kind have the statistics of all kinds.
    widest = max(SCORE_KINDS, key=lambda kind: measured_statistics(_of_kind(bundle.config, kind).score))
    full = replace(bundle, config=_of_kind(bundle.config, widest))
    reference = [
        *observe(full, data.training, device, trained=True),
        *observe(full, data.held_out, device, trained=False),
    ]
    normal = observe(full, data.normal, device, trained=False)
    anomalous = observe(full, data.anomalous, device, trained=False)
    return [
        {"kind": kind, "score": name, **_figures(score, normal, anomalous)}
        for kind, name, score in _scores(full, reference)
    ]


def network_adds_nothing(compared: Sequence[dict[str, Any]], kind: str) -> bool:
    """Whether the spectrum alone, which needs no network, has as high an AUC as the model's score, or nearly.

    Args:
        compared: the result of `compare_scores`.
        kind: the model's `score.kind`; false for one that needs no network.
    """
    auc = {row["kind"]: row["auc"] for row in compared}
    parts = SCORE_KINDS.get(kind, ())
    if kind not in auc or "spectrum" not in auc or (parts and not any(part.needs_network for part in parts)):
        return False
    return bool(auc["spectrum"] >= auc[kind] - AS_GOOD)


def _scores(bundle: Bundle, reference: Sequence[Observation]) -> list[tuple[str, str, Score]]:
    """The scores to compare, fitted on reference recordings: short name, name and score."""
    scores: list[tuple[str, str, Score]] = [
        (kind, f"{kind}: {SCORE_TITLES[kind]}", _of_scorer(bundle, reference, kind)) for kind in SCORE_KINDS
    ]
    levels = bundle.layout.level_columns  # of the mean log mel spectrum
    means = np.concatenate([o.pieces for o in reference])[:, levels]
    gaussian = LedoitWolf().fit(means)
    nearest = NearestNeighbors(n_neighbors=1).fit(means)
    return [
        *scores,
        (
            "plain Mahalanobis",
            "no network: Mahalanobis of the mean log mel",
            lambda rows, _: gaussian.mahalanobis(rows[:, levels]),
        ),
        (
            "nearest neighbour",
            "no network: nearest neighbour of it",
            lambda rows, _: nearest.kneighbors(rows[:, levels])[0][:, 0],
        ),
    ]


def _of_scorer(bundle: Bundle, reference: Sequence[Observation], kind: str) -> Score:
    config = _of_kind(bundle.config, kind)
    # What only some machines have belongs to the whole score, not to its parts.
    whole = kind == WHOLE_SCORE
    layout = bundle.layout if whole else replace(bundle.layout, peaks=False)
    rhythm = FoundRhythm(bundle.rhythm, 0.0) if whole and bundle.rhythm is not None else None
    fitted = fit_references(reference, config, layout, rhythm)
    layout = replace(layout, peaks=PEAKS.name in fitted.references)
    scorer = Scorer(config, fitted.references, bundle.usual_band_error, layout=layout, rhythm=fitted.rhythm)
    return lambda rows, whole: scorer(rows, whole_recordings=whole)


def _of_kind(config: Config, kind: str) -> Config:
    """The settings with another `score.kind`; kind `error` can have `score.window_s` 0, the other kinds cannot."""
    window_s = config.score.window_s or 2.0
    return config.model_copy(update={"score": config.score.model_copy(update={"kind": kind, "window_s": window_s})})


def _figures(score: Score, normal: Sequence[Observation], anomalous: Sequence[Observation]) -> dict[str, Any]:
    whole = _Scores(*(score(np.stack([o.whole for o in part]), True) for part in (normal, anomalous)))
    found: dict[str, Any] = {"auc": whole.auc(), "pauc": whole.auc(MAX_FPR), "auc_of_any_window": None}
    decisions = [[o.decisions for o in part if len(o.decisions)] for part in (normal, anomalous)]
    if all(decisions):
        found["auc_of_any_window"] = _Scores(*(score(np.concatenate(part), False) for part in decisions)).auc()
    return found


@dataclass(frozen=True, slots=True)
class _Scores:
    """Scores of normal and of anomalous sound."""

    normal: DoubleArray  # (n,)
    anomalous: DoubleArray  # (m,)

    def auc(self, max_fpr: float | None = None) -> float:
        """The AUC; the standardised partial AUC up to `max_fpr` if this is given."""
        truth = np.concatenate((np.zeros(len(self.normal)), np.ones(len(self.anomalous))))
        return float(roc_auc_score(truth, np.concatenate((self.normal, self.anomalous)), max_fpr=max_fpr))
