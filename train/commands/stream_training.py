"""The training of one stream of a settings file, which goes on where it was interrupted, and is not done twice.

A stream's folder has what `monitor train` leaves, and two files more: `training.json` says of which recordings and
settings the model is, and `messages.log` has the messages of its training.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from monitor.audio.reader import open_recording
from monitor.bundle.bundle_io import load_bundle
from monitor.config.schema import Config
from monitor.config.setting_types import Channel
from monitor.core.atomic_io import write_atomically
from monitor.core.errors import DataError, MonitorError
from train.commands.model_files import keep_previous, write_json
from train.commands.stored_progress import StoredProgress
from train.commands.train import BUNDLE_FILE, CHECKPOINT_FILE, reason_for_doubt, train
from train.data.discovery import ARRAY_SUFFIX, Recordings, find_recordings
from train.data.feature_cache import FeatureCache, cache_folder
from train.fitting.checkpoint import CheckpointRefused

RECORD_FILE, LOG_FILE, PROGRESS_FILE, LOCK_FILE = "training.json", "messages.log", ".progress.json", ".lock"
# Settings that change no model.
NOT_TRAINED_BY = {"cache_dir", "device", "memory_gb"}
# torch's random numbers are of the whole process: with two trainings on threads of one, as in a worker of Dask with
# several threads, neither would be repeatable.
ONE_AT_A_TIME = threading.Lock()

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamTraining:
    """A model to train, of one stream or of several that share it. It is sent to other processes and computers."""

    name: str  # of the stream; of several, with commas
    config: Config  # settings of the training
    channel: Channel | None  # of recordings with several channels; None: that of the settings
    recordings: tuple[Path, ...]  # folders and files, absolute
    folder: Path  # for the results, absolute
    model: Path  # where `monitor live` looks for the model of this stream, absolute


@dataclass(frozen=True, slots=True)
class TrainedStream:
    """What the training of a stream has given."""

    recordings: int
    seconds: float  # of normal sound, held out or trained on
    epochs: int
    held_out_loss: float
    limit: float  # of the alarm
    took_s: float
    doubt: str = ""  # why the model is not to be relied on, as a sentence
    before: bool = False  # whether it was trained by an earlier run
    notes: tuple[str, ...] = ()  # warnings of the training


def train_stream(training: StreamTraining) -> TrainedStream:
    """Trains the model of a stream, and puts it where `monitor live` looks for it.

    A model of the same recordings and settings is not trained again, and an interrupted training of them goes on from
    its checkpoint.

    Raises:
        MonitorError: as `train.commands.train.train`; or if another process trains this stream.
    """
    training.folder.mkdir(parents=True, exist_ok=True)
    with ONE_AT_A_TIME, _locked(training.folder), _messages_kept(training.folder / LOG_FILE) as notes:
        config = _with_channel(training)
        found = find_recordings(training.recordings)
        digest = _digest(config, found)
        record = _read(training.folder / RECORD_FILE)
        bundle, checkpoint = training.folder / BUNDLE_FILE, training.folder / CHECKPOINT_FILE
        same = record.get("digest") == digest
        if same and "result" in record and bundle.is_file():
            if not training.model.is_file():
                _put(bundle, training.model)
            return TrainedStream(**record["result"], before=True)
        if not same:
            checkpoint.unlink(missing_ok=True)
            write_json(training.folder / RECORD_FILE, {"digest": digest})  # what the checkpoint will belong to
        began = time.monotonic()
        metrics = _trained(config, training, resume=checkpoint.is_file())
        result = TrainedStream(
            recordings=metrics["train_recordings"] + metrics["held_out_recordings"],
            seconds=metrics["normal_seconds"],
            epochs=config.train.epochs,
            held_out_loss=metrics["held_out_loss"],
            limit=load_bundle(bundle).thresholds["score"].value,
            took_s=time.monotonic() - began,
            doubt=reason_for_doubt(metrics, config, training.model),
            notes=tuple(notes),
        )
        _put(bundle, training.model)
        kept = {key: value for key, value in asdict(result).items() if key not in ("before", "notes")}
        write_json(training.folder / RECORD_FILE, {"digest": digest, "result": kept})
        checkpoint.unlink(missing_ok=True)
        return result


def _trained(config: Config, training: StreamTraining, *, resume: bool) -> dict[str, Any]:
    """Trains, from the checkpoint if there is one that can be used; returns the metrics."""
    with StoredProgress(training.folder / PROGRESS_FILE) as progress:
        arguments = (config, training.recordings, training.folder, progress)
        if resume:
            try:
                return train(*arguments, resume=True, keep_checkpoint=True)
            except CheckpointRefused as error:
                log.warning("%s This training begins anew.", error)
                (training.folder / CHECKPOINT_FILE).unlink()
        return train(*arguments, keep_checkpoint=True)


def _with_channel(training: StreamTraining) -> Config:
    """The settings of the training, with the stream's channel if its recordings have several."""
    if training.channel is None or _channels(find_recordings(training.recordings)) < 2:
        return training.config
    features = training.config.features.model_copy(update={"channel": training.channel})
    return training.config.model_copy(update={"features": features})


def _channels(found: Recordings) -> int:
    """The number of channels of the first recording that can be read."""
    for path in (*found.train_normal, *found.test_normal):
        if path.suffix.lower() != ARRAY_SUFFIX:
            with contextlib.suppress(DataError), open_recording(path) as file:
                return int(file.channels)
    return 1


def _digest(config: Config, found: Recordings) -> str:
    """The digest of the recordings and settings that the model depends on."""
    cache = FeatureCache(config.features, cache_folder(config))
    groups = {
        name: getattr(config, name).model_dump(mode="json", exclude=NOT_TRAINED_BY)
        for name in ("features", "model", "score", "train", "calibration", "alarm")
    }
    contents = {
        name: sorted(_content(cache, path) for path in getattr(found, name))
        for name in ("train_normal", "test_normal", "test_anomaly")
    }
    return hashlib.sha256(json.dumps([groups, contents], sort_keys=True).encode()).hexdigest()


def _content(cache: FeatureCache, path: Path) -> str:
    try:
        return cache.digest(path)
    except DataError:
        return "unreadable"  # it is left out, with a warning


def _read(file: Path) -> dict[str, Any]:
    """What an earlier run has written; {} if there is nothing, or it cannot be used."""
    try:
        record = json.loads(file.read_bytes())
        if "result" in record:
            TrainedStream(**record["result"])
    except (OSError, ValueError, TypeError):
        return {}
    return record if isinstance(record, dict) else {}


def _put(bundle: Path, model: Path) -> None:
    """Copies a model to where `monitor live` looks for it; one that is there is kept as *.previous.safetensors."""
    if model.resolve() == bundle.resolve():
        return
    keep_previous(model)
    write_atomically(model, bundle.read_bytes())


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Locks a stream's folder until the end of the block, or of the process, however it ends."""
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise MonitorError(f"{folder}: another process is training into it: wait for its end.") from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _messages_kept(file: Path) -> Iterator[list[str]]:
    """Within the block, messages go to a file instead of the screen; yields the list that receives the warnings."""
    handler = _KeptMessages(file)
    loggers = [logging.getLogger(name) for name in ("monitor", "train")]
    before = [(one.handlers[:], one.level, one.propagate) for one in loggers]
    for one in loggers:
        one.handlers[:], one.propagate = [handler], False
        one.setLevel(logging.INFO)
    try:
        yield handler.warnings
    finally:
        for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
            one.handlers[:], one.propagate = handlers, propagate
            one.setLevel(level)
        handler.close()


class _KeptMessages(logging.FileHandler):
    """Writes messages to a new file, and keeps the warnings among them."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, mode="w", encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one message."""
        if record.levelno >= logging.WARNING:
            self.warnings.append(record.getMessage())
        super().emit(record)
