"""What `monitor train` does, from recordings to a folder with a model."""

from __future__ import annotations

import datetime
import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import torch

import monitor
from monitor.bundle.bundle import Bundle, save_bundle
from monitor.config.schema import Config
from monitor.core.errors import ConfigError, DataError, MonitorError
from monitor.features.mel import Scale
from monitor.core.atomic_io import require_writable, write_whole
from monitor.model.autoencoder import Autoencoder, choose_device
from monitor.core.text import counted
from train.calibration import thresholds as calibration
from train.evaluation import plots as report
from train.fitting.checkpoint import Epoch
from train.data.discovery import LOOKED_FOR, Recordings, find_recordings, split
from train.evaluation.metrics import Labelled, labelled_threshold, metrics
from train.fitting.loop import fit
from train.data.feature_cache import FrameCache, Frames, cache_folder, manifest_digest, usable
from train.fitting.precision import arithmetic, windows_a_step
from train.fitting.distributed import Team, assembled
from train.data.window_dataset import WorkSet, standardization

BUNDLE_FILE = "model.safetensors"
CHECKPOINT_FILE = "checkpoint.safetensors"
HELD_OUT_WINDOWS = 100_000  # enough for a loss to be steady


class Progress(Protocol):
    """What is told while it goes on; the command line shows it, tests leave it out."""

    def say(self, text: str) -> None:
        """A line worth reading."""

    def reading(self, done: int, total: int) -> None:
        """So many recordings have been read."""

    def step(self, epoch: int, epochs: int, share: float, loss: float) -> None:
        """That share of an epoch is done, with that mean loss."""

    def epoch(self, epoch: Epoch, epochs: int) -> None:
        """An epoch is done."""

    def doing(self, what: str, share: float) -> None:
        """That share of something else is done."""


class Silence:
    """The progress of a process that leaves speaking to the first."""

    def say(self, text: str) -> None:
        """Nothing."""

    def reading(self, done: int, total: int) -> None:
        """Nothing."""

    def step(self, epoch: int, epochs: int, share: float, loss: float) -> None:
        """Nothing."""

    def epoch(self, epoch: Epoch, epochs: int) -> None:
        """Nothing."""

    def doing(self, what: str, share: float) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The frames of a data set's recordings that can be used."""

    found: Recordings
    training: list[Frames]
    held_out: list[Frames]
    test: list[tuple[Frames, bool]]  # and whether it is an anomaly


def train(config: Config, data: Path, out: Path, progress: Progress, *, resume: bool = False) -> dict[str, Any]:
    """Trains on a data set's normal recordings; leaves bundle, metrics, history and pictures in `out`.

    Started by torchrun, all its processes train together, and the first one speaks and writes.

    Returns:
        the metrics, as in metrics.json; nothing in the other processes of a team.

    Raises:
        MonitorError: if there is too little to train on, or nothing to resume.
    """
    with assembled(choose_device(config.train.device)) as (team, device):
        progress = progress if team.first else Silence()
        work = team.first_then_all(lambda: _begin(config, data, out, progress, resume=resume))
        return _train(config, work, out, progress, team, device, resume=resume)


def _begin(config: Config, data: Path, out: Path, progress: Progress, *, resume: bool) -> Prepared:
    """Sees that a training can begin, and reads its recordings."""
    checkpoint = out / CHECKPOINT_FILE
    if resume and not checkpoint.exists():
        if not (out / BUNDLE_FILE).exists():
            raise MonitorError(f"{out}: there is no interrupted training to resume; train without --resume.")
        raise MonitorError(f"{out}: the training there is finished; train without --resume to do it anew.")
    require_writable(out, "choose another folder with --out.")
    if config.calibration.method == "labelled":
        _require_labels(find_recordings(data))
    prepared = prepare(config, data, progress)
    if checkpoint.exists() and not resume:
        progress.say(f"{checkpoint}: an earlier training was interrupted; this one starts from the beginning.")
    return prepared


def _train(
    config: Config, prepared: Prepared, out: Path, progress: Progress, team: Team, device: torch.device, *, resume: bool
) -> dict[str, Any]:
    checkpoint = out / CHECKPOINT_FILE
    mean, deviation = standardization(prepared.training, config)
    scale = Scale(config.features, mean, deviation)
    training = WorkSet(prepared.training, scale, config, device, sharers=team.on_machine)
    held_out = WorkSet(prepared.held_out, scale, config, device, sharers=team.on_machine, most=HELD_OUT_WINDOWS)
    batch = windows_a_step(config.train, len(training))
    dtype = arithmetic(config.train, batch, device)
    progress.say(
        f"Training on {counted(len(prepared.training), 'recording')} ({len(training)} windows"
        f"{'' if training.resident else ', read anew in every epoch'}), {len(prepared.held_out)} held out, "
        f"on {_device_name(device)}{f' in each of {team.size} processes' if team.size > 1 else ''}, "
        f"{batch} windows a step, in {str(dtype).removeprefix('torch.')}."
    )
    model, history = fit(
        config,
        training,
        held_out,
        device,
        checkpoint,
        work=_work_digest(config, prepared),
        team=team,
        resume=resume,
        on_step=lambda epoch, share, loss: progress.step(epoch, config.train.epochs, share, loss),
        on_epoch=lambda epoch: progress.epoch(epoch, config.train.epochs),
    )
    if not team.first:
        return {}
    bundle = _bundle(config, prepared, model, device, mean, deviation, history)
    save_over(bundle[0], out / BUNDLE_FILE)
    lines = "".join(json.dumps(asdict(epoch)) + "\n" for epoch in history)
    write_whole(out / "history.jsonl", lines.encode())
    found = metrics(bundle[0], bundle[1]) | {
        "held_out_loss": history[-1].held_out_loss,
        "train_recordings": len(prepared.training),
        "held_out_recordings": len(prepared.held_out),
    }
    write_json(out / "metrics.json", found)
    report.loss_over_epochs(history, out / "loss.png")
    report.pictures(bundle[0], bundle[1], found, out)
    checkpoint.unlink(missing_ok=True)
    return found


@dataclass
class Reader:
    """Reads recordings through the cache, with progress, and says which are left out and why."""

    cache: FrameCache
    progress: Progress
    total: int
    done: int = 0

    def read(self, paths: Sequence[Path], *, training: bool = False) -> list[Frames]:
        """The frames of those recordings that can be used."""
        return usable(
            self.cache,
            paths,
            training=training,
            leave_out=lambda why: self.progress.say(f"Left out: {why}"),
            advance=self._advance,
        )

    def _advance(self) -> None:
        self.done += 1
        self.progress.reading(self.done, self.total)


def prepare(config: Config, data: Path, progress: Progress) -> Prepared:
    """The frames of a data set's recordings, read through the cache, split into training and held-out ones.

    Raises:
        DataError: if there are no normal recordings that can be used.
    """
    found = find_recordings(data)
    if not found.train_normal:
        raise DataError(f"{data}: no normal recordings to train on. Looked for {LOOKED_FOR}.")
    cache = FrameCache(config.features, cache_folder(config))
    total = len(found.train_normal) + len(found.test_normal) + len(found.test_anomaly)
    reader = Reader(cache, progress, total)
    normal = _without_copies(reader.read(found.train_normal, training=True), progress)
    if not normal:
        raise DataError(f"{data}: none of its {counted(len(found.train_normal), 'normal recording')} can be used.")
    if max(len(frames.power) for frames in normal) <= 2 * config.score.cut_frames:
        raise ConfigError(
            f"score.cut_frames is {config.score.cut_frames}, at both ends, and no recording is longer than that: "
            "make it smaller."
        )
    training, held_out = _split_frames(normal, config, progress)
    test = [(f, False) for f in reader.read(found.test_normal)] + [(f, True) for f in reader.read(found.test_anomaly)]
    if not any(not anomaly for _, anomaly in test):
        # Held-out recordings are the only normal ones the model has not seen.
        test = [(frames, False) for frames in held_out] + test
    return Prepared(found, training, held_out, test)


def _without_copies(recordings: list[Frames], progress: Progress) -> list[Frames]:
    """Each recording once: a copy among the held-out ones would make any model look good."""
    first: dict[str, Frames] = {}
    for frames in recordings:
        if frames.digest in first:
            progress.say(f"Left out: {frames.path}: the same as {first[frames.digest].path}.")
        first.setdefault(frames.digest, frames)
    return list(first.values())


def _split_frames(normal: list[Frames], config: Config, progress: Progress) -> tuple[list[Frames], list[Frames]]:
    if len(normal) > 1:
        by_path = {frames.path: frames for frames in normal}
        training, held_out = split(list(by_path), config.train.held_out, config.train.seed)
        return [by_path[path] for path in training], [by_path[path] for path in held_out]
    whole, needed = normal[0], config.features.window_frames
    cut = len(whole.power) - max(needed, round(config.train.held_out * len(whole.power)))
    if cut < needed:
        raise DataError(f"{whole.path}: one recording this short cannot be split into training and held-out sound.")
    progress.say("Only one recording: its end is held out. Thresholds are more to be trusted from several recordings.")
    return [replace(whole, power=whole.power[:cut])], [replace(whole, power=whole.power[cut:])]


def _bundle(
    config: Config,
    prepared: Prepared,
    model: Autoencoder,
    device: torch.device,
    mean: torch.Tensor,
    deviation: torch.Tensor,
    history: Sequence[Epoch],
) -> tuple[Bundle, list[Labelled]]:
    provenance = {
        "date": now(),
        "manifest": manifest_digest(prepared.training),
        "recordings": len(prepared.training),
        "seconds": round(sum(len(f.power) for f in prepared.training) * config.features.hop_s, 1),
        "seed": config.train.seed,
        "train": config.train.model_dump(mode="json", exclude={"cache_dir"}),
        "held_out_loss": history[-1].held_out_loss,
        "versions": _versions(),
    }
    unknown = torch.empty(0, dtype=torch.float64)
    bundle = Bundle(config, model, mean, deviation, torch.ones_like(mean), {}, {}, unknown, provenance=provenance)
    bundle = calibration.learn_normal(bundle, prepared.training, prepared.held_out, device)
    files = labelled(bundle, prepared.found, prepared.test, device)
    if config.calibration.method == "labelled":
        bundle = labelled_threshold(bundle, files)
    return bundle, files


def labelled(
    bundle: Bundle, found: Recordings, test: Sequence[tuple[Frames, bool]], device: torch.device
) -> list[Labelled]:
    """Recordings with what they are, scored."""
    scored = calibration.score_recordings(bundle, [frames for frames, _ in test], device)
    pairs = zip(scored, test, strict=True)
    return [Labelled(found.name(one.frames.path), anomaly, one) for one, (_, anomaly) in pairs]


def _require_labels(found: Recordings) -> None:
    if not found.test_normal or not found.test_anomaly:
        raise ConfigError(
            "calibration.method is labelled, which needs normal and anomalous test recordings, and "
            f"{found.root} has {len(found.test_normal)} and {len(found.test_anomaly)}: "
            "add them, or calibrate from normal sound alone with --set calibration.method=normal."
        )


def _work_digest(config: Config, prepared: Prepared) -> str:
    settings = [getattr(config, g).model_dump(mode="json", exclude={"cache_dir", "device", "memory_gb"})
                for g in ("features", "model", "train")]  # fmt: skip
    parts = [
        json.dumps(settings, sort_keys=True),
        *(manifest_digest(r) for r in (prepared.training, prepared.held_out)),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file whole or not at all."""
    write_whole(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def _versions() -> dict[str, str]:
    names = ("torch", "torchaudio", "numpy", "soxr", "soundfile")
    ours = {"monitor": monitor.__version__, "python": platform.python_version()}
    return ours | {name: version(name) for name in names}


def _device_name(device: torch.device) -> str:
    return (
        torch.cuda.get_device_name(device) if device.type == "cuda" else counted(torch.get_num_threads(), "CPU thread")
    )


def now() -> str:
    """The time as bundles keep it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def save_over(bundle: Bundle, path: Path) -> None:
    """Writes a bundle; the one that was there is kept beside it as *.previous: it may be listening next door."""
    if path.is_file():
        write_whole(path.with_name(f"{path.stem}.previous{path.suffix}"), path.read_bytes())
    save_bundle(bundle, path)
