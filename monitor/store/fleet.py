"""The monitors that write into a store: their signs of life, and what they say of themselves.

All times are those of the clock of the database, so that computers whose clocks differ can be compared.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from monitor.store import audit
from monitor.store.database import Store
from monitor.store.rows import insert_or
from monitor.store.tables import monitors as monitors_table

MonitorState = Literal["alive", "stopped", "silent"]

SILENT_AFTER = 3  # signs of life that are missing, after which a monitor counts as silent
GRACE_S = 2.0  # time that a sign of life may take to be written


@dataclass(frozen=True, slots=True)
class StoredMonitor:
    """A computer that writes into the store, as it said of itself last."""

    host: str
    version: str  # of this program
    started: float  # Unix times by the clock of the database
    last_seen: float
    stopped: float | None  # when it was ended in order; None: it runs, or broke off
    clock_offset_s: float | None  # by how much its clock is ahead of the database's; None: it has the same clock
    clock_error_s: float | None  # by how much that may be wrong
    spooled: int  # entries that it has kept aside while the store was away, and not brought yet
    facts: Mapping[str, Any]  # see `monitor.fleet.host_facts`
    age_s: float  # seconds since `last_seen` when it was read

    @property
    def state(self) -> MonitorState:
        """Whether it runs: "silent" if it gives no signs of life any more, and was not ended in order."""
        if self.stopped is not None:
            return "stopped"
        return "silent" if self.age_s > SILENT_AFTER * self._number("every_s", 30.0) + GRACE_S else "alive"

    @property
    def streams(self) -> Mapping[str, str]:
        """The states of its streams, by name."""
        found = self.facts.get("streams")
        return {str(name): str(state) for name, state in found.items()} if isinstance(found, dict) else {}

    @property
    def instance(self) -> str:
        """What tells it from another monitor that was given the same name."""
        return str(self.facts.get("instance", ""))

    @property
    def takes_models(self) -> bool:
        """Whether it takes models that are handed out."""
        return self.facts.get("take_models") is not False

    def _number(self, name: str, default: float) -> float:
        found = self.facts.get(name)
        return float(found) if isinstance(found, int | float) else default


def database_time(connection: sa.Connection) -> float:
    """The Unix time now by the clock of the database; of a database in a file it is the clock of this computer."""
    if connection.dialect.name != "postgresql":
        return time.time()
    # Not now(), which is the time at which the transaction began.
    return float(connection.scalar(sa.select(sa.extract("epoch", sa.func.clock_timestamp()))) or 0.0)


def write_sign(connection: sa.Connection, host: str, values: Mapping[str, Any]) -> None:
    """Writes a sign of life: the columns of `tables.monitors` without the host. From then on it is not stopped."""
    insert_or(connection, monitors_table, {"host": host, **values, "stopped": None}, ("host",))


def write_stopped(connection: sa.Connection, host: str) -> None:
    """Notes that a monitor was ended in order."""
    now = database_time(connection)
    connection.execute(monitors_table.update().where(monitors_table.c.host == host).values(stopped=now, last_seen=now))


def monitor_of(connection: sa.Connection, host: str) -> StoredMonitor | None:
    """What a monitor said of itself last; None if it never did."""
    row = connection.execute(sa.select(monitors_table).where(monitors_table.c.host == host)).mappings().first()
    return None if row is None else _of_row(row, database_time(connection))


def monitors(store: Store) -> list[StoredMonitor]:
    """All monitors, ordered by host.

    Raises:
        StoreError: if the store cannot be read.
    """
    with store.reading() as connection:
        now = database_time(connection)
        rows = connection.execute(sa.select(monitors_table).order_by(monitors_table.c.host)).mappings().all()
    return [_of_row(row, now) for row in rows]


def forget(store: Store, host: str, *, by: str) -> bool:
    """Removes a monitor that is there no more, and notes that in the audit trail; its streams and events stay.

    Returns:
        whether there was one with this name.

    Raises:
        StoreError: if the store cannot be written.
    """
    with store.begin() as connection:
        done = connection.execute(monitors_table.delete().where(monitors_table.c.host == host)).rowcount > 0
        if done:
            audit.record(connection, by=by, what="forget host", subject=host)
    return done


def _of_row(row: sa.RowMapping, now: float) -> StoredMonitor:
    return StoredMonitor(**{**row, "facts": row["facts"] or {}}, age_s=now - row["last_seen"])
