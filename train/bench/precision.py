"""What a reduced precision changes of the scores of real recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from monitor.bench.timing import Section
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.scoring.scorer import RecordingScore, row_width
from monitor.core.snapshot import FloatArray
from monitor.streaming.stream import ScoreStream
from train.calibration.thresholds import scores_of
from train.data.discovery import LOOKED_FOR, find_recordings
from train.data.feature_cache import FrameCache, Frames, cache_folder


def measure(bundle: Bundle, data: Path, config: Config) -> Section:
    """What bfloat16 changes of the scores of test recordings, and of how well they tell normal and anomalous apart.

    Raises:
        DataError: if there is none that can be used.
    """
    found = find_recordings(data)
    cache = FrameCache(bundle.config.features, cache_folder(config))
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


def _scores(bundle: Bundle, recordings: list[Frames], name: str) -> tuple[FloatArray, FloatArray]:
    """All rolling scores of recordings, and the score of each of them."""
    stream, features = ScoreStream(bundle, precision=name), bundle.config.features
    rolling, whole = [], []
    for recording in recordings:
        total = RecordingScore(bundle.config.score, bundle.scorer(), row_width(bundle.config.score, features))
        for scores in scores_of(stream, recording):
            total.push(scores.rows[0], scores.score[0])
            rolling.append(scores.score[0].numpy())
        whole.append(total.value())
    return np.concatenate(rolling), np.array(whole)
