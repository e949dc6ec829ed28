"""Digests of the contents of recordings, which are remembered so that a recording is not read again for its digest."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from monitor.core.atomic_io import write_atomically
from monitor.core.errors import DataError

# Blocks of a recording by which a change is noticed that its times do not show.
SAMPLED_BLOCKS, SAMPLED_BYTES = 5, 4096
_NOTE_BYTES = 100  # more than a note has


@dataclass(frozen=True, slots=True)
class ContentDigests:
    """Returns the SHA-256 of recordings, in hexadecimal.

    Args:
        folder: folder of the notes: a small file for each recording.
    """

    folder: Path

    def of(self, path: Path) -> str:
        """The digest of a recording: the noted one, or else computed and then noted.

        Raises:
            DataError: if the file cannot be read.
        """
        try:
            key = _key(path)
            if (noted := self._noted(key)) is not None:
                return noted
            digest = content_digest(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
        write_atomically(self._file(key), f"{digest} {_check(digest, key)}".encode(), durable=False)
        return digest

    def noted(self, path: Path) -> str | None:
        """The noted digest of a recording; None if there is none, or the file cannot be read."""
        try:
            return self._noted(_key(path))
        except (OSError, DataError):
            return None

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:32]

    def _noted(self, key: str) -> str | None:
        """The digest in the note with this key; None if the note is missing or damaged."""
        try:
            with self._file(key).open("rb", buffering=0) as file:
                digest, check = file.read(_NOTE_BYTES).decode("ascii").split()
        except (OSError, ValueError):
            return None
        return digest if re.fullmatch("[0-9a-f]{64}", digest) and check == _check(digest, key) else None


def content_digest(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_state(path: Path) -> tuple[int, ...]:
    """What the system says of a file that changes with its content. No program can set the time `st_ctime_ns`.

    Raises:
        DataError: if the file cannot be reached, or is none.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    if not S_ISREG(stat.st_mode):
        raise DataError(f"{path}: is not a file.")
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def _key(path: Path) -> str:
    """A digest of all that changes with a recording's content: its path, state, and some blocks of the content.

    The state alone would not do: on some disks times are rough, and are those of the file that it was copied from.
    """
    facts = hashlib.sha256(os.fsencode(f"{os.path.realpath(path)}\0{file_state(path)}\0"))
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        for number in range(SAMPLED_BLOCKS):
            file.seek(number * max(0, size - SAMPLED_BYTES) // (SAMPLED_BLOCKS - 1))
            facts.update(file.read(SAMPLED_BYTES))
    return facts.hexdigest()


def _check(digest: str, key: str) -> str:
    """Digits that show whether a note is whole, and of the recording with this key."""
    return hashlib.sha256(f"{digest} {key}".encode()).hexdigest()[:16]
