"""`monitor evaluate`: evaluates a trained model on labelled recordings."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config, Train
from monitor.core.atomic_io import require_writable
from monitor.core.errors import DataError
from monitor.core.text import counted
from monitor.model.device import listening_device
from monitor.model.precision_choice import calibration_precision
from train.commands.prepare import RecordingReader, prepare
from train.commands.progress import Progress
from train.data.discovery import LOOKED_FOR, Recordings, find_recordings
from train.data.feature_cache import FeatureCache, Frames, cache_folder, manifest_digest
from train.data.frame_scale import compare_scale
from train.data.known_recordings import known_recordings
from train.evaluation import plots as pictures
from train.evaluation.alarm_simulation import SimulatedStreams, simulate_alarms
from train.evaluation.baselines import ComparisonData, compare_scores
from train.evaluation.metrics import labelled, metrics

log = logging.getLogger(__name__)


def evaluate(
    bundle: Bundle,
    config: Config,
    data: Path,
    progress: Progress,
    plots: Path | None = None,
    *,
    streams: SimulatedStreams | None = None,
    with_baselines: bool = False,
) -> dict[str, Any]:
    """Scores the test recordings of a data set, and measures how well normal and anomalous ones are separated.

    Args:
        bundle: the model.
        config: settings of the device, the precision, the cache, and the alarm.
        data: the data set; of a folder without test recordings all recordings are scored.
        progress: shows the progress.
        plots: folder for plots, if wanted.
        streams: extent of the alarm simulation, if wanted.
        with_baselines: whether to compare the score with baselines, too.

    Returns:
        the metrics, as in metrics.json, with `compared` and `streams` if wanted.

    Raises:
        DataError: if there is no recording to test on.
    """
    device = listening_device(config.train.device)
    bundle = replace(bundle, precision=calibration_precision(config.listening.precision, bundle.precision))
    if plots is not None:
        require_writable(plots, "choose another folder with --plots.")
    found = find_recordings(data)
    found.log_unused()
    if with_baselines:
        _require_for_comparison(found)
    normals = found.test_normal
    if not normals and not found.test_anomaly:
        normals = found.train_normal
    if streams is not None and not normals:
        raise DataError(f"{data}: --stream needs normal recordings, and there are none: add them, or leave it out.")
    cache = FeatureCache(bundle.config.features, cache_folder(config))
    reader = RecordingReader(cache, progress, len(normals) + len(found.test_anomaly))
    normal, anomalous = reader.read(normals), reader.read(found.test_anomaly)
    if not normal and not anomalous:
        raise DataError(f"{data}: no recording there that can be evaluated. Looked for {LOOKED_FOR}.")
    compare_scale(bundle, normal or anomalous)
    if known := known_recordings(normal, bundle.provenance.get("contents")):
        log.warning(
            "The model was trained on %d of the %s, such as %s: their scores are lower than those of others.",
            len(known),
            counted(len(normal), "normal recording"),
            known[0].path,
        )
    files = labelled(bundle, found, [(f, False) for f in normal] + [(f, True) for f in anomalous], device)
    result = metrics(bundle, files)
    for file in files:
        if math.isnan(file.recording.score):
            log.warning("Not scored: %s: too short, or louder than can be computed with.", file.recording.frames.path)
    if with_baselines:
        training, held_out = _training_recordings(bundle, config, data, progress)
        result["compared"] = compare_scores(bundle, ComparisonData(training, held_out, normal, anomalous), device)
    if streams is not None:
        in_force = replace(bundle, config=bundle.config.model_copy(update={"alarm": config.alarm}))
        result["streams"] = simulate_alarms(
            in_force, normal, anomalous, device, hours=streams.hours, fault_s=streams.fault_s, faults=streams.faults,
            advance=lambda share: progress.doing("Simulating alarms", share),
        )  # fmt: skip
    if plots is not None:
        pictures.evaluation_plots(bundle, files, result, plots)
    return result


def _require_for_comparison(found: Recordings) -> None:
    """Checks that there is what a comparison needs, before anything is scored."""
    missing = [
        what
        for what, recordings in (
            ("normal recordings to learn from (train)", found.train_normal),
            ("normal test recordings", found.test_normal),
            ("anomalous test recordings", found.test_anomaly),
        )
        if not recordings
    ]
    if missing:
        raise DataError(f"{found.root}: --compare needs {' and '.join(missing)}: add them, or leave it out.")


def _training_recordings(
    bundle: Bundle, config: Config, data: Path, progress: Progress
) -> tuple[Sequence[Frames], Sequence[Frames]]:
    """The recordings that the autoencoder was trained on, and the held-out ones, split as in the training.

    If it was trained on other recordings, the first list is empty.
    """
    train = Train.model_validate(bundle.provenance.get("train", {}))
    train = train.model_copy(update={"cache_dir": config.train.cache_dir, "device": config.train.device})
    prepared = prepare(bundle.config.model_copy(update={"train": train}), data, progress)
    if manifest_digest(prepared.training) == bundle.provenance.get("manifest"):
        return prepared.training, prepared.held_out
    log.warning("The model was trained on other recordings: here all count as ones that it was not trained on.")
    return [], [*prepared.training, *prepared.held_out]
