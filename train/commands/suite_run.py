"""One training and evaluation of a suite. Its result is kept, and used again while nothing has changed.

Two digests say what was computed from what: that of the weights (recordings, settings of the training, the part of the
program that trains), and that of the result (all settings, the extent of the simulation, the program). If only the
second one has changed, as by another way to score, the trained weights are used again.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import monitor
import train as training_package
from monitor.bundle.bundle_io import load_bundle
from monitor.config.schema import Config
from monitor.core.errors import DataError
from train.commands.evaluate import evaluate
from train.commands.model_files import write_json
from train.commands.progress import Progress
from train.commands.train import BUNDLE_FILE, CHECKPOINT_FILE, train
from train.data.discovery import Recordings, find_recordings
from train.data.feature_cache import FeatureCache, cache_folder
from train.evaluation.alarm_simulation import SimulatedStreams

RESULT_FILE = "result.json"
# What the weights of an autoencoder depend on, as prefixes of the paths of modules.
TRAINING_CODE = (
    "monitor/audio/", "monitor/core/", "monitor/features/", "monitor/model/",
    "train/data/", "train/fitting/", "train/commands/prepare", "train/commands/train",
)  # fmt: skip
# What no figure depends on.
OTHER_CODE = (
    "monitor/api/", "monitor/bench/", "monitor/cli/", "monitor/dashboard/", "monitor/guide/", "monitor/outputs/",
    "monitor/runtime/", "monitor/sources/",
    "train/bench/", "train/demo/", "train/evaluation/plots", "train/evaluation/suite", "train/evaluation/summary",
    "train/commands/progress", "train/commands/suite.",
)  # fmt: skip
NOT_TRAINED_BY = {"cache_dir", "device", "memory_gb"}  # settings of the group train that change no weights


def run_once(config: Config, data: Path, folder: Path, streams: SimulatedStreams, progress: Progress) -> dict[str, Any]:
    """Trains and evaluates a model, or returns the result that is kept in its folder.

    Args:
        config: settings of the training.
        data: the data set.
        folder: where the model and its result are kept.
        streams: extent of the alarm simulation.
        progress: shows the progress.

    Returns:
        the result of `train.commands.evaluate.evaluate`, with comparison and alarm simulation as far as the test
        recordings allow.

    Raises:
        MonitorError: if the recordings do not suffice, or something cannot be written.
    """
    found = find_recordings(data)
    if not found.test_normal and not found.test_anomaly:
        raise DataError(f"{data}: has no test recordings: put them into test_normal/ and test_anomaly/.")
    weights, result = _digests(config, found, streams)
    file, checkpoint = folder / RESULT_FILE, folder / CHECKPOINT_FILE
    kept = _read(file)
    if kept.get("digest") == result and "result" in kept:
        return dict(kept["result"])
    if kept.get("weights") != weights:
        checkpoint.unlink(missing_ok=True)
        write_json(file, {"weights": weights})  # so that the training can be resumed if it is interrupted
    train(config, data, folder, progress, resume=checkpoint.exists(), keep_checkpoint=True)
    metrics = evaluate(
        load_bundle(folder / BUNDLE_FILE),
        config,
        data,
        progress,
        streams=streams if found.test_normal else None,
        with_baselines=bool(found.train_normal and found.test_normal and found.test_anomaly),
    )
    write_json(file, {"weights": weights, "digest": result, "result": metrics})
    return metrics


def _read(file: Path) -> dict[str, Any]:
    """What was kept; {} if there is nothing, or it cannot be read."""
    try:
        kept = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _digests(config: Config, found: Recordings, streams: SimulatedStreams) -> tuple[str, str]:
    """The digests of all that the weights, and that the result depend on."""
    cache = FeatureCache(config.features, cache_folder(config))
    lists = {name: getattr(found, name) for name in ("train_normal", "test_normal", "test_anomaly")}
    recordings = {name: [[found.name(path), _content(cache, path)] for path in paths] for name, paths in lists.items()}
    settings = config.model_dump(mode="json")
    settings["train"] = {key: value for key, value in settings["train"].items() if key not in NOT_TRAINED_BY}
    weights = _digest(
        {group: settings[group] for group in ("features", "model", "train")},
        recordings["train_normal"],
        code_digest(TRAINING_CODE),
    )
    every = {group: settings[group] for group in ("score", "calibration", "alarm")}
    extent = [streams.hours, streams.fault_s, streams.faults]
    return weights, _digest(weights, every, recordings, extent, code_digest())


def _content(cache: FeatureCache, path: Path) -> str:
    try:
        return cache.digest(path)
    except DataError:
        return "unreadable"  # it is left out, with a warning


def _digest(*facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@functools.cache
def code_digest(only: tuple[str, ...] = ()) -> str:
    """The digest of this program's modules, but for those in OTHER_CODE.

    Args:
        only: the beginnings of the paths of the modules that count, such as "monitor/audio/"; (): all.
    """
    modules = {
        f"{folder.name}/{path.relative_to(folder).as_posix()}": path
        for folder in (Path(package.__file__ or "").parent for package in (monitor, training_package))
        for path in folder.rglob("*.py")
    }
    counting = {name for name in modules if (name.startswith(only) if only else not name.startswith(OTHER_CODE))}
    return _digest([[name, hashlib.sha256(modules[name].read_bytes()).hexdigest()] for name in sorted(counting)])
