"""What `monitor evaluate` and `monitor calibrate` do with a finished model and recordings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config, Train
from monitor.core.errors import DataError
from monitor.core.atomic_io import require_writable
from monitor.model.autoencoder import choose_device
from train.calibration import thresholds as calibration
from train.evaluation import plots as report
from train.evaluation.baselines import Material, compare
from train.data.discovery import LOOKED_FOR, find_recordings, normal_files
from train.evaluation.metrics import metrics
from train.data.feature_cache import FrameCache, Frames, cache_folder, manifest_digest
from train.commands.train import Progress, Reader, labelled, now, prepare
from train.evaluation.alarm_simulation import measure_streams


@dataclass(frozen=True, slots=True)
class Streams:
    """How long to listen to streams of the test recordings."""

    hours: float = 24.0  # of normal sound
    fault_s: float = 60.0
    faults: int = 300


def evaluate(
    bundle: Bundle,
    config: Config,
    data: Path,
    progress: Progress,
    plots: Path | None = None,
    *,
    streams: Streams | None = None,
    beside_others: bool = False,
) -> dict[str, Any]:
    """Scores a data set's test recordings (all of them, where it is just a folder) and says how well it goes.

    Args:
        streams: what the alarms do on streams made of the recordings, too.
        beside_others: the score beside other ways to score, too.

    Raises:
        DataError: if there is nothing to test on.
    """
    device = choose_device(config.train.device)
    if plots is not None:
        require_writable(plots, "choose another folder with --plots.")
    found = find_recordings(data)
    normals = found.test_normal
    if not normals and not found.test_anomaly:
        normals = found.train_normal
    cache = FrameCache(bundle.config.features, cache_folder(config))
    reader = Reader(cache, progress, len(normals) + len(found.test_anomaly))
    normal, anomalous = reader.read(normals), reader.read(found.test_anomaly)
    if found.unlabelled:
        progress.say(f"{len(found.unlabelled)} recordings have neither normal nor anomaly in their names: left out.")
    if not normal and not anomalous:
        raise DataError(f"{data}: no recording there that can be evaluated. Looked for {LOOKED_FOR}.")
    files = labelled(bundle, found, [(f, False) for f in normal] + [(f, True) for f in anomalous], device)
    result = metrics(bundle, files)
    for file in files:
        if math.isnan(file.recording.score):
            progress.say(f"Not scored: {file.recording.frames.path}: too short, or beyond all measure.")
    if beside_others:
        training, held_out = _learnt_from(bundle, config, data, progress)
        result["compared"] = compare(bundle, Material(training, held_out, normal, anomalous), device)
    if streams is not None:
        in_force = replace(bundle, config=bundle.config.model_copy(update={"alarm": config.alarm}))
        result["streams"] = measure_streams(
            in_force, normal, anomalous, device, hours=streams.hours, fault_s=streams.fault_s, faults=streams.faults,
            advance=lambda share: progress.doing("Listening", share),
        )  # fmt: skip
    if plots is not None:
        report.pictures(bundle, files, result, plots)
    return result


def _learnt_from(
    bundle: Bundle, config: Config, data: Path, progress: Progress
) -> tuple[Sequence[Frames], Sequence[Frames]]:
    """The recordings that the autoencoder was trained on, and other normal ones: the same split as in training."""
    train = Train.model_validate(bundle.provenance.get("train", {}))
    train = train.model_copy(update={"cache_dir": config.train.cache_dir, "device": config.train.device})
    prepared = prepare(bundle.config.model_copy(update={"train": train}), data, progress)
    if manifest_digest(prepared.training) == bundle.provenance.get("manifest"):
        return prepared.training, prepared.held_out
    progress.say("The model was trained on other recordings: these are compared as ones that it does not know.")
    return [], [*prepared.training, *prepared.held_out]


def calibrate(
    bundle: Bundle, config: Config, normal: Sequence[Path], progress: Progress, *, relearn: bool = False
) -> Bundle:
    """The bundle with new thresholds from normal recordings; with `relearn` also with what is normal.

    Raises:
        DataError: if none of them can be used, or there are too few.
    """
    cache = FrameCache(bundle.config.features, cache_folder(config))
    files = normal_files(normal)
    recordings = Reader(cache, progress, len(files)).read(files, training=True)
    if not recordings:
        raise DataError("None of these recordings can be used to calibrate.")
    return calibrated_on(bundle, config, recordings, relearn=relearn)


def calibrated_on(bundle: Bundle, config: Config, recordings: list[Frames], *, relearn: bool = False) -> Bundle:
    """The bundle with new thresholds from these normal recordings, and a note of it in its provenance."""
    settings = bundle.config.model_copy(update={"calibration": config.calibration, "alarm": config.alarm})
    device = choose_device(config.train.device)
    calibrated = calibration.calibrate(replace(bundle, config=settings), recordings, device, relearn=relearn)
    this = {"date": now(), "manifest": manifest_digest(recordings), "relearnt": relearn}
    history = [*bundle.provenance.get("calibrations", []), this]
    return replace(calibrated, provenance=bundle.provenance | {"calibrations": history})
