"""Metrics of labelled recordings: AUC, partial AUC, and rates and F-score at a threshold."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from monitor.bundle.bundle import Bundle
from monitor.bundle.threshold import Threshold
from monitor.core.types import BoolArray, DoubleArray
from train.calibration.scored_recordings import ScoredRecording, score_recordings
from train.data.discovery import Recordings
from train.data.feature_cache import Frames

if TYPE_CHECKING:
    import torch

MAX_FPR = 0.1  # of the partial AUC, as in DCASE


@dataclass(frozen=True, slots=True)
class Labelled:
    """A scored recording with its label."""

    name: str  # path relative to the data set
    anomaly: bool  # whether it is anomalous
    recording: ScoredRecording

    @property
    def label(self) -> str:
        """The label as text: "anomaly" or "normal"."""
        return "anomaly" if self.anomaly else "normal"


def labelled(
    bundle: Bundle, found: Recordings, test: Sequence[tuple[Frames, bool]], device: torch.device | str
) -> list[Labelled]:
    """Scores test recordings, which are given with their labels: True for anomalous."""
    scored = score_recordings(bundle, [frames for frames, _ in test], device)
    pairs = zip(scored, test, strict=True)
    return [Labelled(found.name(one.frames.path), anomaly, one) for one, (_, anomaly) in pairs]


def labels_and_scores(files: Sequence[Labelled]) -> tuple[BoolArray, DoubleArray]:
    """The labels (n,), True for anomalous, and scores (n,) of the recordings that can be judged as a whole.

    Scores of short recordings are those that recordings of usual length would have (`ScoredRecording.comparable`).
    """
    judged = [file for file in files if not math.isnan(file.recording.comparable)]
    return np.array([f.anomaly for f in judged], bool), np.array([f.recording.comparable for f in judged], np.float64)


def rates(anomaly: BoolArray, scores: DoubleArray, threshold: float) -> dict[str, float | None]:
    """The false-positive rate, true-positive rate and F-score at a threshold.

    A recording counts as anomalous if its score is at least `threshold`. A rate without recordings is None.
    """
    flagged = scores >= threshold
    hits, alarms, total = int((flagged & anomaly).sum()), int(flagged.sum()), int(anomaly.sum())
    normals = len(anomaly) - total
    return {
        "fpr": (alarms - hits) / normals if normals else None,
        "tpr": hits / total if total else None,
        "f1": 2 * hits / (alarms + total) if total else None,
    }


def threshold_at_fpr(anomaly: BoolArray, scores: DoubleArray, fpr: float) -> float:
    """The threshold on the ROC curve whose false-positive rate is nearest to `fpr`, as in the article."""
    false_positive_rates, _, thresholds = roc_curve(anomaly, scores, drop_intermediate=False)
    # Of equally near points the last one is chosen, because it has the highest true-positive rate. The first threshold
    # is infinity, and left out.
    distances = np.abs(false_positive_rates[1:] - fpr)
    nearest = len(distances) - 1 - int(np.argmin(distances[::-1]))
    return float(thresholds[1:][nearest])


def labelled_threshold(bundle: Bundle, files: Sequence[Labelled]) -> Bundle:
    """Returns the bundle with a threshold of recordings whose FPR on labelled recordings is nearest `calibration.fpr`.

    If the score of a recording is its highest window score, streams have the same threshold.
    """
    anomaly, scores = labels_and_scores(files)
    fpr = bundle.config.calibration.fpr
    value = threshold_at_fpr(anomaly, scores, fpr)
    before = bundle.thresholds["recording"]
    found = Threshold(
        value=value,
        method="labelled",
        length_s=before.length_s,
        shorter=before.shorter,
        highest=before.highest,
        recordings=len(scores),
        seconds=sum(file.recording.seconds for file in files),
        expected=float(rates(anomaly, scores, value)["fpr"] or 0.0),
        note=f"FPR nearest {fpr:g} on {len(scores)} labelled recordings",
        date=datetime.date.today().isoformat(),
    )
    names = ("score", "error", "recording") if bundle.config.score.recording == "max" else ("recording",)
    return replace(bundle, thresholds=bundle.thresholds | dict.fromkeys(names, found))


def metrics(bundle: Bundle, files: Sequence[Labelled]) -> dict[str, Any]:
    """The content of metrics.json and of `evaluate --json`; a figure is None if it needs labels that are missing."""
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
        # What the FPR would be if the normal recordings were like those that the limit is from.
        "expected_fpr": bundle.config.calibration.fpr if threshold.method == "normal" else None,
        "n_normal": int((~anomaly).sum()),
        "n_anomaly": int(anomaly.sum()),
        # They count in no other figure.
        "n_too_short": sum(math.isnan(file.recording.length_factor) for file in files),
    }
    if both:
        fpr = bundle.config.calibration.fpr
        value = threshold_at_fpr(anomaly, scores, fpr)
        found["at_fpr"] = {"wanted": fpr, "threshold": value, **rates(anomaly, scores, value)}
    found["stream_threshold"] = bundle.thresholds["score"].value
    found["files"] = [
        {
            "path": f.name,
            "label": f.label,
            "seconds": f.recording.seconds,
            "score": _finite(f.recording.score),
            "limit": _finite(threshold.value * f.recording.length_factor),
        }
        for f in files
    ]
    return found


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value
