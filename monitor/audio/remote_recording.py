"""A recording in an object store, of which only what is read is fetched."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from monitor.core.errors import MonitorError
from monitor.core.object_store import ObjectStore


class RemoteRecording:
    """A recording in an object store, for `monitor.audio.reader`.

    Args:
        store: the store.
        path: of the recording in it.
    """

    def __init__(self, store: ObjectStore, path: str) -> None:
        self._store, self._path = store, path
        self.name, self.suffix = PurePosixPath(path).name, PurePosixPath(path).suffix

    def __str__(self) -> str:
        return f"{self._store.name}/{self._path}"

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Opens the recording for the `with` statement.

        Raises:
            ObjectStoreError: at the end of the statement, in place of any other error, if the store failed meanwhile:
                libsndfile takes every failure to read for the end of the file.
        """
        with self._store.open_read(self._path) as stream:
            file = _Reading(stream)
            try:
                yield cast(BinaryIO, file)
            finally:
                if file.failure is not None:
                    raise file.failure


class _Reading(io.RawIOBase):
    """Reads a stream, and keeps the first error of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.failure: MonitorError | None = None
        self._stream = stream

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Moves to a position, and returns it."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self._stream.tell()

    def readinto(self, buffer: Any) -> int:
        """Reads into a buffer; returns the number of bytes, 0 also if the store fails."""
        if self.failure is not None:
            return 0
        view = memoryview(buffer).cast("B")
        done = 0
        try:
            while done < len(view) and (part := self._stream.read(len(view) - done)):
                view[done : done + len(part)] = part
                done += len(part)
        except MonitorError as error:
            self.failure = error
        return done
