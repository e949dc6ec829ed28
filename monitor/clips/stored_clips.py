"""The clips of one computer in the object store that several computers share."""

from __future__ import annotations

import calendar
import logging
import shutil
import time
from collections.abc import Iterable
from pathlib import PurePosixPath

from monitor.clips.places import Kept, gather
from monitor.core.atomic_io import remove_leftovers
from monitor.core.object_store import ObjectStore, ObjectStoreError, Stored
from monitor.core.text import stream_folder

LIST_S = 86_400.0  # time after which it is asked anew what there is; in between what this program does to it is enough

log = logging.getLogger(__name__)


def stored_path(host: str, path: str) -> str:
    """Where a file is in the object store: HOST/STREAM/YEAR/MONTH/NAME.

    Args:
        host: name of the computer that wrote it.
        path: relative to its folder of clips.
    """
    return f"{stream_folder(host)}/{path}"


class StoredClips:
    """Clips that one computer has moved into an object store; implements `monitor.clips.places.ClipPlace`.

    It is used by one thread. That other computers change nothing here is why the list of files can be remembered: to
    list thousands of objects takes seconds, and costs money at some providers.

    Args:
        store: the object store.
        host: name of the computer.
    """

    def __init__(self, store: ObjectStore, host: str) -> None:
        self._store, self._host = store, host
        self._known: dict[str, Stored] | None = None  # by their paths in the store; None: not known
        self._listed = 0.0  # on the monotonic clock

    @property
    def name(self) -> str:
        """The address that may be shown, with the folder of the computer."""
        return f"{self._store.name}/{stream_folder(self._host)}"

    def require_usable(self) -> None:
        """Writes a small file and deletes it again.

        Raises:
            ObjectStoreError: if one of that is not possible.
        """
        path = stored_path(self._host, ".write-test")
        self._store.write(path, b"")
        self._store.delete(path)

    def add(self, path: str, content: bytes) -> None:
        """Writes a file, whole or not at all.

        Args:
            path: relative to the folder of clips.
            content: of the file.

        Raises:
            ObjectStoreError: if it cannot be written.
        """
        stored = stored_path(self._host, path)
        self._store.write(stored, content)
        if self._known is not None:
            self._known[stored] = Stored(stored, len(content), time.time())

    def found(self) -> Iterable[Kept]:
        """The events with files in the store; their age is that of the sound.

        Raises:
            ObjectStoreError: if the store does not answer.
        """
        if self._known is None or time.monotonic() - self._listed > LIST_S:
            self._known = {one.path: one for one in self._store.list(stream_folder(self._host))}
            self._listed = time.monotonic()
        events: dict[str, Kept] = {}
        for path, size, modified in self._known.values():
            name = PurePosixPath(path).name
            gather(events, name, path, size, _began(name, modified))
        return events.values()

    def remove(self, path: str) -> bool:
        """Deletes a file."""
        try:
            self._store.delete(path)
        except ObjectStoreError as error:
            log.warning("%s: an old clip cannot be deleted: %s", self.name, error)
            return False
        if self._known is not None:
            self._known.pop(path, None)
        return True

    def free(self) -> int | None:
        """The free bytes of the disk, where the store is a folder."""
        try:
            return None if self._store.folder is None else shutil.disk_usage(self._store.folder).free
        except OSError:
            return None

    def tidy(self) -> None:
        """Removes what killed programs left half written, where the store is a folder."""
        if self._store.folder is not None:
            remove_leftovers(self._store.folder / stream_folder(self._host), below=True)

    def close(self) -> None:
        """Ends the connections."""
        self._store.close()


def _began(name: str, otherwise: float) -> float:
    """The Unix time at which the sound of a file began, by its name."""
    try:
        return calendar.timegm(time.strptime(name[:16], "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return otherwise
