"""The score beside others on the same recordings: its parts alone, the plain error, and what needs no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.scoring.scorer import Scorer, part_of
from train.evaluation.metrics import MAX_FPR
from train.data.feature_cache import Frames
from train.calibration.reference import Observed, fit_normal, observe

Array = NDArray[np.float64]
Judge = Callable[[Array, bool], Array]  # mean rows (n, row_width), whether of whole recordings -> scores (n,)


@dataclass(frozen=True, slots=True)
class Material:
    """The recordings of a data set that a comparison needs."""

    training: Sequence[Frames]  # that the autoencoder was trained on
    held_out: Sequence[Frames]  # normal ones that it was not
    normal: Sequence[Frames]
    anomalous: Sequence[Frames]


def compare(bundle: Bundle, material: Material, device: torch.device) -> list[dict[str, Any]]:
    """AUC and pAUC of whole recordings, and AUC from any `score.window_s` of them, one row for each way to score.

    Raises:
        DataError: if there are no normal, or no anomalous recordings.
    """
    if not material.normal or not material.anomalous or not (material.training or material.held_out):
        raise DataError("A comparison needs normal recordings to learn from, and normal and anomalous ones to test.")
    full = replace(bundle, config=_of_kind(bundle.config, "fused"))
    learnt = [
        *observe(full, material.training, device, trained=True),
        *observe(full, material.held_out, device, trained=False),
    ]
    normal = observe(full, material.normal, device, trained=False)
    anomalous = observe(full, material.anomalous, device, trained=False)
    return [{"score": name, **_figures(judge, normal, anomalous)} for name, judge in _judges(full, learnt)]


def _judges(bundle: Bundle, learnt: Sequence[Observed]) -> list[tuple[str, Judge]]:
    judges: list[tuple[str, Judge]] = [
        (name, _scorer(bundle, learnt, kind))
        for name, kind in (
            ("fused: residual and spectrum", "fused"),
            ("mahalanobis: the residual", "mahalanobis"),
            ("error: the mean error", "error"),
            ("spectrum: no network", "spectrum"),
        )
    ]
    bands = bundle.config.features.n_mels
    levels = _levels(np.concatenate([o.pieces for o in learnt]), bands)
    plain = LedoitWolf().fit(levels)
    nearest = NearestNeighbors(n_neighbors=1).fit(levels)
    return [
        *judges,
        ("no network: Mahalanobis of the mean log mel", lambda rows, _: plain.mahalanobis(_levels(rows, bands))),
        ("no network: nearest neighbour of it", lambda rows, _: nearest.kneighbors(_levels(rows, bands))[0][:, 0]),
    ]


def _scorer(bundle: Bundle, learnt: Sequence[Observed], kind: str) -> Judge:
    config = _of_kind(bundle.config, kind)
    scorer = Scorer(config.score, config.features, fit_normal(learnt, config)[0], bundle.usual_band_error)
    return lambda rows, whole: scorer(torch.from_numpy(rows), whole=whole).numpy()


def _of_kind(config: Config, kind: str) -> Config:
    window_s = config.score.window_s or 2.0
    return config.model_copy(update={"score": config.score.model_copy(update={"kind": kind, "window_s": window_s})})


def _levels(rows: Array, bands: int) -> Array:
    levels: Array = part_of(torch.from_numpy(rows), "spectrum", bands).numpy()[:, :bands]
    return levels


def _figures(judge: Judge, normal: Sequence[Observed], anomalous: Sequence[Observed]) -> dict[str, Any]:
    whole = _Pair(*(judge(np.stack([o.whole for o in part]), True) for part in (normal, anomalous)))
    found: dict[str, Any] = {"auc": whole.auc(), "pauc": whole.auc(MAX_FPR), "auc_of_any_window": None}
    moments = [[o.decisions for o in part if len(o.decisions)] for part in (normal, anomalous)]
    if all(moments):
        found["auc_of_any_window"] = _Pair(*(judge(np.concatenate(part), False) for part in moments)).auc()
    return found


@dataclass(frozen=True, slots=True)
class _Pair:
    """Scores of normal and of anomalous sound."""

    normal: Array
    anomalous: Array

    def auc(self, max_fpr: float | None = None) -> float:
        truth = np.concatenate((np.zeros(len(self.normal)), np.ones(len(self.anomalous))))
        return float(roc_auc_score(truth, np.concatenate((self.normal, self.anomalous)), max_fpr=max_fpr))
