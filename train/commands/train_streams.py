"""`monitor train --streams`: trains a model for each stream of a settings file, several at the same time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from monitor.config.loader import SettingsSource
from monitor.config.schema import Config
from monitor.config.sources import Stream
from monitor.core.atomic_io import require_writable
from monitor.core.errors import ConfigError
from monitor.core.parallel_jobs import Outcome, Workers
from monitor.core.text import some_of, stream_folder
from monitor.features.mel import require_filled_bands
from train.commands.stream_training import PROGRESS_FILE, StreamTraining, TrainedStream, train_stream
from train.commands.streams_progress import StreamsProgress

log = logging.getLogger(__name__)

TrainingOutcome = Outcome[StreamTraining, TrainedStream]


def stream_trainings(source: SettingsSource, data: Path | None, out: Path) -> list[StreamTraining]:
    """The trainings that a settings file with streams asks for: one for each model that its streams name.

    Streams that name the same model share it, and it is trained on the recordings of all of them.

    Args:
        source: the settings, with `streams`.
        data: folder that has a folder of recordings for each stream, named like it; None: the recordings are those in
            `streams[].file`.
        out: folder for the results.

    Raises:
        ConfigError: if there are no streams, or no recordings are named for one.
    """
    streams = source.config.streams
    if not streams:
        raise ConfigError(f"{source.file}: has no streams: add them, as `monitor guide many-microphones` shows.")
    shared: dict[Path, list[Stream]] = {}
    for stream in streams:
        shared.setdefault(stream.bundle.absolute(), []).append(stream)
    if data is None and (silent := [_name(some) for some in shared.values() if not any(one.file for one in some)]):
        raise ConfigError(
            f"{source.file}: no recordings are named for {some_of(silent)}: give each stream file:, or put the "
            "recordings of each stream into a folder of its name, and name the folder above: "
            f"monitor train RECORDINGS --streams {source.file} --out {out}."
        )
    return [_training(source, some, data, out.absolute()) for some in shared.values()]


def train_streams(trainings: Sequence[StreamTraining], workers: Workers) -> list[TrainingOutcome]:
    """Trains the models of streams, as many at the same time as there are workers; shows the progress of all.

    Args:
        trainings: what to train.
        workers: where.

    Returns:
        the outcome of each training, in the order of `trainings`.

    Raises:
        ConfigError: if the folder for the results cannot be written to.
    """
    for training in trainings:
        require_filled_bands(training.config.features)
        require_writable(training.folder, "choose another folder with --out.")
        (training.folder / PROGRESS_FILE).unlink(missing_ok=True)  # of a run that was killed
    log.info("Training %d streams, in %s.", len(trainings), workers.where)
    outcomes: dict[str, TrainingOutcome] = {}
    shared = [replace(training, config=_memory_shared(training.config, workers)) for training in trainings]
    with StreamsProgress(shared) as progress:
        for outcome in workers.outcomes(train_stream, shared):
            outcomes[outcome.job.name] = outcome
            progress.ended(outcome)
    return [outcomes[training.name] for training in trainings]


def _training(source: SettingsSource, streams: Sequence[Stream], data: Path | None, out: Path) -> StreamTraining:
    """The training of the model of one stream, or of several that share it."""
    first = streams[0]
    same_alarm = all(stream.alarm == first.alarm for stream in streams)
    recordings = [path for stream in streams for path in stream.file]
    if data is not None:
        folders = [_folder_of(data, stream.name) for stream in streams]
        recordings = [folder for folder in folders if folder.exists()] or folders[:1]
    return StreamTraining(
        name=_name(streams),
        config=source.for_training(first if same_alarm else first.model_copy(update={"alarm": {}})),
        channel=first.channel if all(stream.channel == first.channel for stream in streams) else None,
        recordings=tuple(path.absolute() for path in recordings),
        folder=out / stream_folder(first.name),
        model=first.bundle.absolute(),
    )


def _name(streams: Sequence[Stream]) -> str:
    return ", ".join(stream.name for stream in streams)


def _folder_of(data: Path, name: str) -> Path:
    """The folder with a stream's recordings: of its name, or of the name that the state folder has for it."""
    plain = data / name
    return plain if name not in (".", "..") and plain.exists() else data / stream_folder(name)


def _memory_shared(config: Config, workers: Workers) -> Config:
    """The settings of one of several trainings that share this computer's memory."""
    train = config.train.model_copy(update={"memory_gb": config.train.memory_gb / workers.sharers})
    return config.model_copy(update={"train": train})
