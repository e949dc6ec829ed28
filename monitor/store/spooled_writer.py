"""The writer for a store on a server: it writes into the spool, from which entries are copied to the server."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import sqlalchemy as sa

from monitor.core.errors import MonitorError
from monitor.core.text import counted
from monitor.store import spool
from monitor.store.copier import Copier
from monitor.store.database import Store, StoreError
from monitor.store.entries import Entry, ModelEntry, StreamEntry
from monitor.store.foreign_changes import ForeignChanges, TakeChanges
from monitor.store.retention import Retention
from monitor.store.spool import Spool
from monitor.store.writer import StoreWriter

log = logging.getLogger(__name__)


class SpooledWriter(StoreWriter):
    """Writes into a store on a server, also while it is away.

    Each entry is first written into a file, the spool, together with the messages that follow from it. A second thread
    copies it to the server, usually at once, else when the server is there again, also after a restart.

    Args:
        url: of the store on the server.
        host: name of this computer, under which the streams are stored.
        file: the spool (`monitor.store.location.spool_file`).
        max_bytes: its largest size. Beyond it, the oldest entries are dropped: minutes first, then others.
        retention: what is deleted on the server, and when; None: nothing.
        close_s: the longest time for which `close`, and then `finish`, wait.
    """

    def __init__(
        self,
        url: str,
        host: str,
        file: Path,
        *,
        max_bytes: float = float("inf"),
        retention: Retention | None = None,
        close_s: float = 5.0,
    ) -> None:
        self._spool, self._max_bytes, self._close_s = Spool(file, host), max_bytes, close_s
        self._dropped = 0
        self._streams: dict[str, StreamEntry] = {}  # those that were written last
        self._models: dict[str, ModelEntry] = {}
        self._copier = Copier(url, host, self._spool, self._take, retention=retention)
        super().__init__(f"sqlite:///{file}", host, close_s=close_s)
        self._copier.start()

    @property
    def error(self) -> MonitorError | None:
        """What is wrong: the spool cannot be written at present, or entries were lost. A server may well be away."""
        lost = self._dropped + self._copier.lost
        if self._worker.error is not None or not lost:
            return self._worker.error
        why = f"{self._spool.file} became too large (store.max_mb)" if self._dropped else "the store refused them"
        return MonitorError(f"store: {counted(lost, 'entry', 'entries')} missing: {why}.")

    @property
    def trouble(self) -> str:
        """Why the spool or the store cannot be written at present; empty if both can."""
        return super().trouble or self._copier.trouble

    @property
    def lost(self) -> int:
        """The number of entries that were lost."""
        return super().lost + self._dropped + self._copier.lost

    @property
    def kept_aside(self) -> int:
        """The number of entries that are in the spool, and not in the store yet."""
        return self._copier.kept_aside

    @property
    def away_since(self) -> float | None:
        """Since when the store has been away, Unix time; None if it is there."""
        return self._copier.away_since

    def write(self, *entries: Entry) -> None:
        """Writes entries. They may be written again if their transaction fails."""
        for entry in entries:
            if isinstance(entry, StreamEntry):
                self._streams[entry.stream] = entry
            elif isinstance(entry, ModelEntry):
                self._models[entry.model_id] = entry
        super().write(*entries)

    def finish(self) -> None:
        """Copies what is left, and ends the thread that copies. What is not copied in time waits for the next start."""
        self._copier.close(self._close_s)
        if self._copier.kept_aside:
            what = counted(self._copier.kept_aside, "entry is", "entries are")
            log.warning("store: %s kept in %s, and copied at the next start.", what, self._spool.file)

    def _open_store(self) -> Store:
        return self._spool.open()

    def _write(self, store: Store, entries: list[Entry]) -> None:
        with store.begin() as connection:
            dropped = spool.drop_oldest(connection, self._max_bytes)
        if dropped and not self._dropped:
            log.error("store: %s has become too large (store.max_mb): the oldest entries are lost.", self._spool.file)
        self._dropped += dropped
        super()._write(store, entries)
        # Nothing may fail from here on: the entries would be written once more.
        with contextlib.suppress(StoreError):
            if self.away_since is not None:
                self._copier.kept_aside = spool.count(store)
        self._copier.wake()

    def _write_entry(self, connection: sa.Connection, entry: Entry) -> None:
        if entry.kind:
            self._spool.append(connection, entry)
        if entry.for_messages or not entry.kind:  # those without a kind are for the spool itself
            super()._write_entry(connection, entry)

    def _take(self, changes: ForeignChanges) -> None:
        """Takes what others have changed. It is called on the copier's thread."""
        if self._closing:  # it is found at the next start
            return
        if changes.muted or changes.changed or changes.adopted:
            self.write(TakeChanges(changes, self._write_entry, self._tell))
        if undone := changes.undone & self._streams.keys():
            log.warning(
                "store: streams and models that were written are not in it (it is another one, was emptied or restored "
                "from a backup): they are written again."
            )
            for entry in [*self._models.values(), *(self._streams[name] for name in sorted(undone))]:
                self.write(entry)
