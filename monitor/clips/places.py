"""Where clips are kept: a folder of this computer, from which they may be moved on."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from monitor.clips.clip import NAME
from monitor.core.atomic_io import remove_leftovers

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Kept:
    """The files of one event."""

    event_id: str
    modified: float = 0.0  # Unix time of the newest one
    size: int = 0  # bytes
    paths: list[str] = field(default_factory=list)  # in the place
    deleted: bool = False


class ClipPlace(Protocol):
    """A place in which clips are kept. Only files whose names have the form of `monitor.clips.clip.NAME` count."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def found(self) -> Iterable[Kept]:
        """The events with files in it.

        Raises:
            MonitorError: if that is not known at present.
        """

    def remove(self, path: str) -> bool:
        """Deletes a file; returns False if it is still there, which is logged."""

    def free(self) -> int | None:
        """The free bytes of its disk; None where that does not matter."""

    def tidy(self) -> None:
        """Removes what is of no use to anybody."""


def gather(events: dict[str, Kept], name: str, path: str, size: int, modified: float) -> None:
    """Adds a file to the events that it may belong to, by its name; others are left out."""
    if match := NAME.fullmatch(name):
        one = events.setdefault(match["event"], Kept(match["event"]))
        one.modified = max(one.modified, modified)
        one.size += size
        one.paths.append(path)


class LocalClips:
    """The folder of clips on this computer; implements `ClipPlace`.

    Files that vanish, and ones that cannot be deleted, do no harm.

    Args:
        folder: the folder; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._folder)

    def found(self) -> Iterable[Kept]:
        """The events with files in the folder."""
        events: dict[str, Kept] = {}
        for path in self.files():
            with contextlib.suppress(OSError):  # it has just been deleted
                facts = path.lstat()
                relative = path.relative_to(self._folder).as_posix()
                gather(events, path.name, relative, facts.st_size, facts.st_mtime)
        return events.values()

    def files(self) -> list[Path]:
        """All files of clips in the folder and below it, in the order in which their sound began."""
        found = [Path(current, name) for current, _, names in os.walk(self._folder) for name in names]
        return sorted((path for path in found if NAME.fullmatch(path.name)), key=lambda path: path.name)

    def remove(self, path: str) -> bool:
        """Deletes a file, and the folders that become empty."""
        file = self._folder / path
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s: cannot be deleted: %s.", file, error.strerror)
            return False
        with contextlib.suppress(OSError):  # not empty
            for parent in file.parents:
                if parent == self._folder:
                    break
                parent.rmdir()
        return True

    def free(self) -> int | None:
        """The free bytes of its disk; None as long as the folder does not exist."""
        try:
            return shutil.disk_usage(self._folder).free
        except OSError:
            return None

    def tidy(self) -> None:
        """Removes what killed programs left half written."""
        remove_leftovers(self._folder, below=True)
