"""ClipMover: moves clips from the folder in which they are written to the object store that all computers share."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

from monitor.clips.clip import NAME
from monitor.clips.places import LocalClips
from monitor.clips.retention import AT_ONCE, ClipRecords, NoRecords, Retention
from monitor.clips.stored_clips import StoredClips
from monitor.config.plant import Clips
from monitor.config.schema import Config
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.object_store import ObjectStore, ObjectStoreError
from monitor.core.snapshot import Snapshot
from monitor.core.text import counted
from monitor.outputs.background import BackgroundSink
from monitor.store.location import clips_folder, host_name

LOOK_S = 5.0  # time between two looks for new clips
CLEANING_S = 3600.0  # time between two searches for clips that are too old
LAST_S = 10.0  # longest time for what is left at the end

log = logging.getLogger(__name__)


class MovedRecords(ClipRecords, Protocol):
    """What the store knows of clips; `monitor.clips.clip_records.StoreRecords` is one."""

    def of_others(self, event_ids: Sequence[str], host: str) -> Collection[str]:
        """The events among these that belong to another host than this one.

        Raises:
            MonitorError: if that is not known at present; then nothing is moved.
        """


class ClipMover(BackgroundSink):
    """Moves the clips and pictures of one computer, the oldest first, on a thread of its own.

    The folder is the only memory of what is to be moved: a file is deleted there when all of it is in the object store,
    so what is killed in between, or cut off for an hour, goes on where it was, and writes at most the same file once
    more. While the object store is away the files stay, and it is tried again, less and less often. Nothing waits for
    it, neither the engine nor the end of the program.

    Args:
        folder: in which clips are written.
        stored: where they belong.
        settings: how long they are kept there.
        records: knows which events are kept.
        host: name of this computer; clips of events that are stored under another name stay in the folder, because
            they would not be found in the object store.
    """

    def __init__(self, folder: Path, stored: StoredClips, settings: Clips, records: MovedRecords, host: str) -> None:
        self._folder, self._stored, self._settings, self._host = folder, stored, settings, host
        self._local, self._records = LocalClips(folder), records
        self._retention = Retention(stored, settings, records)
        self._usable = False  # whether something could be written since the start
        self._left: set[Path] = set()  # files that stay where they are
        self._next_look = self._next_cleaning = -math.inf  # on the monotonic clock
        super().__init__("moving clips", wait=False, size=1, amount=lambda count: counted(count, "file"))

    @property
    def error(self) -> MonitorError | None:
        """None: what cannot be moved is not lost."""
        return self._failure

    @error.setter
    def error(self, error: MonitorError | None) -> None:
        self._failure = error

    @property
    def trouble(self) -> str:
        """Why clips cannot be moved at present; empty if they can."""
        why = self._worker.failure
        return str(self._failure or (f"{why}; clips wait in {self._folder}." if why else ""))

    def snapshot(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - only its time counts
        """Looks for clips that are to be moved when that is due."""
        if time.monotonic() >= self._next_look and not self._worker.full:
            self._next_look = time.monotonic() + LOOK_S
            self._put(self._work, 0)

    def close(self) -> None:
        """Ends the thread. What has not been moved stays in the folder."""
        super().close()
        self._stored.close()

    def finish(self) -> None:
        """Moves what the last streams have written, after they and this sink were closed; takes a limited time."""
        deadline = time.monotonic() + LAST_S
        failures = [f" {self._worker.failure}."] if self._worker.failure else []

        def move() -> None:
            try:
                self._move(lambda: time.monotonic() >= deadline)
            except MonitorError as error:
                failures.append(f" {error}")
            finally:
                self._stored.close()

        if not failures:
            thread = threading.Thread(target=move, name="moving the last clips", daemon=True)
            thread.start()
            thread.join(LAST_S)
        if waiting := len([file for file in self._local.files() if file not in self._left]):
            why = "".join(failures) or " There was no time for more."
            files = counted(waiting, "file waits", "files wait")
            log.warning("%s in %s to be moved when the monitor runs again.%s", files, self._folder, why)

    def _work(self) -> None:
        """Does what is due.

        Raises:
            MonitorError: if the object store or the store does not answer.
        """
        if not self._usable:
            self._stored.require_usable()
            self._usable = True
        self._move(lambda: self._worker.abandoned)
        if time.monotonic() >= self._next_cleaning:
            self._next_cleaning = time.monotonic() + CLEANING_S
            self._retention.clean()

    def _move(self, given_up: Callable[[], bool]) -> None:
        files = [file for file in self._local.files() if file not in self._left]
        for start in range(0, len(files), AT_ONCE):
            some = files[start : start + AT_ONCE]
            events = {file: match["event"] for file in some if (match := NAME.fullmatch(file.name))}
            others = set(self._records.of_others(list(set(events.values())), self._host))
            for file in some:
                if given_up():
                    return
                if events[file] in others:
                    self._left.add(file)
                else:
                    self._move_one(file)

    def _move_one(self, file: Path) -> None:
        """Moves a file; one that cannot be read or deleted here stays, because the others shall not wait for it."""
        try:
            content = file.read_bytes()
            self._make_room(len(content))
            self._stored.add(file.relative_to(self._folder).as_posix(), content)
            file.unlink()
        except FileNotFoundError:  # it was too old
            return
        except OSError as error:
            self._left.add(file)
            log.error("%s: cannot be moved to %s: %s.", file, self._stored.name, error.strerror)

    def _make_room(self, size: int) -> None:
        """Makes room in an object store that is a folder.

        Raises:
            ObjectStoreError: if its disk is too full.
        """
        least = size + round(self._settings.min_free_gb * 1e9)
        if (free := self._stored.free()) is not None and free < least:
            self._retention.clean(needed=size)
            if (free := self._stored.free()) is not None and free < least:
                gb = f"{self._settings.min_free_gb:g} GB"
                raise ObjectStoreError(f"{self._stored.name}: less than {gb} would remain free (clips.min_free_gb).")


def clip_mover(config: Config, records: MovedRecords | None) -> ClipMover:
    """The mover that settings with a `clips.url` ask for; errors are those of `stored_clips`.

    Args:
        config: the settings.
        records: what the store knows of clips; None: there is no store.
    """
    stored, host = stored_clips(config), host_name(config)
    return ClipMover(clips_folder(config), stored, config.clips, records or NoRecords(), host)


def stored_clips(config: Config) -> StoredClips:
    """The place in the object store that settings with a `clips.url` ask for. It is not asked.

    Raises:
        ConfigError: if the address is none, or one of the folders is in the other.
        ObjectStoreError: if a library for the address is not installed.
    """
    folder, store = clips_folder(config), ObjectStore.open(config.clips.url)
    if store.folder is not None:
        here, there = folder.resolve(), store.folder.resolve()
        if here.is_relative_to(there) or there.is_relative_to(here):
            raise ConfigError(f"clips.url: {there} and the folder of clips, {here}, must not be in one another.")
    return StoredClips(store, host_name(config))
