"""Finds the recordings of a data set, and splits them into training and held-out recordings."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.audio.reader import SUFFIXES
from monitor.core.errors import DataError

READABLE = (*SUFFIXES, ".npy")
ANOMALOUS = ("anomal", "abnormal")  # how the words begin that mark anomalous recordings
LOOKED_FOR = (
    "train_normal/, test_normal/ and test_anomaly/ (ToyADMOS), train/ and test/ with normal_ and anomaly_ in the "
    "names (DCASE), or just normal recordings"
)


@dataclass(frozen=True, slots=True)
class Recordings:
    """The recordings of a data set, each list sorted."""

    root: Path
    train_normal: list[Path]
    test_normal: list[Path]
    test_anomaly: list[Path]
    unlabelled: list[Path]  # recordings whose folder and name say neither normal nor anomaly; they are not used

    def name(self, path: Path) -> str:
        """The path of a recording relative to the root, for reports."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()


def find_recordings(data: Path) -> Recordings:
    """Finds the recordings in a folder, and assigns them to lists by the names of their folders and files.

    Args:
        data: a folder, or a single recording.

    Raises:
        DataError: if the folder is missing or contains no recording.
    """
    if not data.exists():
        raise DataError(f"{data}: there is no such folder. Looked for {LOOKED_FOR}.")
    files = [data] if data.is_file() else _recordings_below(data)
    if not files:
        raise DataError(f"{data}: no recordings ({', '.join(READABLE)}) in it. Looked for {LOOKED_FOR}.")
    root = data.parent if data.is_file() else data
    found = Recordings(root, [], [], [], [])
    has_test_folder = any(_role(root, file) != "plain" for file in files)
    for file in files:
        _list_for(found, file, _role(root, file), has_test_folder).append(file)
    return found


def _recordings_below(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in READABLE and p.is_file() and p.name[0] != ".")


def _role(root: Path, file: Path) -> str:
    """The role of a file: `test_anomaly` if any of its folders has an anomalous name, else the innermost folder's."""
    folders = [folder.lower() for folder in file.relative_to(root).parts[:-1]]
    if any(name.startswith(ANOMALOUS) or name == "test_anomaly" for name in folders):
        return "test_anomaly"
    for name in reversed(folders):
        if name in ("train_normal", "test_normal"):
            return name
        if name == "train":
            return "train_normal"
        if name == "test" or name.endswith("_test"):
            return "test"
    return "plain"


def _list_for(found: Recordings, file: Path, role: str, has_test_folder: bool) -> list[Path]:
    # DCASE 2020 writes anomaly_id_01_0000.wav, later years section_00_source_test_anomaly_0001.wav.
    words = re.findall("[^\\W\\d_]+", file.stem.lower())
    anomalous = any(word.startswith(ANOMALOUS) for word in words)
    if role == "test":
        return found.test_anomaly if anomalous else found.test_normal if "normal" in words else found.unlabelled
    if role == "test_anomaly" or (anomalous and role in ("plain", "train_normal")):
        return found.test_anomaly  # even in a training folder: anomalous recordings are never trained on
    if role == "test_normal":
        return found.test_normal
    # In a data set with training or test folders, files outside of them have no label, except in a folder `normal`.
    parent = file.parent.name.lower()
    return found.unlabelled if role == "plain" and has_test_folder and parent != "normal" else found.train_normal


def split(recordings: Sequence[Path], held_out: float, seed: int) -> tuple[list[Path], list[Path]]:
    """Splits recordings at random into training and held-out recordings, each sorted and with at least one.

    A recording is never divided. The result does not depend on the order of `recordings`.

    Args:
        recordings: at least two.
        held_out: share of the recordings to hold out.
        seed: of the random split.

    Raises:
        ValueError: for fewer than two recordings.
    """
    if len(recordings) < 2:
        raise ValueError("a split needs two recordings")
    shuffled = sorted(recordings)
    random.Random(seed).shuffle(shuffled)
    count = min(len(shuffled) - 1, max(1, round(held_out * len(shuffled))))
    return sorted(shuffled[count:]), sorted(shuffled[:count])


def normal_files(paths: Iterable[Path]) -> list[Path]:
    """The recordings of normal sound in files and folders, for `calibrate`; of a data set, those for tests if any.

    Raises:
        DataError: if a path is missing, or there is no recording.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = find_recordings(path)
            files += found.test_normal or found.train_normal
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"{path}: there is no such file or folder.")
    if not files:
        raise DataError("No normal recordings there to calibrate on.")
    return sorted(dict.fromkeys(files))
