"""ObjectStore: files by name in a folder, in S3, or wherever else fsspec reaches; each written whole or not at all."""

from __future__ import annotations

import abc
import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from monitor.core.atomic_io import TEMPORARY, atomic_file
from monitor.core.object_address import ObjectAddress
from monitor.core.object_errors import ObjectMissing, ObjectStoreError

__all__ = ["FolderStore", "ObjectMissing", "ObjectStore", "ObjectStoreError", "Stored"]


class Stored(NamedTuple):
    """A file in an object store."""

    path: str  # below the address
    size: int  # bytes
    modified: float  # Unix time; 0: not known


class ObjectStore(abc.ABC):
    """Files by name. Paths are relative to the address of the store, with slashes.

    One object may be used by several threads. Methods of one on a server take a limited time, and ask it only when they
    are called. Messages of errors contain no password, nor anything else of the libraries' own texts.

    Args:
        name: the address as it may be shown.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def open(cls, url: str, *, create: bool = False) -> ObjectStore:
        """Opens a store by its address: a folder, `file://`, `s3://`, or another one of fsspec. It asks no server.

        Args:
            url: the address, as `monitor.core.object_address.ObjectAddress.parse` takes it.
            create: whether a missing folder is created, where the address is one. Otherwise it has to be there: that of
                a disk that is not mounted must not be filled.

        Raises:
            ConfigError: if it is no address, or contains a password.
            ObjectStoreError: if a library for it is not installed.
        """
        address = ObjectAddress.parse(url)
        if address.folder is not None:
            return FolderStore(address.folder, create=create)
        from monitor.core.fsspec_store import FsspecStore

        return FsspecStore(address)

    @property
    def folder(self) -> Path | None:
        """The folder, if the store is one of this computer."""
        return None

    @abc.abstractmethod
    def read(self, path: str) -> bytes:
        """The content of a file.

        Raises:
            ObjectMissing: if there is none of this name.
            ObjectStoreError: if it cannot be read.
        """

    @abc.abstractmethod
    def write(self, path: str, content: bytes | Path) -> None:
        """Writes a file whole or not at all; an existing one is replaced.

        Args:
            path: of the file in the store; missing folders are created.
            content: the bytes, or the local file that has them.

        Raises:
            ObjectStoreError: if it cannot be written.
        """

    @abc.abstractmethod
    def size(self, path: str) -> int:
        """The size of a file in bytes.

        Raises:
            ObjectMissing: if there is none of this name.
            ObjectStoreError: if it cannot be found out.
        """

    @abc.abstractmethod
    def delete(self, path: str) -> None:
        """Deletes a file, if there is one.

        Raises:
            ObjectStoreError: if it cannot be deleted.
        """

    @abc.abstractmethod
    def list(self, prefix: str = "") -> Iterator[Stored]:
        """All files in a folder of the store and below it; none if there is no such folder.

        Args:
            prefix: path of the folder; empty: the whole store.

        Raises:
            ObjectStoreError: if the store does not answer.
        """

    @abc.abstractmethod
    def open_read(self, path: str) -> BinaryIO:
        """Opens a file for reading, of which only what is read is fetched; it can seek. Its errors are in words, too.

        Raises:
            ObjectMissing: if there is none of this name.
            ObjectStoreError: if it cannot be opened.
        """

    def exists(self, path: str) -> bool:
        """Whether there is a file of this name.

        Raises:
            ObjectStoreError: if that cannot be found out.
        """
        try:
            self.size(path)
        except ObjectMissing:
            return False
        return True

    def close(self) -> None:  # noqa: B027 - only some have something to close
        """Ends the connections. The store may be used again after that."""

    def __enter__(self) -> ObjectStore:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _checked(self, path: str) -> str:
        """The path, which has to stay below the address.

        Raises:
            ObjectStoreError: if it does not.
        """
        parts = PurePosixPath(path).parts
        if not parts or ".." in parts or parts[0] == "/" or not path.isprintable():
            raise ObjectStoreError(f"{self.name}: a name in it is no path below it.")
        return "/".join(parts)


class FolderStore(ObjectStore):
    """A folder of this computer, such as one of a mounted file server.

    Args:
        folder: the folder.
        create: whether it is created if it is missing.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        super().__init__(str(folder))
        self._folder, self._create = folder, create

    @property
    def folder(self) -> Path:
        """The folder."""
        return self._folder

    def read(self, path: str) -> bytes:
        """As `ObjectStore.read`."""
        with self._words(path):
            return self._file(path).read_bytes()

    def write(self, path: str, content: bytes | Path) -> None:
        """As `ObjectStore.write`."""
        with self._words(path):
            if not self._create:
                self._require_folder()
            with atomic_file(self._file(path)) as file:
                if isinstance(content, bytes):
                    file.write(content)
                else:
                    with content.open("rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)

    def size(self, path: str) -> int:
        """As `ObjectStore.size`."""
        with self._words(path):
            file = self._file(path)
            if file.is_dir():
                raise FileNotFoundError
            return file.stat().st_size

    def delete(self, path: str) -> None:
        """As `ObjectStore.delete`; folders that become empty go, too."""
        file = self._file(path)
        with contextlib.suppress(ObjectMissing), self._words(path):
            file.unlink()
        with contextlib.suppress(OSError):  # not empty
            for parent in file.parents:
                if parent == self._folder:
                    break
                parent.rmdir()

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """As `ObjectStore.list`, in the order of names."""
        if not self._create:
            self._require_folder()
        for current, folders, names in os.walk(self._file(prefix) if prefix else self._folder):
            folders.sort()
            for name in sorted(names):
                file = Path(current, name)
                if TEMPORARY.fullmatch(name):
                    continue
                with contextlib.suppress(OSError):  # it has just been deleted
                    facts = file.stat()
                    yield Stored(file.relative_to(self._folder).as_posix(), facts.st_size, facts.st_mtime)

    def open_read(self, path: str) -> BinaryIO:
        """As `ObjectStore.open_read`."""
        with self._words(path):
            return self._file(path).open("rb")

    def _file(self, path: str) -> Path:
        return self._folder / self._checked(path)

    def _require_folder(self) -> None:
        """Raises ObjectStoreError if the folder is missing."""
        if not self._folder.is_dir():
            if self._folder.exists():
                raise ObjectStoreError(f"{self.name}: this is a file: give a folder.")
            raise ObjectStoreError(f"{self.name}: there is no such folder: create it, or mount its disk.")

    @contextlib.contextmanager
    def _words(self, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            self._require_folder()
            raise ObjectMissing(f"{self.name}/{path}: there is no such file.") from None
        except OSError as error:
            if isinstance(error, NotADirectoryError):
                self._require_folder()
            raise ObjectStoreError(f"{self.name}/{path}: {error.strerror or error}.") from None
