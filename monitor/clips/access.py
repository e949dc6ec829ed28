"""ClipAccess: a clip or picture as a local file, wherever it is: in the folder of clips, or in the object store."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeVar

from monitor.clips.clip_cache import ClipCache
from monitor.clips.stored_clips import stored_path
from monitor.config.schema import Config
from monitor.core.errors import MonitorError
from monitor.core.object_store import ObjectMissing, ObjectStore, ObjectStoreError
from monitor.store.location import clips_cache, clips_folder

T = TypeVar("T")
FAILED_S = 10.0  # time for which an object store that has failed is not asked again


class NoClip(MonitorError):
    """There is no such file, or it may not be read; the message says which."""


class ClipAccess:
    """Finds the files of events. For any thread.

    A path comes from the database, and is believed only as far as it stays below its folder. The folder of clips is
    looked at first, then the object store.

    Args:
        config: has the folder of clips and the address of the object store.
    """

    def __init__(self, config: Config) -> None:
        self.folder, self._url = clips_folder(config).absolute(), config.clips.url
        self._cache = ClipCache(clips_cache(config))
        self._lock = threading.Lock()
        self._opened: ObjectStore | None = None
        self._failure, self._failed = ObjectStoreError(""), float("-inf")  # the last one, on the monotonic clock
        self._sizes: dict[str, dict[str, int]] = {}  # of files, by folders of the object store

    def local(self, host: str, path: str) -> Path:
        """A file of an event on this computer, fetched if it is only in the object store.

        Args:
            host: name of the computer that wrote it.
            path: relative to that computer's folder of clips.

        Returns:
            its path without links. Where clips are moved to an object store, it is that of a copy, which stays for
            six hours at least.

        Raises:
            NoClip: if there is no such file, or it cannot be kept here.
            ObjectStoreError: if the object store does not answer.
        """
        stored = stored_path(host, path)
        if (file := self._here(path)) is not None:
            # It may be moved to the object store at any moment.
            return (self._cache.keep(stored, file) or file) if self._url else file
        if (file := self._shared(stored) or self._cache.get(stored)) is not None:
            return file
        content = self._fetched(stored)
        try:
            return self._cache.put(stored, content)
        except OSError as error:
            raise NoClip(f"{error.filename}: a clip from the object store cannot be kept: {error.strerror}.") from None

    def read(self, host: str, path: str) -> bytes:
        """The content of a file of an event; nothing is written. Arguments and errors are those of `local`."""
        stored = stored_path(host, path)
        with contextlib.suppress(FileNotFoundError):  # it has just been moved
            if (file := self._here(path)) is not None:
                return _content(file)
        with contextlib.suppress(FileNotFoundError):
            if (file := self._shared(stored) or self._cache.get(stored)) is not None:
                return _content(file)
        return self._fetched(stored)

    def size(self, host: str, path: str) -> int:
        """The size of a file of an event in bytes. Arguments and errors are those of `local`.

        The object store is asked once for all files of a folder, so this is for many files at one time.
        """
        with contextlib.suppress(FileNotFoundError):
            if (file := self._here(path)) is not None:
                return file.stat().st_size
        store, stored = self._store(), stored_path(host, path)
        if (file := self._shared(stored)) is not None:
            return file.stat().st_size
        folder = str(PurePosixPath(stored).parent)
        if folder not in self._sizes:
            self._sizes[folder] = self._asked(lambda: {one.path: one.size for one in store.list(folder)})
        if stored not in self._sizes[folder]:
            raise _gone(store, stored)
        return self._sizes[folder][stored]

    def where(self, host: str, path: str) -> str:
        """Where a file of an event is, for people: a path, or its address in the object store. Nothing is asked."""
        file = self.folder / path
        return str(file) if not self._url or file.is_file() else f"{self._store().name}/{stored_path(host, path)}"

    def close(self) -> None:
        """Ends the connections."""
        if self._opened is not None:
            self._opened.close()

    def _here(self, path: str) -> Path | None:
        """The file in the folder of clips; None if it may be in the object store.

        Raises:
            NoClip: if it cannot be there, either.
        """
        try:
            return file_below(self.folder, path)
        except FileNotFoundError:
            if not self._url:
                raise NoClip(f"{self.folder / path}: the file is gone; it may have been deleted by hand.") from None
            return None

    def _shared(self, stored: str) -> Path | None:
        """The file in an object store that is a folder; None if it is no folder.

        Raises:
            NoClip: if there is no such file.
            ObjectStoreError: if there is no such folder.
        """
        store = self._store()
        if store.folder is None:
            return None
        try:
            return file_below(store.folder, stored)
        except FileNotFoundError:
            store.exists(stored)  # raises the error if the folder is missing
            raise _gone(store, stored) from None

    def _store(self) -> ObjectStore:
        with self._lock:
            if self._opened is None:
                self._opened = ObjectStore.open(self._url)
            return self._opened

    def _fetched(self, stored: str) -> bytes:
        store = self._store()
        try:
            return self._asked(lambda: store.read(stored))
        except ObjectMissing:
            raise _gone(store, stored) from None

    def _asked(self, question: Callable[[], T]) -> T:
        """What the object store answers. One that has failed is not asked again at once, which would take seconds."""
        if time.monotonic() - self._failed < FAILED_S:
            raise ObjectStoreError(*self._failure.messages)
        try:
            return question()
        except ObjectMissing:
            raise
        except ObjectStoreError as error:
            self._failure, self._failed = error, time.monotonic()
            raise


def file_below(folder: Path, path: str) -> Path:
    """A plain file below a folder; a symbolic link may not lead out of it.

    Args:
        folder: the folder, which may itself be a link.
        path: relative to it.

    Returns:
        the path without links.

    Raises:
        FileNotFoundError: if there is none.
        NoClip: if the path leads elsewhere, or the file cannot be read.
    """
    if not path or "\0" in path or Path(path).is_absolute() or ".." in Path(path).parts:
        raise NoClip("This event has no such file.")
    try:
        root = folder.resolve()
        file = (root / path).resolve()
        plain = file.is_relative_to(root) and stat.S_ISREG(os.lstat(file).st_mode)
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError) as error:  # no permission; links that go round in a circle
        reason = getattr(error, "strerror", None) or "its links go round in a circle"
        raise NoClip(f"{folder / path}: cannot be read: {reason}.") from None
    if not plain:
        raise NoClip("This event has no such file.")
    return file


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NoClip(f"{file}: cannot be read: {error.strerror}.") from None


def _gone(store: ObjectStore, stored: str) -> NoClip:
    return NoClip(f"{store.name}/{stored}: the file is gone; it may have been deleted by hand.")
