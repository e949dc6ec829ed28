"""Reads the recordings of a data set through the cache, and splits them for training and comparisons."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from monitor.config.schema import Config
from monitor.core.errors import ConfigError, DataError
from monitor.core.text import counted
from train.commands.progress import Progress
from train.data.discovery import LOOKED_FOR, Recordings, find_recordings
from train.data.feature_cache import FeatureCache, Frames, cache_folder, usable_frames
from train.data.sessions import held_out_block, sessions_of_frames
from train.data.suitability import suitability_notes, without_narrow

NAMED = 3  # recordings that are named of many that are left out for the same reason

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The frames of the usable recordings of a data set."""

    found: Recordings
    training: list[Frames]
    held_out: list[Frames]
    test: list[tuple[Frames, bool]]  # each with its label: True for anomalous


@dataclass
class RecordingReader:
    """Reads recordings through the cache, shows the progress, and logs which recordings are left out and why."""

    cache: FeatureCache
    progress: Progress
    total: int  # number of recordings that will be read altogether
    done: int = 0  # number of recordings read so far

    def read(self, paths: Sequence[Path], *, training: bool = False) -> list[Frames]:
        """The frames of the usable recordings; `training` as in `usable_frames`.

        Raises:
            DataError: if the sample rates of all recordings to train on are too low.
        """
        left_out: list[tuple[Path, str]] = []
        kept = usable_frames(
            self.cache,
            paths,
            training=training,
            leave_out=lambda path, reason: left_out.append((path, reason)),
            advance=self._advance,
        )
        features = self.cache.features
        if training:
            kept, narrow = without_narrow(kept, features)
            left_out += narrow
        for line in grouped(left_out):
            log.warning("Left out: %s", line)
        for line in grouped(suitability_notes(kept, features)):
            log.warning("%s", line)
        return kept

    def _advance(self) -> None:
        self.done += 1
        self.progress.reading(self.done, self.total)


def grouped(left_out: Sequence[tuple[Path, str]]) -> list[str]:
    """A line for each reason to leave recordings out, with the number of recordings and the first of them.

    Reasons that differ in numbers only are one, such as how long a recording is that is too short.

    Args:
        left_out: recordings, each with its reason: a sentence.
    """
    by_kind: dict[str, list[tuple[Path, str]]] = {}
    for path, reason in left_out:
        by_kind.setdefault(re.sub(r"[\d.]+", "0", reason), []).append((path, reason))
    lines: list[str] = []
    for same in by_kind.values():
        first, reason = same[0]
        names = ", ".join(str(path) for path, _ in same[:NAMED])
        one = len(same) == 1
        lines.append(f"{first}: {reason}" if one else f"{len(same)} recordings, such as {names}: {reason}")
    return lines


def prepare(config: Config, data: Path | Sequence[Path], progress: Progress) -> Prepared:
    """Reads the recordings of a data set, and splits the normal ones into training and held-out recordings.

    Without normal test recordings, the held-out recordings are tested.

    Raises:
        DataError: if there are no usable normal recordings.
        ConfigError: if all recordings are shorter than `score.cut_frames` at both ends.
    """
    found = find_recordings(data)
    if not found.train_normal:
        raise DataError(f"{found.root}: no normal recordings to train on. Looked for {LOOKED_FOR}.")
    cache = FeatureCache(config.features, cache_folder(config))
    total = len(found.train_normal) + len(found.test_normal) + len(found.test_anomaly)
    reader = RecordingReader(cache, progress, total)
    normal = without_copies(reader.read(found.train_normal, training=True))
    if not normal:
        count = counted(len(found.train_normal), "normal recording")
        raise DataError(f"{found.root}: none of its {count} can be used.")
    if max(len(frames.power) for frames in normal) <= 2 * config.score.cut_frames:
        raise ConfigError(
            f"score.cut_frames is {config.score.cut_frames}, at both ends, and no recording is longer than that: "
            "make it smaller."
        )
    training, held_out = split_frames(normal, config)
    test = [(f, False) for f in reader.read(found.test_normal)] + [(f, True) for f in reader.read(found.test_anomaly)]
    if not any(not anomaly for _, anomaly in test):
        # Held-out recordings are the only normal ones that the model was not trained on.
        test = [(frames, False) for frames in held_out] + test
    return Prepared(found, training, held_out, test)


def without_copies(recordings: list[Frames]) -> list[Frames]:
    """The recordings without those whose content is that of an earlier one; logs which are left out.

    A held-out copy of a training recording would give too good results, and copies are no further sound.
    """
    first: dict[str, Frames] = {}
    copies: list[Frames] = []
    for frames in recordings:
        if first.setdefault(frames.digest, frames) is not frames:
            copies.append(frames)
    if copies:
        pairs = [f"{copy.path}: the same as {first[copy.digest].path}" for copy in copies[:NAMED]]
        more = f", and {len(copies) - NAMED} more copies" if len(copies) > NAMED else ""
        log.warning("Left out: %s%s.", "; ".join(pairs), more)
    return list(first.values())


def split_frames(normal: list[Frames], config: Config) -> tuple[list[Frames], list[Frames]]:
    """Splits recordings into training and held-out ones; of a single recording the end is held out."""
    if len(normal) > 1:
        seconds = [len(frames.power) * config.features.hop_s for frames in normal]
        sessions = sessions_of_frames(normal, config.features.hop_s)
        held_out = held_out_block(sessions, seconds, config.train.held_out, config.train.seed)
        pairs = list(zip(normal, held_out, strict=True))
        return [frames for frames, out in pairs if not out], [frames for frames, out in pairs if out]
    whole, needed = normal[0], config.features.window_frames
    cut = len(whole.power) - max(needed, round(config.train.held_out * len(whole.power)))
    if cut < needed:
        raise DataError(f"{whole.path}: one recording this short cannot be split into training and held-out sound.")
    log.warning("Only one recording: its end is held out. Limits are more to be trusted from several recordings.")
    return [replace(whole, power=whole.power[:cut])], [replace(whole, power=whole.power[cut:])]
