"""The copier: takes a monitor's entries from its spool to the store on a server, in order, each once."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

import sqlalchemy as sa

from monitor.core.errors import MonitorError
from monitor.core.text import counted, duration_text
from monitor.store import host_claim, spool
from monitor.store.database import Store, StoreError
from monitor.store.entries import StreamIds, write_all, write_seen
from monitor.store.foreign_changes import ForeignChanges, find_changes
from monitor.store.lasting_store import LastingStore
from monitor.store.retention import CLEAN_S, Retention, shrink
from monitor.store.spool import KeptEntry, Spool

TOGETHER = 1000  # entries that are copied in one transaction at most
LOOK_S = 5.0  # time between two signs of life, which are also looks for what others have changed
FIRST_RETRY_S, LAST_RETRY_S = 0.5, 10.0  # pause before the server is tried again; it doubles each time
SLOW_S = 10.0  # a server that has not answered for so long is said to be away

log = logging.getLogger(__name__)


class Copier:
    """Copies entries on a thread of its own.

    An entry and its number are written in one transaction of the server, and then it is taken out of the spool. If the
    program is killed in between, the number says at the next start that the entry is there already.

    Args:
        url: of the store on the server.
        host: name of this computer.
        source: the spool.
        found: is called each time that it was looked for what others have changed in the store.
        retention: what is deleted on the server, and when; None: nothing.
    """

    def __init__(
        self,
        url: str,
        host: str,
        source: Spool,
        found: Callable[[ForeignChanges], None],
        *,
        retention: Retention | None = None,
    ) -> None:
        self.lost = 0  # entries that the server refuses
        self.kept_aside = 0  # entries in the spool
        self._url, self._host, self._spool, self._found, self._retention = url, host, source, found, retention
        self._ids = StreamIds(host)
        self._local = LastingStore(source.open, prepare=self._look_for_earlier_runs)
        self._server: Store | None = None
        self._earlier_runs: list[str] = []
        self._failure = ""  # why the store cannot be written; empty if it can
        self._failed_at = 0.0  # Unix time
        self._copied = 0  # entries since it is there again
        self._began: float | None = None  # when the transaction began that runs, on the monotonic clock
        self._looked = self._cleaned = -CLEAN_S
        self._at_start = True
        self._changed = threading.Condition()
        self._woken = self._closing = False
        self._thread = threading.Thread(target=self._run, name="store copier", daemon=True)

    @property
    def away_since(self) -> float | None:
        """Since when the store has been away, Unix time; None if it is there."""
        if self._failure:
            return self._failed_at
        began = self._began
        waited = 0.0 if began is None else time.monotonic() - began
        return time.time() - waited if waited > SLOW_S else None

    @property
    def trouble(self) -> str:
        """Why the store cannot be written, since when, and how many entries are kept aside; empty if it can."""
        since = self.away_since
        if since is None:
            return ""
        clock = time.strftime("%H:%M", time.localtime(since))
        entries = counted(self.kept_aside, "entry is", "entries are")
        why = self._failure or "it is slow, or does not answer"
        return f"store: not written since {clock}, {entries} kept aside: {why}."

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Says that there are new entries. Returns at once; any thread may call it."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def close(self, within_s: float) -> None:
        """Copies what is left, and ends the thread; what is not copied in time is kept for the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(within_s)

    def _run(self) -> None:
        pause = FIRST_RETRY_S
        while True:
            with self._changed:
                self._woken, closing = False, self._closing
            try:
                self._work(last=closing)
            except MonitorError as error:
                self._failed(str(error).removesuffix("."))
                wait_s, pause = pause, min(2 * pause, LAST_RETRY_S)
            except Exception as error:  # noqa: BLE001 - whatever happens must not end the copying
                self._failed(f"an unforeseen error: {type(error).__name__}: {error}")
                wait_s, pause = pause, min(2 * pause, LAST_RETRY_S)
            else:
                wait_s, pause = LOOK_S, FIRST_RETRY_S
            if closing:
                self._close()
                return
            with self._changed:
                self._changed.wait_for(lambda: self._closing or (self._woken and not self._failure), wait_s)

    def _work(self, *, last: bool) -> None:
        """Copies all that waits, and looks for what others have changed, if that is due."""
        local = self._local.opened()
        self.kept_aside = spool.count(local)
        server = self._opened_server()
        if not last:
            self._look(server, local)  # at first before there is anything of this run: what lasts was left open
        while entries := spool.waiting(local, TOGETHER):
            self._copy(server, entries)
            spool.take_out(local, entries[-1].number)
            self._copied += len(entries)
            self.kept_aside = max(0, self.kept_aside - len(entries))
            if self._failure:
                self._failure = f"{server.name}: is there again, and its entries are being copied"
            if not last:
                self._look(server, local)
        if last:
            with self._transaction(server) as connection:
                host_claim.release(connection, self._spool.run)
            return
        self._works_again()
        if time.monotonic() - self._cleaned >= CLEAN_S:
            self._clean(server, local)

    def _copy(self, server: Store, entries: list[KeptEntry]) -> None:
        try:
            self._write(server, entries)
        except StoreError as error:
            if not error.rejected:
                raise
        except MonitorError:
            raise
        except Exception:  # noqa: BLE001 - a single faulty entry must not hold up the others
            pass
        else:
            return
        for entry in entries:  # each in a transaction of its own, so that only those that are refused are lost
            try:
                self._write(server, [entry])
            except StoreError as error:
                if not error.rejected:
                    raise
                self._lose(server, entry, str(error))
            except MonitorError:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                self._lose(server, entry, f"{type(error).__name__}: {error}")

    def _write(self, server: Store, entries: list[KeptEntry]) -> None:
        """Writes entries of one run, and the number of the last one, in one transaction."""
        run = entries[0].run
        unreadable = [one for one in entries if one.entry is None]
        try:
            with self._transaction(server) as connection:
                done = host_claim.done_of(connection, self._host, run)
                new = [one.entry for one in entries if one.number > done and one.entry is not None]
                write_all(connection, new, self._ids)
                write_seen(connection, new, self._ids)
                if entries[-1].number > done:
                    host_claim.note_done(connection, run, entries[-1].number)
        except BaseException:
            self._ids.forget()
            raise
        for one in unreadable:
            self._count_lost(one.why)

    def _lose(self, server: Store, entry: KeptEntry, why: str) -> None:
        with self._transaction(server) as connection:
            if host_claim.done_of(connection, self._host, entry.run) < entry.number:
                host_claim.note_done(connection, entry.run, entry.number)
        self._count_lost(why)

    def _count_lost(self, why: str) -> None:
        self.lost += 1
        log.error("store: an entry could not be written and is lost: %s", why)

    def _look(self, server: Store, local: Store) -> None:
        """If it is due: gives a sign of life, and looks for what others have changed."""
        if time.monotonic() - self._looked < LOOK_S:
            return
        with self._transaction(server) as connection:
            changes = find_changes(connection, local, self._host, at_start=self._at_start)
        self._looked, self._at_start = time.monotonic(), False
        self._found(changes)

    def _clean(self, server: Store, local: Store) -> None:
        """Deletes what is too old, there and here, in small transactions."""
        while self._retention is not None and self._retention.step(server, time.time()):
            if self._woken or self._closing:  # the rest follows when entries have been copied
                return
            self._look(server, local)
        with self._transaction(server) as connection:
            host_claim.forget_old_runs(connection, self._host)
        spool.forget_old(local, time.time())
        shrink(local)
        self._cleaned = time.monotonic()

    @contextlib.contextmanager
    def _transaction(self, server: Store) -> Iterator[sa.Connection]:
        """A transaction on the server in which the name of this host is ours."""
        self._began = time.monotonic()
        try:
            with server.begin() as connection:
                host_claim.claim(connection, self._host, self._spool.run, self._earlier_runs)
                yield connection
        except host_claim.HostTaken as error:
            raise MonitorError(f"{server.name}: {error}.") from None
        finally:
            self._began = None

    def _look_for_earlier_runs(self, local: Store) -> None:
        self._earlier_runs = spool.own_runs(local)

    def _opened_server(self) -> Store:
        if self._server is None:
            self._began = time.monotonic()
            try:
                self._server = Store.open(self._url)
            finally:
                self._began = None
        return self._server

    def _failed(self, why: str) -> None:
        if self._server is not None:
            with contextlib.suppress(Exception):
                self._server.close()
            self._server = None
            self._ids.forget()
        if not self._failure:
            self._failed_at, self._copied = time.time(), 0
            log.error("store: %s. What happens is copied to the store as soon as it can be.", why)
        self._failure = why

    def _works_again(self) -> None:
        if self._failure:
            after = duration_text(max(0.0, time.time() - self._failed_at))
            log.warning("store: works again after %s; %s copied.", after, counted(self._copied, "entry", "entries"))
            self._failure = ""

    def _close(self) -> None:
        self._local.close()
        if self._server is not None:
            self._server.close()
