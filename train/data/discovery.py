"""Finds the recordings of a data set, and their roles."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monitor.audio.sound_files import files_below, sound_suffixes
from monitor.core.errors import DataError
from monitor.core.text import counted

ARRAY_SUFFIX = ".npy"  # of arrays of power mel frames
BROKEN_LINK, NO_SUFFIX = "broken link", "no suffix"  # kinds of files, beside suffixes
LISTED_KINDS = 8  # of other files, that are counted by kind
ANOMALOUS = ("anomal", "abnormal")  # how the words begin that mark anomalous recordings
LOOKED_FOR = (
    "train_normal/, test_normal/ and test_anomaly/ (ToyADMOS), train/ and test/ with normal_ and anomaly_ in the "
    "names (DCASE), or just normal recordings"
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recordings:
    """The recordings of a data set, each list sorted."""

    root: Path
    train_normal: list[Path]
    test_normal: list[Path]
    test_anomaly: list[Path]
    unlabelled: list[Path]  # recordings whose folder and name say neither normal nor anomaly; they are not used
    other: Counter[str] = field(default_factory=Counter)  # the number of other files of each kind, by suffix

    def name(self, path: Path) -> str:
        """The path of a recording relative to the root, for reports."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()

    def log_unused(self) -> None:
        """Logs how many files are not used: one line for unlabelled recordings, one for files of other kinds."""
        if self.unlabelled:
            log.warning(
                "Left out: %s whose names and folders say neither normal nor anomaly, such as %s.",
                counted(len(self.unlabelled), "recording"),
                self.name(self.unlabelled[0]),
            )
        if self.other:
            listed = self.other.most_common(LISTED_KINDS)
            kinds = [f"{number} × {kind}" for kind, number in sorted(listed)]
            if more := self.other.total() - sum(number for _, number in listed):
                kinds.append(f"{more} × other kinds")
            log.info("Passed over, because they are not sound: %s.", ", ".join(kinds))


def find_recordings(data: Path | Sequence[Path]) -> Recordings:
    """Finds the recordings in a folder, and assigns them to lists by the names of their folders and files.

    All kinds of sound files and arrays of mel frames count. Links are followed; what is hidden is not looked at.

    Args:
        data: a folder, or a single recording, or several of them.

    Raises:
        DataError: if a folder is missing, cannot be read, or contains no recording.
    """
    if isinstance(data, Path):
        return _found_in(data)
    if len(data) == 1:
        return _found_in(data[0])
    all_ = [_found_in(path) for path in data]
    root = Path(os.path.commonpath([found.root.absolute() for found in all_]))

    def joined(name: str) -> list[Path]:
        return sorted({path for found in all_ for path in getattr(found, name)})

    return Recordings(
        root, joined("train_normal"), joined("test_normal"), joined("test_anomaly"), joined("unlabelled"),
        sum((found.other for found in all_), Counter()),
    )  # fmt: skip


def _found_in(data: Path) -> Recordings:
    """The recordings of one folder, or a single one."""
    if not data.exists():
        raise DataError(f"{data}: there is no such folder. Looked for {LOOKED_FOR}.")
    root = data.parent if data.is_file() else data
    found = Recordings(root, [], [], [], [])
    files = [data] if data.is_file() else _recordings_below(data, found.other)
    if not files:
        other = f" (but {counted(found.other.total(), 'other file')})" if found.other else ""
        raise DataError(f"{data}: no recordings (wav, flac, mp3 …, or .npy) in it{other}. Looked for {LOOKED_FOR}.")
    has_test_folder = any(_role(root, file) != "plain" for file in files)
    for file in files:
        _list_for(found, file, _role(root, file), has_test_folder).append(file)
    return found


def _recordings_below(folder: Path, other: Counter[str]) -> list[Path]:
    """The recordings below a folder, sorted; other files are counted by kind."""
    recordings: list[Path] = []
    try:
        # A folder that two links lead to is read again only if the second one gives another label to its files.
        for path in files_below(folder, lambda names: (_role_of(names), _is_normal(names[-1:]))):
            suffix = path.suffix.lower()
            if not path.exists():
                other[BROKEN_LINK] += 1
            elif suffix == ARRAY_SUFFIX or suffix in sound_suffixes():
                recordings.append(path)
            else:
                other[suffix or NO_SUFFIX] += 1
    except OSError as error:
        raise DataError(
            f"{error.filename}: cannot be read ({error.strerror}): change its permissions, or move it out of {folder}."
        ) from None
    return sorted(recordings)


def _role(root: Path, file: Path) -> str:
    """The role of a file, from the names of the folders between it and the root."""
    return _role_of(file.relative_to(root).parts[:-1])


def _role_of(names: Sequence[str]) -> str:
    """The role of folders one within another: `test_anomaly` if any has an anomalous name, else the innermost's."""
    folders = [folder.lower() for folder in names]
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
    loose = role == "plain" and has_test_folder and not _is_normal([file.parent.name])
    return found.unlabelled if loose else found.train_normal


def _is_normal(folders: Sequence[str]) -> bool:
    return [name.lower() for name in folders] == ["normal"]


def normal_files(paths: Iterable[Path]) -> list[Path]:
    """The recordings of normal sound in files and folders, for `calibrate`; of a data set, those for tests if any.

    Raises:
        DataError: if a path is missing, or there is no recording.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = find_recordings(path)
            found.log_unused()
            files += found.test_normal or found.train_normal
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"{path}: there is no such file or folder.")
    if not files:
        raise DataError("No normal recordings there to calibrate on.")
    return sorted(dict.fromkeys(files))
