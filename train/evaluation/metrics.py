"""How well normal and anomalous recordings are told apart: AUC, pAUC, and F-score at a threshold."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from monitor.bundle.bundle import Bundle, Threshold
from train.calibration.thresholds import ScoredRecording

MAX_FPR = 0.1  # of the partial AUC, as in DCASE


@dataclass(frozen=True, slots=True)
class Labelled:
    """A scored recording and what it is."""

    name: str
    anomaly: bool
    recording: ScoredRecording

    @property
    def label(self) -> str:
        """ "anomaly" or "normal"."""
        return "anomaly" if self.anomaly else "normal"


def labels_and_scores(files: Sequence[Labelled]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Truth (n,) and scores (n,) of the recordings that have a score."""
    scored = [file for file in files if not math.isnan(file.recording.score)]
    return np.array([f.anomaly for f in scored], bool), np.array([f.recording.score for f in scored], np.float64)


def rates(anomaly: NDArray[np.bool_], scores: NDArray[np.float64], threshold: float) -> dict[str, float | None]:
    """False- and true-positive rate and F-score where a recording counts as anomalous from `threshold` on.

    A rate of no recordings is None.
    """
    flagged = scores >= threshold
    hits, alarms, total = int((flagged & anomaly).sum()), int(flagged.sum()), int(anomaly.sum())
    normals = len(anomaly) - total
    return {
        "fpr": (alarms - hits) / normals if normals else None,
        "tpr": hits / total if total else None,
        "f1": 2 * hits / (alarms + total) if total else None,
    }


def threshold_at_fpr(anomaly: NDArray[np.bool_], scores: NDArray[np.float64], fpr: float) -> float:
    """The threshold on the ROC whose false-positive rate is nearest to `fpr`: the article's working point."""
    false_positive_rates, _, thresholds = roc_curve(anomaly, scores, drop_intermediate=False)
    # Of equally near points the last: it finds the most anomalies at that rate. The first is infinity, no threshold.
    distances = np.abs(false_positive_rates[1:] - fpr)
    nearest = len(distances) - 1 - int(np.argmin(distances[::-1]))
    return float(thresholds[1:][nearest])


def labelled_threshold(bundle: Bundle, files: Sequence[Labelled]) -> Bundle:
    """The bundle with its threshold of recordings where the FPR on labelled recordings is nearest `calibration.fpr`.

    Where a recording's score is its worst moment, the threshold of a stream is the same.
    """
    anomaly, scores = labels_and_scores(files)
    fpr = bundle.config.calibration.fpr
    value = threshold_at_fpr(anomaly, scores, fpr)
    found = Threshold(
        value,
        "labelled",
        len(scores),
        sum(file.recording.seconds for file in files),
        float(rates(anomaly, scores, value)["fpr"] or 0.0),
        note=f"FPR nearest {fpr:g} on {len(scores)} labelled recordings",
        date=datetime.date.today().isoformat(),
    )
    names = ("score", "error", "recording") if bundle.config.score.recording == "max" else ("recording",)
    return replace(bundle, thresholds=bundle.thresholds | dict.fromkeys(names, found))


def metrics(bundle: Bundle, files: Sequence[Labelled]) -> dict[str, Any]:
    """What metrics.json and `evaluate --json` hold; None where a figure needs labels that are not there."""
    anomaly, scores = labels_and_scores(files)
    threshold = bundle.thresholds["recording"]
    both = anomaly.any() and not anomaly.all()
    found: dict[str, Any] = {
        "score": bundle.config.score.kind,
        "recording_score": bundle.config.score.recording,
        "auc": float(roc_auc_score(anomaly, scores)) if both else None,
        "pauc": float(roc_auc_score(anomaly, scores, max_fpr=MAX_FPR)) if both else None,
        "threshold": threshold.value,
        "threshold_method": threshold.method,
        **rates(anomaly, scores, threshold.value),
        "n_normal": int((~anomaly).sum()),
        "n_anomaly": int(anomaly.sum()),
    }
    if both:
        fpr = bundle.config.calibration.fpr
        value = threshold_at_fpr(anomaly, scores, fpr)
        found["at_fpr"] = {"wanted": fpr, "threshold": value, **rates(anomaly, scores, value)}
    found["stream_threshold"] = bundle.thresholds["score"].value
    found["files"] = [
        {"path": f.name, "label": f.label, "score": None if math.isnan(f.recording.score) else f.recording.score}
        for f in files
    ]
    return found
