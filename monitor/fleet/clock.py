"""By how much the clock of this computer is ahead of the database's."""

from __future__ import annotations

import time
from dataclasses import dataclass

import sqlalchemy as sa

from monitor.store.fleet import database_time

WRONG_S = 1.0  # from this offset on, times of events of several computers are not comparable


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """A measurement of the offset of a clock."""

    seconds: float  # by how much the clock of this computer is ahead of the database's
    error_s: float  # by how much that may be wrong


def clock_offset(connection: sa.Connection, tries: int = 3) -> ClockOffset | None:
    """Asks the database for its time; of several answers the quickest one is the most exact.

    The answer was given at some moment between the question and its arrival, so the middle of both is compared with
    it, and half the time in between is the error.

    Args:
        connection: within a transaction.
        tries: number of questions.

    Returns:
        the offset; None if the database has the clock of this computer, because it is a file.
    """
    if connection.dialect.name != "postgresql":
        return None
    found = []
    for _ in range(tries):
        asked, began = time.time(), time.monotonic()
        answer = database_time(connection)
        half_s = (time.monotonic() - began) / 2
        found.append(ClockOffset(asked + half_s - answer, half_s))
    return min(found, key=lambda one: one.error_s)


def is_wrong(offset_s: float | None, error_s: float | None) -> bool:
    """Whether a clock is certainly so wrong that times of several computers are not comparable."""
    return offset_s is not None and abs(offset_s) - (error_s or 0.0) >= WRONG_S
