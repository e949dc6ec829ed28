"""Deletes clips that are too old, too many, or in the way of other data; never those that somebody wants to keep."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from monitor.clips.clip import NAME
from monitor.config.plant import Clips
from monitor.core.atomic_io import remove_leftovers
from monitor.core.errors import MonitorError
from monitor.core.text import counted

DAY_S = 86_400.0
AT_ONCE = 500  # events in one question to the store

log = logging.getLogger(__name__)


class ClipRecords(Protocol):
    """What the store knows of clips; `monitor.clips.clip_records.StoreRecords` is one."""

    def kept(self, event_ids: Sequence[str]) -> Collection[str]:
        """The events among these whose clips must not be deleted.

        Raises:
            MonitorError: if that is not known at present; then nothing is deleted.
        """

    def forget(self, event_ids: Sequence[str], note: str) -> None:
        """Notes that the clips of these events are deleted.

        Raises:
            MonitorError: if it cannot be noted; then they are not deleted.
        """


class NoRecords:
    """There is no store: only the files count."""

    def kept(self, event_ids: Sequence[str]) -> Collection[str]:  # noqa: ARG002 - as the protocol
        """No event is kept."""
        return ()

    def forget(self, event_ids: Sequence[str], note: str) -> None:
        """There is nothing to note."""


@dataclass(slots=True)
class _Kept:
    """The files of one event."""

    event_id: str
    modified: float = 0.0  # Unix time of the newest one
    size: int = 0  # bytes
    paths: list[Path] = field(default_factory=list)


class Retention:
    """Deletes the clips that the settings do not allow, the oldest first, with their pictures and empty folders.

    Only files whose names have the form of `monitor.clips.clip.NAME` are deleted. Files that vanish, and ones that
    cannot be deleted, do no harm.

    Args:
        folder: of the clips.
        settings: how long, how many, and how much of the disk has to be free.
        records: knows which events are kept.
    """

    def __init__(self, folder: Path, settings: Clips, records: ClipRecords) -> None:
        self._folder, self._settings, self._records = folder, settings, records
        self._said = False  # that locked clips alone are too large

    def clean(self, needed: int = 0) -> None:
        """Deletes what is too old or too much. If the store does not answer, it is left for the next time.

        Args:
            needed: bytes that are about to be written.
        """
        try:
            self._clean(needed)
        except MonitorError as error:
            log.warning("%s: old clips cannot be deleted at present: %s", self._folder, error)
        remove_leftovers(self._folder, below=True)

    def _clean(self, needed: int) -> None:
        found = sorted(self._found(), key=lambda one: one.modified)
        oldest = time.time() - self._settings.keep_days * DAY_S
        old = [one for one in found if one.modified < oldest]
        self._delete(old, f"older than {self._settings.keep_days:g} days", None)
        if old:
            found = _there(found)
        # The newest clip stays, even if it alone is larger than that.
        self._delete(found[:-1], f"clips.max_gb: {self._settings.max_gb:g}", self._above_max(found, needed))
        if (missing := self._missing_free(needed)) > 0:
            self._delete(_there(found), f"clips.min_free_gb: {self._settings.min_free_gb:g}", missing)

    def _above_max(self, found: Iterable[_Kept], needed: int) -> int:
        return sum(one.size for one in found) + needed - round(self._settings.max_gb * 1e9)

    def _missing_free(self, needed: int) -> int:
        """The bytes of the disk that are to be made free."""
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError:  # the folder does not exist yet
            return 0
        return needed + round(self._settings.min_free_gb * 1e9) - free

    def _found(self) -> Iterable[_Kept]:
        """The events with files in the folder."""
        events: dict[str, _Kept] = {}
        for current, _, names in os.walk(self._folder):
            for name in names:
                if not (match := NAME.fullmatch(name)):
                    continue
                path = Path(current, name)
                try:
                    facts = path.lstat()
                except OSError:
                    continue  # it has just been deleted
                one = events.setdefault(match["event"], _Kept(match["event"]))
                one.modified = max(one.modified, facts.st_mtime)
                one.size += facts.st_size
                one.paths.append(path)
        return events.values()

    def _delete(self, candidates: Sequence[_Kept], why: str, size: int | None) -> None:
        """Deletes candidates in order: so many that `size` bytes become free, or all; none that is to be kept."""
        if size is not None and size <= 0:
            return
        freed = deleted = held = 0
        for start in range(0, len(candidates), AT_ONCE):
            some = candidates[start : start + AT_ONCE]
            kept = set(self._records.kept([one.event_id for one in some]))
            held += len(kept)
            chosen: list[_Kept] = []
            for one in some:
                if size is not None and freed >= size:
                    break
                if one.event_id not in kept:
                    chosen.append(one)
                    freed += one.size
            if chosen:
                # First in the store: files that nobody knows of are found here again, but not the other way round.
                self._records.forget([one.event_id for one in chosen], f"The clip was deleted ({why}).")
            for path in (path for one in chosen for path in one.paths):
                self._remove(path)
            deleted += len(chosen)
            if size is not None and freed >= size:
                break
        if deleted:
            log.info("%s: %s deleted (%s).", self._folder, counted(deleted, "old clip"), why)
        if size is not None and freed < size and held and not self._said:
            self._said = True
            log.warning("%s: the clips that are to be kept leave no room for others (%s).", self._folder, why)

    def _remove(self, path: Path) -> None:
        """Deletes a file, and the folders that become empty."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s: cannot be deleted: %s.", path, error.strerror)
            return
        with contextlib.suppress(OSError):  # not empty
            for parent in path.parents:
                if parent == self._folder:
                    break
                parent.rmdir()


def _there(found: Iterable[_Kept]) -> list[_Kept]:
    """Those that have not been deleted."""
    return [one for one in found if any(os.path.lexists(path) for path in one.paths)]
