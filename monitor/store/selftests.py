"""Self-tests in the store: for each run, stream and fault, the lowest level at which the fault was reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from monitor.store.database import Store
from monitor.store.tables import selftests


@dataclass(frozen=True, slots=True)
class StoredSelfTest:
    """The result of a self-test for one fault.

    Attributes:
        time: Unix time, the same for all faults of a run.
        model_id: of the bundle that was tested.
        fault: its name.
        level_db: the lowest level at which it was reported; None: it was not, or could not be tested.
        delay_s: from its onset to its report at that level.
        facts: what else is known: `origin`, `lost`, `trials`, `untested` … (`monitor.selftest.outcome`).
    """

    time: float
    model_id: str
    fault: str
    level_db: float | None
    delay_s: float | None
    facts: Mapping[str, Any]

    @property
    def lost(self) -> bool:
        """Whether the fault was detected worse than at first."""
        return bool(self.facts.get("lost"))


def write_in(connection: sa.Connection, stream_id: int, one: StoredSelfTest) -> None:
    """Writes a result, in a transaction that writes."""
    values = {"stream_id": stream_id, "time": one.time, "model_id": one.model_id or None, "fault": one.fault,
              "level_db": one.level_db, "delay_s": one.delay_s, "facts": dict(one.facts)}  # fmt: skip
    connection.execute(selftests.insert().values(**values))


def self_tests_in(connection: sa.Connection, stream_id: int) -> list[StoredSelfTest]:
    """All results of a stream as a transaction sees them, oldest first."""
    names = ("time", "model_id", "fault", "level_db", "delay_s", "facts")
    chosen = sa.select(*(selftests.c[name] for name in names)).where(selftests.c.stream_id == stream_id)
    rows = connection.execute(chosen.order_by(selftests.c.time, selftests.c.id))
    return [StoredSelfTest(**{**row, "model_id": row["model_id"] or ""}) for row in rows.mappings()]


def self_tests(store: Store, stream_id: int) -> list[StoredSelfTest]:
    """All results of a stream, oldest first.

    Raises:
        StoreError: if the store cannot be read.
    """
    with store.reading() as connection:
        return self_tests_in(connection, stream_id)
