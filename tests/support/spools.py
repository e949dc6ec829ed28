"""Writers of a store on a server, with a spool in the folder of the test, and what is in the store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monitor.core.events import Event
from monitor.store import queries, spool
from monitor.store.database import Store, StoreError
from monitor.store.minute_row import MinuteRow
from monitor.store.records import StoredEvent
from monitor.store.spooled_writer import SpooledWriter
from monitor.store.writer import StoreWriter
from support.listening import wait_until

HOST = "hall-3"
START = 1_764_252_000.0
MINUTE = 29_404_200


def event(number: int = 0, *, ended: bool = True, stream: str = "pump", kind: str = "anomaly") -> Event:
    return Event(kind, number, number + 5.0 if ended else None, START + number, "mic", stream=stream)


def minute(number: int, stream: str = "pump") -> MinuteRow:
    return MinuteRow(stream, MINUTE + number, score_mean=number, share_mean=0.5, seconds={"normal": 60.0})


def stored(address: str) -> list[StoredEvent]:
    """The events in a store; none if there is none yet."""
    try:
        with Store.open(address, create=False) as store:
            return queries.events(store, newest_first=False)
    except StoreError:
        return []


def away(writer: StoreWriter) -> None:
    """Waits until a writer has noticed that its store is away."""
    wait_until(lambda: writer.away_since is not None, "the outage")


def caught_up(writer: SpooledWriter) -> None:
    """Waits until all is in the store."""

    def is_so() -> bool:
        return not writer._waiting and not writer._writing and writer.away_since is None and not _left(writer)

    wait_until(is_so, "the entries in the store")


def _left(writer: SpooledWriter) -> int:
    with writer._spool.open() as store:
        return spool.count(store)


@contextlib.contextmanager
def writing(address: str, **options: Any) -> Iterator[SpooledWriter]:
    """A writer that is ended."""
    writer = SpooledWriter(address, HOST, Path("spool.sqlite"), **options)
    try:
        yield writer
    finally:
        writer.close()
        writer.finish()
