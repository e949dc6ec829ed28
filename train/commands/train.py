"""`monitor train`: trains a model on recordings, and writes it into a folder."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import monitor
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.atomic_io import remove_leftovers, require_writable, write_atomically
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.text import counted, duration_text
from monitor.core.types import FloatArray
from monitor.features.mel import require_filled_bands
from monitor.features.normalization import Normalization
from monitor.model.autoencoder import Autoencoder, weights_of
from monitor.model.cuda_transfer import TorchBackend
from monitor.model.device import choose_device
from monitor.model.int8_network import required_library
from monitor.model.precision_choice import calibration_precision
from train.calibration.calibrate import calibrate_new
from train.calibration.thresholds import TOO_LITTLE_S
from train.commands.folders import removed_on_failure
from train.commands.model_files import now, save_over, write_json
from train.commands.prepare import Prepared, prepare
from train.commands.progress import NoProgress, Progress
from train.data.discovery import Recordings, find_recordings
from train.data.feature_cache import Frames, cache_path, manifest_digest
from train.data.frame_scale import scale_facts
from train.data.known_recordings import stored_contents
from train.data.standardization import standardization
from train.data.window_dataset import WindowDataset
from train.evaluation import plots
from train.evaluation.metrics import Labelled, labelled, labelled_threshold, metrics
from train.fitting.checkpoint import Epoch
from train.fitting.distributed import ProcessGroup
from train.fitting.loop import fit
from train.fitting.precision import step_dtype, windows_per_step
from train.fitting.process_group import process_group

BUNDLE_FILE = "model.safetensors"
CHECKPOINT_FILE = "checkpoint.safetensors"
HELD_OUT_WINDOWS = 100_000  # windows that the held-out loss is computed on, enough for a steady loss

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FittedNetwork:
    """A trained autoencoder, and how its training went."""

    model: Autoencoder
    mean: FloatArray  # (n_mels,) by which its input is standardized, with the deviation
    deviation: FloatArray
    history: Sequence[Epoch]


def train(
    config: Config,
    data: Path | Sequence[Path],
    out: Path,
    progress: Progress,
    *,
    resume: bool = False,
    keep_checkpoint: bool = False,
) -> dict[str, Any]:
    """Trains a model on the normal recordings of a data set; writes bundle, metrics, history and plots into `out`.

    If the program was started by torchrun, all its processes train together, and only the first one logs and writes.

    Args:
        config: settings of the model and the training.
        data: the data set, or several folders and recordings.
        out: folder for the results.
        progress: shows the progress.
        resume: whether to resume an interrupted training; a complete one is only calibrated anew.
        keep_checkpoint: whether the checkpoint is kept when the training is complete.

    Returns:
        the metrics, as in metrics.json; an empty dictionary in all processes except the first.

    Raises:
        MonitorError: if there is too little sound to train on, or no training to resume.
    """
    with process_group(choose_device(config.train.device)) as (group, device):
        if not group.first:
            progress = NoProgress()
            for name in ("monitor", "train"):
                logging.getLogger(name).setLevel(logging.ERROR)
        with removed_on_failure(out, cache_path(config)):
            prepared = group.read(lambda: _check_and_read(config, data, out if group.first else None, progress, resume))
            group.require_same(_work_digest(config, prepared))
            found = _train(config, prepared, out, progress, group, device, resume=resume)
        if found and not keep_checkpoint:
            (out / CHECKPOINT_FILE).unlink(missing_ok=True)
        return found


def _check_and_read(
    config: Config, data: Path | Sequence[Path], out: Path | None, progress: Progress, resume: bool
) -> Prepared:
    """Checks that the training can begin, and reads its recordings; `out` is None where another process writes."""
    require_filled_bands(config.features)
    if config.listening.precision == "int8":
        required_library()
    if out is not None:
        _check_folder(out, resume=resume)
    if config.calibration.method == "labelled":
        _require_labels(find_recordings(data))
    prepared = prepare(config, data, progress)
    prepared.found.log_unused()
    return prepared


def _check_folder(out: Path, *, resume: bool) -> None:
    """Checks that the folder for the results can be written to, and has a checkpoint if one is to be resumed from."""
    checkpoint = out / CHECKPOINT_FILE
    if resume and not checkpoint.is_file():
        if not (out / BUNDLE_FILE).exists():
            raise MonitorError(f"{out}: there is no interrupted training to resume; train without --resume.")
        raise MonitorError(f"{out}: the training there is finished; train without --resume to do it anew.")
    require_writable(out, "choose another folder with --out.")
    remove_leftovers(out)
    if checkpoint.exists() and not resume:
        log.warning("%s: an earlier training was interrupted; this one starts from the beginning.", checkpoint)


def _train(
    config: Config,
    prepared: Prepared,
    out: Path,
    progress: Progress,
    group: ProcessGroup,
    device: torch.device,
    *,
    resume: bool,
) -> dict[str, Any]:
    """Trains the model, and writes the results in the first process; the arguments and the result are `train`'s."""
    fitted = fit_network(config, prepared, out / CHECKPOINT_FILE, progress, group, device, resume=resume)
    if not group.first:
        return {}
    history = fitted.history
    bundle, files = _bundle(config, prepared, fitted, device)
    bundle = save_over(bundle, out / BUNDLE_FILE)
    lines = "".join(json.dumps(asdict(epoch)) + "\n" for epoch in history)
    write_atomically(out / "history.jsonl", lines.encode())
    found = metrics(bundle, files) | {
        "held_out_loss": history[-1].held_out_loss,
        "train_recordings": len(prepared.training),
        "held_out_recordings": len(prepared.held_out),
        "normal_seconds": _seconds([*prepared.training, *prepared.held_out], config),
    }
    write_json(out / "metrics.json", found)
    plots.loss_over_epochs(history, out / "loss.png")
    plots.evaluation_plots(bundle, files, found, out)
    return found


def fit_network(
    config: Config,
    prepared: Prepared,
    checkpoint: Path,
    progress: Progress,
    group: ProcessGroup,
    device: torch.device,
    *,
    resume: bool = False,
) -> FittedNetwork:
    """Trains an autoencoder.

    Args:
        config: settings of the model and the training.
        prepared: the recordings.
        checkpoint: file of the training so far.
        progress: shows the progress.
        group: the processes that train together.
        device: where to compute.
        resume: whether to resume from the checkpoint.
    """
    mean, deviation = standardization(prepared.training, config)
    normalization = Normalization(config.features, mean, deviation, TorchBackend(device))
    sharers = group.local_size
    training = WindowDataset(prepared.training, normalization, config, device, sharers=sharers)
    held_out = WindowDataset(
        prepared.held_out, normalization, config, device, sharers=sharers, max_windows=HELD_OUT_WINDOWS
    )
    batch = windows_per_step(config.train, len(training))
    dtype = step_dtype(config.train, batch, device)
    log.info(
        "Training on %s (%d windows%s), %d held out, on %s%s, %d windows a step, in %s.",
        counted(len(prepared.training), "recording"),
        len(training),
        "" if training.resident else ", read anew in every epoch",
        len(prepared.held_out),
        _device_name(device),
        f" in each of {group.size} processes" if group.size > 1 else "",
        batch,
        str(dtype).removeprefix("torch."),
    )
    model, history = fit(
        config,
        training,
        held_out,
        device,
        checkpoint,
        work=_work_digest(config, prepared),
        group=group,
        resume=resume,
        on_step=lambda epoch, share, loss: progress.step(epoch, config.train.epochs, share, loss),
        on_epoch=lambda epoch: progress.epoch(epoch, config.train.epochs),
    )
    return FittedNetwork(model, mean, deviation, history)


def _bundle(
    config: Config, prepared: Prepared, fitted: FittedNetwork, device: torch.device
) -> tuple[Bundle, list[Labelled]]:
    """Calibrates the trained model; returns its bundle, and the scored test recordings."""
    bundle = uncalibrated(config, prepared, fitted)
    bundle = calibrate_new(bundle, prepared.training, prepared.held_out, device)
    files = labelled(bundle, prepared.found, prepared.test, device)
    if config.calibration.method == "labelled":
        bundle = labelled_threshold(bundle, files)
    return bundle, files


def uncalibrated(config: Config, prepared: Prepared, fitted: FittedNetwork) -> Bundle:
    """The bundle of a network that has just been trained, without reference distributions and thresholds."""
    provenance = {
        "date": now(),
        "data": str(prepared.found.root.absolute()),
        "manifest": manifest_digest(prepared.training),
        "contents": stored_contents([*prepared.training, *prepared.held_out]),
        "frames": scale_facts(prepared.training, config.features),
        "recordings": len(prepared.training),
        "seconds": _seconds(prepared.training, config),
        "seed": config.train.seed,
        "train": config.train.model_dump(mode="json", exclude={"cache_dir"}),
        "held_out_loss": fitted.history[-1].held_out_loss,
        "versions": _versions(),
    }
    mean = fitted.mean
    return Bundle(
        config, weights_of(fitted.model), mean, fitted.deviation, np.ones_like(mean), {}, {}, np.empty(0),
        provenance=provenance, precision=calibration_precision(config.listening.precision),
    )  # fmt: skip


def _seconds(recordings: Sequence[Frames], config: Config) -> float:
    return round(sum(len(frames.power) for frames in recordings) * config.features.hop_s, 1)


def reason_for_doubt(metrics: dict[str, Any], config: Config, model: Path) -> str:
    """Why a trained model cannot be relied on, as a sentence with advice; "" if it can.

    Args:
        metrics: the result of `train`.
        config: settings of the training.
        model: file of the model, for the sentence.
    """
    seconds = float(metrics["normal_seconds"])
    if config.calibration.method != "normal" or seconds >= TOO_LITTLE_S:
        return ""
    return (
        f"{model}: do not rely on this model yet: {duration_text(seconds)} of normal sound are too little to set "
        "limits by. Record ten minutes or more, of all that the machine normally does, and train again."
    )


def _require_labels(found: Recordings) -> None:
    if not found.test_normal or not found.test_anomaly:
        raise ConfigError(
            "calibration.method is labelled, which needs normal and anomalous test recordings, and "
            f"{found.root} has {len(found.test_normal)} and {len(found.test_anomaly)}: "
            "add them, or calibrate from normal sound alone with --set calibration.method=normal."
        )


def _work_digest(config: Config, prepared: Prepared) -> str:
    """The digest of all data and settings that the trained weights depend on."""
    settings = [
        getattr(config, group).model_dump(mode="json", exclude={"cache_dir", "device", "memory_gb"})
        for group in ("features", "model", "train")
    ]
    parts = [
        json.dumps(settings, sort_keys=True),
        *(manifest_digest(recordings) for recordings in (prepared.training, prepared.held_out)),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _versions() -> dict[str, str]:
    names = ("torch", "torchaudio", "numpy", "soxr", "soundfile")
    own = {"monitor": monitor.__version__, "python": platform.python_version()}
    return own | {name: version(name) for name in names}


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return counted(torch.get_num_threads(), "CPU thread")
