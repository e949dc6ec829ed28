"""The spool: the file into which a monitor writes first if its store is on a server.

It is a store of its own, SQLite with the same tables, as far as messages need them: so they are sent whether the server
is there or not. Beside them is the journal, a row for each entry that the store on the server has not got yet. An entry
is put into the journal in the transaction that writes it here, and taken out when it has been copied.

The journal's rows are numbered over all runs of the monitor, and each names its run. By both, the table `spools` on the
server knows what it has. A run has an id of its own, so a state folder may be restored from a backup, or
copied to another computer, and no new entry is taken for an old one. A spool that is replaced while the monitor runs,
whose numbers begin anew, begins another run.
"""

from __future__ import annotations

import itertools
import json
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from monitor.store.database import Store
from monitor.store.entries import DeliveryEntry, Entry, as_text, of_text
from monitor.store.retention import used_bytes
from monitor.store.tables import WAITING, audit, deliveries, events, streams

KEPT_RUNS = 100  # ids of earlier runs that are known
DROPPED = 2000  # entries that are dropped at once if the file is too large
KEEP_S = 8 * 86_400.0  # age of an event from which on messages need it no more: a cool-down takes up to 7 days

_metadata = sa.MetaData()
runs = sa.Table(
    "spool_runs",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("place", sa.Text, nullable=False),  # of the file that it has written into (`_place`)
    sqlite_autoincrement=True,
)
journal = sa.Table(
    "spool_journal",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("run", sa.String(36), nullable=False),
    sa.Column("kind", sa.String(12), nullable=False),
    sa.Column("facts", sa.Text, nullable=False),  # JSON
    sa.Index("spool_journal_by_kind", "kind", "number"),
    sqlite_autoincrement=True,  # numbers are never used again
)

# Deliveries are changed by those who send messages, in many ways; so SQLite itself notes which rows have changed.
TRIGGERS = tuple(
    f"""
    CREATE TRIGGER IF NOT EXISTS spool_{name} AFTER {name} ON deliveries BEGIN
        INSERT INTO spool_journal (run, kind, facts)
        SELECT id, '{DeliveryEntry.kind}', json_quote(NEW.id) FROM spool_runs ORDER BY number DESC LIMIT 1;
    END
    """
    for name in ("insert", "update")
)


@dataclass(frozen=True, slots=True)
class KeptEntry:
    """An entry in the journal; `entry` is None if it cannot be read, and `why` says why."""

    number: int
    run: str
    entry: Entry | None
    why: str = ""


class Spool:
    """The spool of a monitor. Any thread may use it.

    Args:
        file: the file; it is created if it is missing.
        host: name of this computer.

    Attributes:
        run: id of the present run.
    """

    def __init__(self, file: Path, host: str) -> None:
        self.file = file
        self.run = str(uuid.uuid4())
        self._host = host
        self._runs = [self.run]  # of this process
        self._place = ""  # of the file that was opened last
        self._opening = threading.Lock()

    def open(self) -> Store:
        """Opens the file as a store, for writing. The streams in it get the present name of this computer.

        Raises:
            StoreError: if it cannot be opened.
        """
        store = Store.open(f"sqlite:///{self.file}")
        try:
            with self._opening, store.begin() as connection:
                _metadata.create_all(connection)
                for trigger in TRIGGERS:
                    connection.exec_driver_sql(trigger)
                connection.execute(streams.update().where(streams.c.host != self._host).values(host=self._host))
                self._note_run(connection)
        except BaseException:
            store.close()
            raise
        return store

    def _note_run(self, connection: sa.Connection) -> None:
        """Notes the present run in the file; a file that has replaced another one begins a new run."""
        known = connection.scalars(sa.select(runs.c.id).order_by(runs.c.number.desc()).limit(KEPT_RUNS)).all()
        place = _place(self.file)
        if self._place and (place != self._place or self.run not in known):
            self.run = str(uuid.uuid4())
            self._runs.append(self.run)
        self._place = place
        if self.run not in known:
            connection.execute(runs.delete().where(runs.c.id.not_in(known)))
            new = [{"id": run, "place": place} for run in self._runs if run not in known]
            connection.execute(runs.insert(), new)

    def append(self, connection: sa.Connection, entry: Entry) -> None:
        """Puts an entry into the journal, in a transaction that writes."""
        values = {"run": self.run, "kind": entry.kind, "facts": as_text(entry)}
        connection.execute(journal.insert().values(values))


def own_runs(store: Store) -> list[str]:
    """The ids of the runs that have written into this very file.

    Those that have written into the file that this one is a copy of are not among them: they may be going on, on
    another computer.
    """
    here = sa.select(runs.c.place).order_by(runs.c.number.desc()).limit(1).scalar_subquery()
    with store.reading() as connection:
        return list(connection.scalars(sa.select(runs.c.id).where(runs.c.place == here).order_by(runs.c.number)))


def waiting(store: Store, limit: int) -> list[KeptEntry]:
    """The first entries of the journal, in their order, all of one run."""
    with store.reading() as connection:
        rows = connection.execute(sa.select(journal).order_by(journal.c.number).limit(limit)).all()
        return [_kept(connection, row) for row in itertools.takewhile(lambda row: row.run == rows[0].run, rows)]


def count(store: Store) -> int:
    """The number of entries in the journal."""
    with store.reading() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(journal)) or 0


def left_behind(file: Path) -> int:
    """The number of entries in the journal of a spool that is not in use; 0 if there is no such file.

    Raises:
        StoreError: if it cannot be read.
    """
    if not file.exists():
        return 0
    with Store.open(f"sqlite:///{file}", create=False) as store:
        return count(store)


def take_out(store: Store, number: int) -> None:
    """Deletes the entries up to a number, which have been copied."""
    with store.begin() as connection:
        connection.execute(journal.delete().where(journal.c.number <= number))


def drop_oldest(connection: sa.Connection, max_bytes: float) -> int:
    """Drops some of the oldest entries if the file is too large: minutes first, then others.

    Args:
        connection: in a transaction that writes.
        max_bytes: the largest size of the file.

    Returns:
        how many were dropped.
    """
    if used_bytes(connection) <= max_bytes:
        return 0
    for chosen in (journal.c.kind == "minute", sa.true()):
        oldest = sa.select(journal.c.number).where(chosen).order_by(journal.c.number).limit(DROPPED).scalar_subquery()
        if dropped := connection.execute(journal.delete().where(journal.c.number.in_(oldest))).rowcount:
            return dropped
    return 0


def forget_old(store: Store, now: float) -> None:
    """Deletes what messages need no more, once all has been copied: old events, with their deliveries."""
    with store.begin() as connection:
        if connection.scalar(sa.select(journal.c.number).limit(1)) is not None:
            return
        busy = sa.exists().where(deliveries.c.event_id == events.c.id, deliveries.c.state == WAITING)
        connection.execute(events.delete().where(events.c.ended < now - KEEP_S, events.c.onset < now - KEEP_S, ~busy))
        connection.execute(audit.delete())


def _place(file: Path) -> str:
    """What tells a file from its copies, on this computer and on others."""
    status = file.stat()
    return f"{uuid.getnode():x} {status.st_dev} {status.st_ino}"


def _kept(connection: sa.Connection, row: sa.Row[tuple[int, str, str, str]]) -> KeptEntry:
    try:
        if row.kind == DeliveryEntry.kind:
            return KeptEntry(row.number, row.run, _delivery(connection, json.loads(row.facts)))
        return KeptEntry(row.number, row.run, of_text(row.kind, row.facts))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return KeptEntry(row.number, row.run, None, f"{row.kind}: {type(error).__name__}: {error}")


def _delivery(connection: sa.Connection, delivery: str) -> DeliveryEntry:
    """A delivery as it is now: later changes are in the journal, too, and do no harm when they come."""
    row = connection.execute(sa.select(deliveries).where(deliveries.c.id == delivery)).mappings().first()
    if row is None:
        raise KeyError(delivery)
    return DeliveryEntry(dict(row))
