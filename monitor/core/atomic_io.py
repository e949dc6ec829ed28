"""Atomic file writing: a reader sees the old file or the complete new one, never a part of it, even after a crash."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from monitor.core.errors import ConfigError, MonitorError

TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.tmp", re.DOTALL)  # the names of temporary files
LEFT_S = 3600.0  # age in seconds from which on a temporary file is one that a killed program left


@contextlib.contextmanager
def atomic_file(path: Path, *, durable: bool = True, replace: bool = True) -> Iterator[BinaryIO]:
    """Opens a temporary file that becomes `path` when the block ends without an error; otherwise `path` is unchanged.

    The temporary file is created anew in the same folder, under a random name: a link that an attacker has put there is
    not followed. If `path` itself is a link, its target is replaced.

    Args:
        path: the file to write; missing folders are created.
        durable: wait until the content is on the disk. Without it the file survives a crash of the program, but not
            necessarily one of the computer.
        replace: whether an existing file is replaced.

    Yields:
        the temporary file, open for writing and reading.

    Raises:
        FileExistsError: if `path` exists and is not to be replaced.
        IsADirectoryError: if `path` is a folder.
        OSError: if the file cannot be written.
    """
    path = path.resolve() if path.is_symlink() else path
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # The leading dot hides the file: a search for recordings in this folder must not find it unfinished.
    name = os.fsdecode(os.fsencode(path.name)[:180])  # a name may have 255 bytes
    temporary = path.with_name(f".{name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            _rename_to_new(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _rename_to_new(temporary: Path, path: Path) -> None:
    """Renames a file to a name that must not exist yet, even if another process creates it at the same moment."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        temporary.replace(path)


def write_atomically(path: Path, content: bytes | Iterable[bytes], *, durable: bool = True) -> None:
    """Writes a file with `atomic_file`. A device or a pipe cannot be replaced and is written to directly.

    Args:
        path: the file to write; missing folders are created.
        content: the bytes, or an iterable of pieces that is consumed while the file is written.
        durable: as in `atomic_file`.

    Raises:
        MonitorError: if the file cannot be written.
    """
    pieces = (content,) if isinstance(content, bytes) else content
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as device:
                device.writelines(pieces)
            return
        with atomic_file(path, durable=durable) as file:
            file.writelines(pieces)
    except OSError as error:
        raise MonitorError(f"{path}: cannot be written: {error.strerror}.") from None


def remove_leftovers(folder: Path, *, below: bool = False) -> None:
    """Removes temporary files that killed programs left in a folder: those of `atomic_file` that are an hour old.

    Args:
        folder: the folder.
        below: whether to look in all folders below it, too.
    """
    for current, folders, names in os.walk(folder):
        for name in filter(TEMPORARY.fullmatch, names):
            file = Path(current, name)
            with contextlib.suppress(OSError):
                if time.time() - file.lstat().st_mtime > LEFT_S:
                    file.unlink()
        if not below:
            folders.clear()


def require_writable(folder: Path, advice: str) -> None:
    """Creates a folder if it is missing, and checks that files can be written in it. Called before long computations.

    Args:
        folder: the folder.
        advice: what the user can do if the check fails; the end of the error message.

    Raises:
        ConfigError: if the folder cannot be created or written in.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror}): {advice}") from None


def require_folder(path: Path) -> None:
    """Checks that the folder of an output file exists: a mistyped one must not be created.

    Raises:
        ConfigError: if it does not.
    """
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}: create it, or correct the name.")


def require_other_file(outputs: Iterable[Path | None], inputs: Iterable[Path]) -> None:
    """Checks that no output file is also an input file, by this or another name.

    Raises:
        ConfigError: if one is.
    """
    inputs = list(inputs)
    for output in outputs:
        if output is not None and output.exists() and any(i.exists() and output.samefile(i) for i in inputs):
            raise ConfigError(f"{output}: is an input file and would be overwritten: choose another output file.")
