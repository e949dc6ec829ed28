"""FsspecStore: the object store on a server, through fsspec and its library for that kind of server (s3fs for S3)."""

from __future__ import annotations

import contextlib
import datetime
import io
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from monitor.core.atomic_io import TEMPORARY
from monitor.core.errors import MonitorError
from monitor.core.object_address import S3, ObjectAddress
from monitor.core.object_errors import LibraryMissing, ObjectMissing, ObjectStoreError, in_words, is_missing
from monitor.core.object_store import ObjectStore, Stored

CONNECT_S, READ_S = 5.0, 15.0  # longest time for a connection, and without a byte from the server
LONGEST_S = 600.0  # longest time for a whole answer, such as a list of many files
SLOWEST = 50_000  # bytes per second at which a file is written at least
BLOCK = 1 << 20  # bytes that `open_read` fetches at once
# Kinds of servers on which a file appears when all of it has arrived. On others it is renamed when it is complete.
APPEAR_WHOLE = (*S3, "gs", "gcs", "abfs", "abfss", "az", "oci", "oss")


class FsspecStore(ObjectStore):
    """An object store on a server.

    Credentials are looked up when they are needed; ones that were refused are looked up again the next time.

    Args:
        address: of the store.

    Raises:
        ObjectStoreError: if a library for it is not installed.
    """

    def __init__(self, address: ObjectAddress) -> None:
        super().__init__(address.name)
        self._address = address
        self._lock = threading.Lock()
        self._opened: Any = None  # the file system of fsspec
        self._process = 0  # in which it was opened: its thread does not survive a fork
        self._root: str = self._system()._strip_protocol(address.url).rstrip("/")

    def read(self, path: str) -> bytes:
        """As `ObjectStore.read`."""
        return cast(bytes, self._call("cat_file", self._full(path), limit_s=LONGEST_S))

    def write(self, path: str, content: bytes | Path) -> None:
        """As `ObjectStore.write`."""
        target = self._full(path)
        if self._address.scheme in APPEAR_WHOLE:
            self._send(target, content)
            return
        folder, _, name = target.rpartition("/")
        unfinished = f"{folder}/.{name}.{secrets.token_hex(8)}.tmp"
        self._call("makedirs", folder, exist_ok=True)
        try:
            self._send(unfinished, content)
            self.delete(path)  # some servers rename nothing to a name that is taken
            self._rename(unfinished, target)
        except ObjectStoreError:
            with contextlib.suppress(ObjectStoreError):
                self._call("rm_file", unfinished)
            raise

    def size(self, path: str) -> int:
        """As `ObjectStore.size`."""
        facts = self._call("info", self._full(path))
        if facts.get("type") == "directory":
            raise ObjectMissing(f"{self.name}/{path}: this is a folder.")
        return int(facts.get("size") or 0)

    def delete(self, path: str) -> None:
        """As `ObjectStore.delete`."""
        with contextlib.suppress(ObjectMissing):
            self._call("rm_file", self._full(path))

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """As `ObjectStore.list`; the server is asked once for all of them."""
        try:
            found = self._call("find", self._full(prefix) if prefix else self._root, detail=True, limit_s=LONGEST_S)
        except ObjectMissing:
            return
        start = len(self._root) + 1
        for name, facts in found.items():
            if facts.get("type") != "directory" and not TEMPORARY.fullmatch(name.rpartition("/")[2]):
                yield Stored(name[start:], int(facts.get("size") or 0), _modified(facts))

    def open_read(self, path: str) -> BinaryIO:
        """As `ObjectStore.open_read`."""
        full, system = self._full(path), self._system()
        with self._words():
            opened = system.open(full, "rb", block_size=BLOCK)
        return cast(BinaryIO, io.BufferedReader(_Reading(self, opened)))

    def close(self) -> None:
        """As `ObjectStore.close`."""
        with self._lock:
            opened, self._opened = self._opened, None
        creator = getattr(opened, "_s3creator", None)
        if creator is not None and self._process == os.getpid():
            with contextlib.suppress(Exception):  # it only tidies up
                opened.close_session(opened.loop, creator)

    def _full(self, path: str) -> str:
        return f"{self._root}/{self._checked(path)}"

    def _send(self, target: str, content: bytes | Path) -> None:
        if isinstance(content, bytes):
            self._call("pipe_file", target, content, limit_s=READ_S + len(content) / SLOWEST)
        else:
            with self._words():
                size = content.stat().st_size
            self._call("put_file", str(content), target, limit_s=READ_S + size / SLOWEST)

    def _rename(self, before: str, after: str) -> None:
        """Gives a file another name. What fsspec itself has for that takes brackets in names for patterns."""
        import fsspec

        if type(self._system()).mv is not fsspec.AbstractFileSystem.mv:
            self._call("mv", before, after)
            return
        self._call("cp_file", before, after, limit_s=LONGEST_S)
        self._call("rm_file", before)

    def _system(self) -> Any:
        """The file system of fsspec.

        Raises:
            ObjectStoreError: if a library for it is not installed.
        """
        with self._lock:
            if self._opened is None or self._process != os.getpid():
                with self._words():
                    try:
                        import fsspec

                        self._opened, _ = fsspec.url_to_fs(self._address.url, **_options(self._address))
                    except ImportError:
                        raise LibraryMissing(
                            f"{self.name}: needs a library that is not installed: pip install "
                            f"{_library(self._address.scheme)}."
                        ) from None
                    except ValueError:  # fsspec knows no such scheme
                        raise LibraryMissing(
                            f"{self.name}: {self._address.scheme}:// is no kind of address that fsspec knows."
                        ) from None
                if self._address.scheme in S3:
                    self._opened.retries = 1  # who calls tries again, and knows how often
                self._process = os.getpid()
            return self._opened

    def _call(self, method: str, *args: Any, limit_s: float = 2 * READ_S, **options: Any) -> Any:
        """Calls a method of the file system; one that can be ended takes at most `limit_s` seconds."""
        system = self._system()
        with self._words():
            from fsspec.asyn import AsyncFileSystem, sync

            if isinstance(system, AsyncFileSystem) and hasattr(system, f"_{method}"):
                return sync(system.loop, getattr(system, f"_{method}"), *args, timeout=limit_s, **options)
            return getattr(system, method)(*args, **options)

    @contextlib.contextmanager
    def _words(self) -> Iterator[None]:
        """Turns whatever a library raises into an error with words of ours."""
        try:
            yield
        except MonitorError:
            raise
        except Exception as error:  # noqa: BLE001 - each library has classes of its own
            if is_missing(error):
                raise ObjectMissing(f"{self.name}: there is no such file.") from None
            if isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
                self._opened = None  # the next call looks the credentials up again
            raise ObjectStoreError(f"{self.name}: {in_words(error)}.") from None


class _Reading(io.RawIOBase):
    """A file of fsspec that is read, with errors in words."""

    def __init__(self, store: FsspecStore, file: Any) -> None:
        self._store, self._file = store, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def seek(self, offset: int, whence: int = 0) -> int:
        with self._store._words():
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        with self._store._words():
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            with contextlib.suppress(Exception):  # nothing was written
                self._file.close()
        super().close()


def _options(address: ObjectAddress) -> dict[str, Any]:
    """The arguments of the file system: no cache of lists, no other object's connections, and limited times."""
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False, **address.options}
    if address.scheme not in S3:
        return options
    if "anon" in options:
        options["anon"] = options["anon"].lower() in ("", "1", "true", "yes")
    if region := options.pop("region", ""):
        options["client_kwargs"] = {"region_name": region}
    options["config_kwargs"] = {
        "connect_timeout": CONNECT_S,
        "read_timeout": READ_S,
        "retries": {"total_max_attempts": 1},
        # Otherwise checksums are added that older servers refuse; the signature covers the content anyway.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    return options


def _library(scheme: str) -> str:
    """What is to be installed for a kind of address."""
    return "'acoustic-monitor[objects]'" if scheme in S3 else f"'fsspec[{scheme}]'"


def _modified(facts: Mapping[str, Any]) -> float:
    """When a file was written, as Unix time; libraries have different names for it. 0: not known."""
    for key in ("LastModified", "mtime", "updated", "last_modified", "modified", "created"):
        value = facts.get(key)
        if isinstance(value, datetime.datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0
