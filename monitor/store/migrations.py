"""Creates the tables of a new store, and brings the tables of an older store to the present version."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from monitor.core.errors import MonitorError
from monitor.store.tables import (
    SCHEMA_VERSION,
    metadata,
    model_files,
    model_orders,
    monitors,
    selftests,
    sessions,
    spools,
    store_schema,
    users,
)

Step = Callable[[sa.Connection], None]


def _to_2(connection: sa.Connection) -> None:
    """Verdicts know the model; self-tests, and the users of the page."""
    connection.exec_driver_sql("ALTER TABLE verdicts ADD COLUMN model_id VARCHAR(64)")
    metadata.create_all(connection, tables=[selftests, users, sessions], checkfirst=False)


def _to_3(connection: sa.Connection) -> None:
    """Several computers: the monitors, models that are handed out, and spools."""
    metadata.create_all(connection, tables=[monitors, model_files, model_orders, spools], checkfirst=False)


# The step from each version to the next. When the tables change: raise SCHEMA_VERSION, and add the statements that
# change a store of the version before, such as {1: lambda connection: connection.exec_driver_sql("ALTER TABLE …")}.
STEPS: dict[int, Step] = {1: _to_2, 2: _to_3}

ADVISORY_LOCK = 0x6D6F6E69  # "moni": only one process at a time changes the tables of a PostgreSQL database


class VersionError(MonitorError):
    """The tables of a store are of another version than this program's."""


def version_of(connection: sa.Connection) -> int:
    """The version of the tables in a database; 0 if there are none."""
    if not sa.inspect(connection).has_table(store_schema.name):
        return 0
    return connection.scalar(sa.select(sa.func.max(store_schema.c.version))) or 0


def migrate(connection: sa.Connection, version: int = SCHEMA_VERSION, steps: Mapping[int, Step] = STEPS) -> None:
    """Creates the tables, or brings them to a version, in the transaction of the connection.

    Several processes may do so at once: a transaction that writes has SQLite for itself, and a lock is taken in
    PostgreSQL, so that the version is read after another process has changed it.

    Args:
        connection: in a transaction that may write.
        version: the version to bring the tables to.
        steps: the step from each version to the next.

    Raises:
        VersionError: if the tables are of a newer version.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    found = version_of(connection)
    check_not_newer(found, version)
    if found == version:
        return
    if found == 0:
        metadata.create_all(connection, checkfirst=False)  # tables of another program are not taken for ours
    else:
        for number in range(found, version):
            steps[number](connection)
    connection.execute(store_schema.delete())
    connection.execute(store_schema.insert().values(version=version))


def check_not_newer(found: int, version: int = SCHEMA_VERSION) -> None:
    """Checks that the tables are not of a newer version than this program's.

    Raises:
        VersionError: if they are.
    """
    if found > version:
        raise VersionError(
            f"was written by a newer version of this program (tables of version {found}, this one knows {version}): "
            "update this installation, or give it another store (store.url) or state folder (state.folder)"
        )
