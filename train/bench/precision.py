"""Measures how much the scores of recordings depend on the precision of the network."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from monitor.bench.targets import Target
from monitor.bench.timing import Section
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.core.types import DoubleArray
from monitor.scoring.recording_score import RecordingScore
from train.calibration.observations import offline_batch, portions_of
from train.data.discovery import LOOKED_FOR, find_recordings
from train.data.feature_cache import FeatureCache, Frames, cache_folder

SHARE = 0.99  # of errors and scores, which are to change by at most
PERCENT = f"{100 * SHARE:.0f} %"
MAX_ERROR_CHANGE, MAX_SCORE_CHANGE, MAX_AUC_CHANGE = 0.01, 0.03, 0.001


@dataclass(frozen=True, slots=True)
class _Scores:
    """The results in one precision."""

    error: DoubleArray  # (n,) reconstruction errors of all windows
    rolling: DoubleArray  # (n,) scores at all windows; NaN where there is none
    whole: DoubleArray  # (m,) scores of all recordings


def measure(bundle: Bundle, data: Path, config: Config) -> Section:
    """Measures how errors, scores and AUC in other precisions differ from those in float32.

    References and limits are those of the model, whatever precision they were made in. int8 is left out where
    onnxruntime is not installed.

    Args:
        bundle: the model.
        data: the data set.
        config: settings of the cache.

    Raises:
        DataError: if there is no test recording, or one cannot be used.
    """
    found = find_recordings(data)
    cache = FeatureCache(bundle.config.features, cache_folder(config))
    paths = [*found.test_normal, *found.test_anomaly]
    recordings = [cache.frames(path) for path in paths]
    if not recordings:
        raise DataError(f"{data}: no test recording there. Looked for {LOOKED_FOR}.")
    anomaly = np.array([path in set(found.test_anomaly) for path in paths])
    has_int8 = importlib.util.find_spec("onnxruntime") is not None
    names = ("float32", "bfloat16", *(["int8"] if has_int8 else []))
    scores = {name: _scores(bundle, recordings, name) for name in names}
    exact = scores["float32"]
    figures: dict[str, object] = {"recordings": len(recordings), "scores": int(np.isfinite(exact.rolling).sum())}
    lines = [f"{len(recordings)} recordings, references made in {bundle.precision}"]
    targets: list[Target] = []
    labelled = bool(anomaly.any() and not anomaly.all())
    for name in names[1:]:
        error, score = _change(scores[name].error, exact.error), _change(scores[name].rolling, exact.rolling)
        changes: dict[str, object] = {"error_change_p99": error, "score_change_p99": score}
        line = f"{name:8s} {PERCENT} of the errors change by at most {error:.2%}, of the scores by {score:.2%}"
        targets += [
            Target(f"change of the {what} in {name}, {PERCENT}", 100 * change, 100 * most, "%", at_most=True)
            for what, change, most in (("error", error, MAX_ERROR_CHANGE), ("score", score, MAX_SCORE_CHANGE))
        ]
        if labelled:
            before, after = (float(roc_auc_score(anomaly, one.whole)) for one in (exact, scores[name]))
            changes["auc"] = [before, after]
            line += f", AUC {before:.4f} -> {after:.4f}"
            targets.append(Target(f"change of the AUC in {name}", abs(after - before), MAX_AUC_CHANGE, at_most=True))
        figures[name] = changes
        lines.append(line)
    return Section(figures, lines, targets)


def _change(found: DoubleArray, exact: DoubleArray) -> float:
    """The relative difference that `SHARE` of the numbers do not exceed; NaN without numbers."""
    change = np.abs(found / exact - 1)
    change = change[np.isfinite(change)]
    return float(np.quantile(change, SHARE)) if len(change) else float("nan")


def _scores(bundle: Bundle, recordings: list[Frames], name: str) -> _Scores:
    """Scores recordings in precision `name`."""
    error, rolling, whole, scorer = [], [], [], bundle.scorer()
    with offline_batch(bundle, "cpu", name) as batch:
        for recording in recordings:
            total = RecordingScore(bundle.config.score, scorer)
            for portion in portions_of(batch, recording):
                total.push(portion.rows, portion.means, portion.score)
                error.append(portion.error)
                rolling.append(portion.score)
            whole.append(total.value())
    return _Scores(np.concatenate(error), np.concatenate(rolling), np.array(whole))
