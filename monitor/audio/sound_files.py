"""Finds sound files below a folder: every kind that libsndfile reads, through links, but nothing hidden."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path

import soundfile

from monitor.core.errors import DataError

# Suffixes of libsndfile's formats besides their own names. RAW has no header; MAT4 and MAT5 are mostly other data.
_ALIASES = {
    "AIFF": ("aif", "aifc"),
    "AU": ("snd",),
    "IRCAM": ("sf",),
    "MP3": ("mp1", "mp2"),
    "NIST": ("sph",),
    "OGG": ("oga", "opus"),
    "SVX": ("iff", "8svx"),
    "WAV": ("wave", "bwf"),
}
_NOT_SOUND = ("RAW", "MAT4", "MAT5")
# Folders in which systems keep what was thrown away, copies, and notes of their own.
_SYSTEM_FOLDERS = ("__macosx", "$recycle.bin", "system volume information", "lost+found", "@eadir", "#recycle")


@functools.cache
def sound_suffixes() -> frozenset[str]:
    """The suffixes, in lower case with the dot, of all kinds of sound files that can be read here."""
    formats = [name for name in soundfile.available_formats() if name not in _NOT_SOUND]
    return frozenset(f".{suffix}" for name in formats for suffix in (name.lower(), *_ALIASES.get(name, ())))


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or belongs to the system."""
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def files_below(folder: Path, role: Callable[[tuple[str, ...]], Hashable] = lambda _: None) -> Iterator[Path]:
    """All files in a folder and the folders below it, except hidden ones. Links to files and folders are followed.

    Links can form loops: no folder is entered from within itself, and each folder only once in each role.

    Args:
        folder: the folder; it may be hidden itself.
        role: a folder's meaning, from the names of the folders that lead to it from `folder`.

    Yields:
        paths in any order; of a broken link, the link.

    Raises:
        OSError: if a folder cannot be read.
    """
    visited: set[Hashable] = set()
    waiting: list[tuple[Path, tuple[str, ...], tuple[tuple[int, int], ...]]] = [(folder, (), ())]
    while waiting:
        current, names, outer = waiting.pop()
        stat = current.stat()
        identity = (stat.st_dev, stat.st_ino)
        if identity in outer or (identity, role(names)) in visited:
            continue
        visited.add((identity, role(names)))
        with os.scandir(current) as entries:
            for entry in sorted(entries, key=lambda one: one.name, reverse=True):
                if is_hidden(entry.name):
                    continue
                if _leads_to_folder(entry):
                    waiting.append((current / entry.name, (*names, entry.name), (*outer, identity)))
                elif entry.is_symlink() or entry.is_file():
                    yield current / entry.name


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or into a folder that cannot be read
        return False


def recordings_of(paths: Iterable[Path]) -> list[Path]:
    """The paths, with each folder replaced by the sound files in it and below it, sorted by name and number.

    Raises:
        DataError: if a folder has no sound file, or cannot be read.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        try:
            found = [file for file in files_below(path) if file.suffix.lower() in sound_suffixes()]
        except OSError as error:
            raise DataError(f"{error.filename}: cannot be read: {error.strerror}.") from None
        if not found:
            raise DataError(f"{path}: is a folder without recordings.")
        files += sorted(found, key=natural_order)
    return files


def natural_order(path: Path) -> list[str | int]:
    """A key that sorts part-10.wav behind part-9.wav."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]
