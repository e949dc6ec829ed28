"""Archives of recordings, a folder, a file, a pattern of names or an object store: what is in them, how to read it."""

from __future__ import annotations

import functools
import glob
import os
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from monitor.audio.remote_recording import RemoteRecording
from monitor.audio.sound_files import files_below, is_hidden, sound_suffixes
from monitor.core.errors import ConfigError, DataError
from monitor.core.object_address import ObjectAddress
from monitor.core.object_store import ObjectStore

_MAGIC = ("*", "?", "[")


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A recording in an archive, as it is listed."""

    name: str  # its path below the archive, with slashes
    size: int  # bytes
    modified: float  # Unix time


@dataclass(frozen=True, slots=True)
class Archive:
    """Where recordings are. It is sent to other processes, which open the recordings by their names.

    Attributes:
        text: what was given, such as `recordings/`, `2026-*/*.flac` or `s3://bucket/hall-3`.
        root: the folder, or the address, that names are below.
        pattern: of the names, if only some are meant; empty: all recordings.
        remote: whether `root` is the address of an object store.
    """

    text: str
    root: str
    pattern: str = ""
    remote: bool = False

    @classmethod
    def parse(cls, text: str) -> Archive:
        """The archive that somebody names.

        Raises:
            ConfigError: if it is an address that cannot be one.
            DataError: if there is nothing of this name.
        """
        if "://" in text and (address := ObjectAddress.parse(text)).folder is None:
            return cls(address.name, text, remote=True)
        path = Path(text if "://" not in text else str(ObjectAddress.parse(text).folder)).expanduser()
        if path.is_dir():
            return cls(str(path), str(path.absolute()))
        if path.is_file():
            return cls(str(path), str(path.parent.absolute()), glob.escape(path.name))
        parts = path.parts
        first = next((n for n, part in enumerate(parts) if any(sign in part for sign in _MAGIC)), len(parts))
        if first == len(parts):
            raise DataError(f"{path}: there is no such file or folder.")
        return cls(str(path), str(Path(*parts[:first]).absolute()), str(Path(*parts[first:])))

    def files(self) -> list[ArchiveFile]:
        """All recordings, sorted by name; what is no sound file by its suffix, and what is hidden, is left out.

        Raises:
            DataError: if there is none, or a folder cannot be read.
            ObjectStoreError: if the store does not answer.
        """
        try:
            found = list(self._stored() if self.remote else self._local())
        except OSError as error:
            raise DataError(f"{error.filename}: cannot be read: {error.strerror}.") from None
        if not found:
            raise DataError(f"{self.text}: no recordings there.")
        return sorted(found, key=lambda one: one.name)

    def recording(self, name: str) -> Path | RemoteRecording:
        """A recording, ready to be opened, on any computer that reaches the archive by its address.

        Raises:
            ObjectStoreError: if a library for the store is not installed.
        """
        return RemoteRecording(_store(self.root), name) if self.remote else Path(self.root, name)

    def link(self, name: str, start: Path) -> str:
        """The address of a recording for a page in the folder `start`; empty if a browser cannot open it."""
        if self.remote:
            web = self.root.partition("?")[0].rstrip("/")
            return f"{web}/{urllib.parse.quote(name)}" if web.startswith(("http://", "https://")) else ""
        return urllib.parse.quote(os.fsencode(os.path.relpath(Path(self.root, name), start)))

    def _local(self) -> Iterator[ArchiveFile]:
        root = Path(self.root)
        if self.pattern:
            paths = sorted({path for found in root.glob(self.pattern) for path in _sound_files(found)})
        else:
            paths = list(_sound_files(root))
        for path in paths:
            try:
                facts = path.stat()
            except OSError:  # a broken link, or it has just been deleted
                continue
            yield ArchiveFile(path.relative_to(root).as_posix(), facts.st_size, facts.st_mtime)

    def _stored(self) -> Iterator[ArchiveFile]:
        for one in _store(self.root).list():
            path = PurePosixPath(one.path)
            if path.suffix.lower() in sound_suffixes() and not any(map(is_hidden, path.parts)):
                yield ArchiveFile(one.path, one.size, one.modified)


def _sound_files(path: Path) -> Iterator[Path]:
    """The sound files in a folder and below it; a file is taken as it is."""
    if path.is_dir():
        yield from (file for file in files_below(path) if file.suffix.lower() in sound_suffixes())
    elif path.suffix.lower() in sound_suffixes():
        yield path


@functools.cache
def _store(address: str) -> ObjectStore:
    """The store of an address, opened once in each process."""
    try:
        return ObjectStore.open(address)
    except ConfigError as error:
        raise ConfigError(f"ARCHIVE: {error}") from None
