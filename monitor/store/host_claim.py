"""The claim of a monitor to its name: only one running monitor writes into a store under a host's name."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from monitor.core.errors import MonitorError
from monitor.store.tables import spools

ALIVE_S = 30.0  # a monitor that gave its last sign of life longer ago does not run, or cannot reach the store
FORGOTTEN_S = 90 * 86_400.0  # from this age on nobody restores a spool of that time
LOCKS = 0x6D6F6E69  # "moni": the class of these locks


class HostTaken(MonitorError):
    """Another running monitor uses the name of this host."""


def claim(connection: sa.Connection, host: str, run: str, earlier_runs: Collection[str]) -> None:
    """Claims the name of a host for a run of a monitor, and gives a sign of life.

    Until the transaction ends, no other monitor can claim the same name.

    Args:
        connection: to a PostgreSQL database, in a transaction that writes.
        host: name of the computer in the store.
        run: id of the run.
        earlier_runs: ids of runs with the same spool file, which are over.

    Raises:
        HostTaken: if another monitor runs under this name.
    """
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCKS, sa.func.hashtext(host))))
    others = (spools.c.host == host, spools.c.id.not_in([run, *earlier_runs]))
    if connection.scalar(sa.select(spools.c.id).where(*others, spools.c.seen > _ago(ALIVE_S)).limit(1)) is not None:
        raise HostTaken(
            f"another monitor writes into it under the name {host}: give one of them another name (state.host)"
        )
    sign = {"host": host, "seen": sa.func.clock_timestamp()}
    statement = postgresql.insert(spools).values(id=run, done=0, **sign)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=sign))


def done_of(connection: sa.Connection, host: str, run: str) -> int:
    """The number of the last entry of a run that the store has; 0 if it has none.

    Until the transaction ends, no other monitor can change it, as one with a copy of the same spool would.
    """
    statement = postgresql.insert(spools).values(id=run, host=host, done=0, seen=_ago(ALIVE_S))
    locked = statement.on_conflict_do_update(index_elements=["id"], set_={"id": run}).returning(spools.c.done)
    return int(connection.scalar(locked) or 0)


def note_done(connection: sa.Connection, run: str, number: int) -> None:
    """Notes the number of the last entry of a run that the store has, in the transaction that writes the entry.

    It is called after `done_of`.
    """
    connection.execute(spools.update().where(spools.c.id == run).values(done=number))


def release(connection: sa.Connection, run: str) -> None:
    """Notes that a run was ended in order, so that another monitor may use its name at once."""
    connection.execute(spools.update().where(spools.c.id == run).values(seen=_ago(ALIVE_S)))


def forget_old_runs(connection: sa.Connection, host: str) -> None:
    """Deletes what is known of runs of long ago."""
    connection.execute(spools.delete().where(spools.c.host == host, spools.c.seen < _ago(FORGOTTEN_S)))


def _ago(seconds: float) -> sa.ColumnElement[float]:
    return sa.func.clock_timestamp() - sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
