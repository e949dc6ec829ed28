"""The store's writer: what happens is written together, in one transaction, on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from monitor.core.background_worker import BackgroundWorker
from monitor.core.errors import MonitorError
from monitor.core.events import Event
from monitor.core.text import counted
from monitor.store import rows
from monitor.store.database import Store, StoreError
from monitor.store.entries import (
    Acknowledgement,
    AuditEntry,
    Entry,
    EventChange,
    EventEntry,
    MinuteEntry,
    ModelEntry,
    StreamEntry,
    StreamIds,
    write_seen,
)
from monitor.store.lasting_store import LastingStore
from monitor.store.minute_row import MinuteRow
from monitor.store.queries import event_in, open_events_in
from monitor.store.records import StoredEvent
from monitor.store.retention import CLEAN_S, Retention
from monitor.store.tables import streams

QUEUED = 10_000  # entries that wait for the database at most
TOGETHER = 1000  # entries that are written in one transaction at most

log = logging.getLogger(__name__)


class StoreWriter:
    """Writes events, minute values and what belongs to them into a store.

    All methods return at once, and any thread may call them. The database is opened on the writer's own thread; while
    it is away, locked or full, entries wait, the newest ten thousand of them. `lost` counts the others, and `trouble`
    says what is wrong. Entries have keys, so none is there twice, even if it is written twice.

    A monitor that was killed leaves events that have not ended. They are ended when the store is opened, as cut off at
    the time when their stream was last listened to.

    Args:
        url: of the store, as `monitor.store.database.Store.open` takes it.
        host: name of this computer, under which the streams are stored.
        retention: what is deleted, and when; None: nothing.
        close_s: the longest time for which closing waits for a transaction.
    """

    def __init__(self, url: str, host: str, *, retention: Retention | None = None, close_s: float = 5.0) -> None:
        self.on_event: Callable[[sa.Connection, StoredEvent], None] | None = None  # in the transaction of an event
        self.after_commit: Callable[[], None] | None = None  # on the writer's thread
        self._url, self._host, self._retention = url, host, retention
        self._store = LastingStore(self._open_store, prepare=self._take_over, moved=self._moved)
        self._ids = StreamIds(host)
        self._untold: list[str] = []  # events that were ended at the start, before there was `on_event`
        self._closing = self._closed = False
        self._waiting: deque[Entry] = deque()
        self._writing: list[Entry] = []  # entries of the transaction that runs or is tried again
        self._scheduled = False  # whether the worker has a job that will write the waiting entries
        self._cleaned = -CLEAN_S
        self._lock = threading.Lock()
        self._worker = BackgroundWorker(
            "store", size=8, wait=False, amount=lambda count: counted(count, "entry", "entries"), close_s=close_s
        )

    @property
    def error(self) -> MonitorError | None:
        """What is wrong: the store cannot be written at present, or entries were lost."""
        return self._worker.error

    @property
    def trouble(self) -> str:
        """Why the store cannot be written at present; empty if it can."""
        return str(self.error) if self._worker.failure else ""

    @property
    def lost(self) -> int:
        """The number of entries that were lost."""
        return self._worker.lost

    @property
    def messages_url(self) -> str:
        """The address of the store in which messages are decided about: the file that this writer writes into."""
        return self._url

    @property
    def kept_aside(self) -> int:
        """The number of entries that are kept in a file because the store is away."""
        return 0

    @property
    def away_since(self) -> float | None:
        """Since when a store on a server has been away, Unix time; None if it is there."""
        return None

    def event(self, event: Event, *, peak_share: float | None = None, mean_share: float | None = None) -> None:
        """Writes an event of a stream, or changes it.

        Args:
            event: the event when it begins, is reported again, or ends.
            peak_share, mean_share: highest and mean share of the limit; None: unknown.
        """
        self.write(EventEntry(event.stream, rows.event_columns(event, peak_share, mean_share)))

    def minute(self, *rows: MinuteRow) -> None:
        """Writes the values of a minute of streams."""
        self.write(*map(MinuteEntry, rows))

    def files(
        self,
        event_id: str,
        *,
        clip: str | None = None,
        picture: str | None = None,
        clip_start: float | None = None,
        note: str | None = None,
    ) -> None:
        """Notes the files of an event; what is None stays as it is.

        Args:
            event_id: of the event.
            clip, picture: paths relative to the folder of clips.
            clip_start: Unix time of the clip's first sample.
            note: why there is no clip, or what was done to it.
        """
        given = {"clip": clip, "picture": picture, "clip_start": clip_start, "note": note}
        if columns := {name: value for name, value in given.items() if value is not None}:
            self.write(EventChange(event_id, columns))

    def forget_files(self, event_id: str, note: str) -> None:
        """Notes that the clip and the picture of an event were deleted, and why."""
        self.write(EventChange(event_id, {"clip": None, "picture": None, "clip_start": None, "note": note}))

    def stream(self, name: str, model_id: str, source: str) -> None:
        """Notes which model listens to a stream, and its microphone or recording."""
        self.write(StreamEntry(name, model_id, source, time.time()))

    def model(self, model_id: str, name: str, limits: Mapping[str, Any], calibration: Mapping[str, Any]) -> None:
        """Notes a model, its limits, and how they were found."""
        self.write(ModelEntry(model_id, name, dict(limits), dict(calibration), time.time()))

    def acknowledge(self, event_id: str, by: str) -> None:
        """Notes that somebody has seen an event: there are no more reminders of it, and nobody else is told."""
        self.write(Acknowledgement(event_id, by, time.time()))

    def audit(self, *, by: str, what: str, subject: str, before: Any = None, after: Any = None) -> None:
        """Adds an entry to the audit trail; the arguments are those of `monitor.store.audit.record`."""
        self.write(AuditEntry(by, what, subject, before, after, time.time()))

    def write(self, *entries: Entry) -> None:
        """Writes entries. They may be written again if their transaction fails."""
        with self._lock:
            if self._closed:
                self._worker.lost += len(entries)
                return
            self._waiting.extend(entries)
            while len(self._waiting) > QUEUED:
                self._waiting.popleft()
                self._worker.lost += 1
            if self._scheduled:
                return
            self._scheduled = True
        self._worker.put(self._write_waiting, 0)
        if self._retention is not None and time.monotonic() - self._cleaned > CLEAN_S:
            self._cleaned = time.monotonic()
            self._worker.put(self._clean, 0)

    def close(self) -> None:
        """Writes what waits, and ends the thread. A database that does not answer in time is given up."""
        self._closing = True
        self._worker.close(last=self._store.close)
        with self._lock:
            self._closed = True
            self._worker.lost += len(self._waiting) + len(self._writing)
            self._waiting.clear()
            self._writing = []

    def finish(self) -> None:
        """Ends what goes on after `close`, so that also what messages have written meanwhile is in the store."""

    def _write_waiting(self) -> None:
        """Writes all entries that wait. If the database refuses, the same are written when it is called again."""
        try:
            self._write_all()
        except MonitorError:  # the worker calls it again
            raise
        except BaseException:  # it does not, but the next entry will
            with self._lock:
                self._worker.lost += len(self._writing)
                self._scheduled, self._writing = False, []
            raise

    def _write_all(self) -> None:
        store = self._store.opened()
        while True:
            with self._lock:
                while self._waiting and len(self._writing) < TOGETHER:
                    self._writing.append(self._waiting.popleft())
                if not self._writing:
                    self._scheduled = False
                    break
            try:
                self._write(store, self._writing)
            except StoreError as error:
                if not error.rejected:
                    raise
                self._write_singly(store)
            except Exception:  # noqa: BLE001 - a single faulty entry must not hold up the others
                self._write_singly(store)
            with self._lock:
                self._writing = []
            if (wake := self.after_commit) is not None:  # another thread may change it
                wake()

    def _write_singly(self, store: Store) -> None:
        """Writes each entry in a transaction of its own, so that only those that cannot be written are lost."""
        while self._writing:
            try:
                self._write(store, self._writing[:1])
            except StoreError as error:
                if not error.rejected:
                    raise
                self._lose(str(error))
            except Exception as error:  # noqa: BLE001 - a faulty entry must not end the thread
                self._lose(f"{type(error).__name__}: {error}")
            with self._lock:
                self._writing = self._writing[1:]  # if the database fails at the next one, it is not written again

    def _write(self, store: Store, entries: list[Entry]) -> None:
        try:
            untold = self._untold if self.on_event is not None else []
            with store.begin() as connection:
                for event_id in untold:
                    self._tell(connection, event_id)
                for entry in entries:
                    self._write_entry(connection, entry)
                write_seen(connection, entries, self._ids)
        except BaseException:
            self._ids.forget()
            raise
        if untold:
            self._untold = []

    def _write_entry(self, connection: sa.Connection, entry: Entry) -> None:
        entry.write(connection, self._ids)
        if entry.about:
            self._tell(connection, entry.about)

    def _moved(self, name: str) -> None:
        log.warning("%s: was moved away or deleted: a new store is begun.", name)
        self._ids.forget()

    def _take_over(self, store: Store) -> None:
        with store.begin() as connection:
            self._end_events_left_open(connection)

    def _open_store(self) -> Store:
        return Store.open(self._url)

    def _end_events_left_open(self, connection: sa.Connection) -> None:
        """Ends the events that a killed monitor on this computer has left open."""
        for left in open_events_in(connection, self._host):
            if left.kind == "self-test":  # it lasts until another self-test ends it, also while nothing is heard
                continue
            last = connection.scalar(
                sa.select(streams.c.last_seen).where(streams.c.host == self._host, streams.c.name == left.stream)
            )
            ended = max(left.onset, last or left.onset)
            changes: dict[str, Any] = {"ended": ended, "cut_off": True}
            if left.kind == "anomaly" and not left.clip:
                changes["note"] = f"{left.note} The monitor was killed before it wrote a clip.".strip()
            self._write_entry(connection, EventChange(left.id, changes))
            if self.on_event is None:
                self._untold.append(left.id)
            else:
                self._tell(connection, left.id)

    def _tell(self, connection: sa.Connection, event_id: str) -> None:
        """Calls `on_event`. If that fails, the event is written nevertheless."""
        tell = self.on_event  # another thread may change it
        if tell is None or (event := event_in(connection, event_id)) is None:
            return
        try:
            with connection.begin_nested():
                tell(connection, event)
        except exc.OperationalError:  # the database is away or full: all is tried again
            raise
        except Exception as error:  # noqa: BLE001 - an error of the hook must not lose the event
            log.error("store: a message could not be put into the outbox: %s: %s.", type(error).__name__, error)

    def _clean(self) -> None:
        """Deletes a part of what is too old. The rest follows in further jobs, between which entries are written."""
        if self._retention is None or self._closing:  # the rest can wait for the next start
            return
        try:
            if self._retention.step(self._store.opened(), time.time()):
                self._worker.put(self._clean, 0)
        except StoreError as error:
            log.warning("What is too old could not be deleted, and is tried again in an hour: %s", error)

    def _lose(self, why: str) -> None:
        with self._lock:
            self._worker.lost += 1
        log.error("store: an entry could not be written and is lost: %s", why)
