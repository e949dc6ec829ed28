"""Measures how much bfloat16 changes the scores of recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from monitor.bench.timing import Section
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.core.types import DoubleArray
from monitor.scoring.recording_score import RecordingScore
from train.calibration.observations import offline_batch, portions_of
from train.data.discovery import LOOKED_FOR, find_recordings
from train.data.feature_cache import FeatureCache, Frames, cache_folder


def measure(bundle: Bundle, data: Path, config: Config) -> Section:
    """Measures how much bfloat16 changes the scores of test recordings and, with labels, their AUC.

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
    rolling, whole = zip(*(_scores(bundle, recordings, name) for name in ("float32", "bfloat16")), strict=True)
    change = np.abs(rolling[1] / rolling[0] - 1)
    change = change[np.isfinite(change)]
    figures: dict[str, object] = {"recordings": len(recordings), "scores": len(change)}
    lines = [f"{len(recordings)} recordings"]
    if len(change):
        figures["score_change_p99"] = worst = float(np.quantile(change, 0.99))
        lines.append(f"scores change by {worst:.2%} at most, 99 % of {len(change):,} (aim: 1 %)")
    if anomaly.any() and not anomaly.all():
        figures["auc"] = auc = [float(roc_auc_score(anomaly, scores)) for scores in whole]
        lines.append(f"AUC {auc[0]:.4f} in float32, {auc[1]:.4f} in bfloat16 (aim: within 0.001)")
    return Section(figures, lines)


def _scores(bundle: Bundle, recordings: list[Frames], name: str) -> tuple[DoubleArray, DoubleArray]:
    """The scores of all windows (n,), and of all whole recordings (m,), computed in precision `name`."""
    rolling, whole, scorer = [], [], bundle.scorer()
    with offline_batch(bundle, "cpu", name) as batch:
        for recording in recordings:
            total = RecordingScore(bundle.config.score, scorer)
            for portion in portions_of(batch, recording):
                total.push(portion.rows, portion.means, portion.score)
                rolling.append(portion.score)
            whole.append(total.value())
    return np.concatenate(rolling), np.array(whole)
