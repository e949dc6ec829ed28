"""A file to which whole lines are appended; it survives full disks, rotation and crashes."""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from collections.abc import Callable
from pathlib import Path

from monitor.core.errors import MonitorError

POLL_S = 0.2  # how often a full pipe is tried again
ROTATION_S = 1.0  # how often it is checked whether the file was moved away


class AppendedFile:
    """Appends text to a file in whole lines.

    A write that failed may be repeated: what is in the file already is not written twice, and a line that was left
    incomplete, by a full disk or by a crash of the program, is ended first. If the file was moved away, as logrotate
    does, a new one is created. Writing to a pipe waits for a reader until `given_up`.

    Args:
        path: of the file. Its folder must exist.
        header: text that a new file begins with.

    Raises:
        MonitorError: if the file cannot be opened for writing.
    """

    def __init__(self, path: Path, header: str = "") -> None:
        self.given_up: Callable[[], bool] = lambda: False  # whether to stop waiting for the reader of a pipe
        self._path, self._header = path, header
        self._descriptor = -1
        self._regular = self._begun = False  # `_begun`: something was written to a pipe or a device
        self._partial: tuple[str, bytes, int] | None = None  # a text, its unwritten bytes, and the file's size then
        self._checked = 0.0
        try:
            self._open()
        except OSError as error:
            if error.errno != errno.ENXIO:  # a pipe that nobody reads yet
                raise MonitorError(f"{path}: cannot be written: {_reason(error, path)}.") from None

    def write(self, text: str) -> None:
        """Appends whole lines.

        Raises:
            OSError: if they could not be written completely. The call may be repeated with the same text.
        """
        if self._descriptor >= 0 and self._moved():
            self.close()
        if self._descriptor < 0:
            self._open()
        partial, self._partial = self._partial, None
        if partial is not None and partial[0] == text and self._size() == partial[2]:
            content = partial[1]
        else:
            content = self._prefix() + text.encode("utf-8", "backslashreplace")
        try:
            while content:
                content = content[self._write_some(content) :]
                self._begun = True
        except OSError:
            self._partial = text, content, self._size()
            self.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _open(self) -> None:
        pipe = self._path.is_fifo()  # opening one with O_RDWR would succeed without a reader
        flags = os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            self._descriptor = os.open(self._path, flags | (os.O_WRONLY if pipe else os.O_RDWR), 0o666)
        except PermissionError:  # perhaps it may be written, but not read
            self._descriptor = os.open(self._path, flags | os.O_WRONLY, 0o666)
        self._regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._checked = time.monotonic()

    def _prefix(self) -> bytes:
        """What has to precede the next line: the header of a new file, or the end of an incomplete line."""
        size = self._size()
        if size == 0 and (self._regular or not self._begun):
            return self._header.encode()
        try:
            return b"\n" if size and os.pread(self._descriptor, 1, size - 1) != b"\n" else b""
        except OSError:  # it may not be read
            return b""

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size if self._regular else 0

    def _moved(self) -> bool:
        """Whether another file, or none, has the path by now."""
        now = time.monotonic()
        if not self._regular or now - self._checked < ROTATION_S:
            return False
        self._checked = now
        try:
            return not os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except OSError:
            return True

    def _write_some(self, content: bytes) -> int:
        while True:
            try:
                return os.write(self._descriptor, content)
            except BlockingIOError:  # a full pipe
                if self.given_up():
                    raise
                select.select([], [self._descriptor], [], POLL_S)


def new_file(path: Path) -> Path:
    """Creates an empty file without replacing one: under this name or, if that is taken, with a number added to it.

    A file that is empty is used as it is, and so is a device or a pipe.

    Args:
        path: the name, such as scores.csv.

    Returns:
        the name of the file: scores.csv, or scores-2.csv.

    Raises:
        MonitorError: if no file can be created there.
    """
    number = 1
    while True:
        candidate = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        try:
            os.close(os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError:
            if candidate.exists() and not (candidate.is_file() and candidate.stat().st_size):
                return candidate
            number += 1
        except OSError as error:
            raise MonitorError(f"{path}: cannot be written: {_reason(error, path)}.") from None
        else:
            return candidate


def _reason(error: OSError, path: Path) -> str:
    if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    return str(error.strerror or error)
