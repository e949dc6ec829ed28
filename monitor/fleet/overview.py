"""The fleet as the store knows it: hosts, their streams, and models that are handed out; plain values for any view."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from monitor.core.events import State
from monitor.fleet.clock import is_wrong
from monitor.store import fleet, fleet_models, queries
from monitor.store.database import Store
from monitor.store.fleet import StoredMonitor
from monitor.store.fleet_models import ModelOrder
from monitor.store.records import StoredStream
from monitor.store.tables import models

FORGOTTEN_S = 30 * 86_400.0  # a stream that is not listened to any more is left out after so long
NOT_LISTENED = "not listened to"
UNHEARD = (State.LOST.value, State.NO_SIGNAL.value)


@dataclass(frozen=True, slots=True)
class FleetHost:
    """A host, and what about it needs attention."""

    monitor: StoredMonitor
    other_version: bool  # whether another host has a newer version of this program
    clock_is_wrong: bool
    listening: int  # streams that are heard
    unheard: int  # streams whose sound is lost


@dataclass(frozen=True, slots=True)
class FleetStream:
    """A stream of a host."""

    stream: StoredStream
    model: str  # name of the model in force, with its version
    state: str  # a State if its host is alive; else "silent", "stopped", or NOT_LISTENED
    last_seen: float  # Unix time by the clock of the database
    waiting: ModelOrder | None  # a model that it has not taken yet


@dataclass(frozen=True, slots=True)
class Fleet:
    """All hosts and their streams, ordered by name."""

    hosts: tuple[FleetHost, ...]
    streams: tuple[FleetStream, ...]

    @property
    def silent(self) -> tuple[str, ...]:
        """The hosts that give no signs of life any more, and were not ended in order."""
        return tuple(one.monitor.host for one in self.hosts if one.monitor.state == "silent")


def read_fleet(store: Store) -> Fleet:
    """Reads the hosts that have given signs of life, and their streams.

    Raises:
        StoreError: if the store cannot be read.
    """
    monitors = fleet.monitors(store)
    known = {one.host: one for one in monitors}
    waiting = {(one.host, one.stream): one for one in fleet_models.open_orders(store)}
    with store.reading() as connection:
        names = {row.id: row.name for row in connection.execute(sa.select(models.c.id, models.c.name))}
    # What is in force is stored under the name of the configured file.
    names |= {one.model_id: f"{one.name}, handed out" for one in fleet_models.files(store)}
    streams = [
        _stream(one, known[one.host], names.get(one.model_id) or "", waiting.get((one.host, one.name)))
        for one in queries.streams(store)
        if one.host in known
    ]
    newest = max((_parts(one.version) for one in monitors if one.state == "alive"), default=())
    return Fleet(
        tuple(_host(one, newest) for one in monitors),
        tuple(one for one in streams if one is not None),
    )


def order_state(order: ModelOrder, newest: Mapping[tuple[str, str], int], monitors: Mapping[str, StoredMonitor]) -> str:
    """What became of an order, in words: taken, refused and why, or why it waits.

    Args:
        order: the order.
        newest: the number of the newest order of each stream, by host and name.
        monitors: by host.
    """
    if order.refused:
        return f"refused: {order.refused}"
    if order.taken is not None:
        return "taken"
    if newest.get((order.host, order.stream)) != order.id:
        return "not taken: a newer one was handed out"
    monitor = monitors.get(order.host)
    if monitor is None:
        return f"waiting: {order.host} has given no sign of life yet"
    if monitor.state != "alive":
        return f"waiting: {order.host} is {monitor.state}"
    if not monitor.takes_models:
        return f"waiting: {order.host} takes no models (fleet.take_models)"
    if order.stream not in monitor.streams:
        return f"waiting: {order.host} does not listen to it at present"
    return "waiting"


def newest_orders(orders: Sequence[ModelOrder]) -> dict[tuple[str, str], int]:
    """The number of the newest order of each stream, by host and name."""
    found: dict[tuple[str, str], int] = {}
    for one in orders:
        key = (one.host, one.stream)
        found[key] = max(one.id, found.get(key, 0))
    return found


def _host(monitor: StoredMonitor, newest: tuple[int, ...]) -> FleetHost:
    states = list(monitor.streams.values()) if monitor.state == "alive" else []
    unheard = sum(state in UNHEARD for state in states)
    return FleetHost(
        monitor,
        other_version=_parts(monitor.version) < newest,
        clock_is_wrong=is_wrong(monitor.clock_offset_s, monitor.clock_error_s),
        listening=len(states) - unheard,
        unheard=unheard,
    )


def _stream(stream: StoredStream, host: StoredMonitor, model: str, waiting: ModelOrder | None) -> FleetStream | None:
    """The row of a stream; None if nobody has listened to it for long."""
    last_seen = stream.last_seen - (host.clock_offset_s or 0.0)
    if stream.name not in host.streams:
        if host.last_seen + host.age_s - last_seen > FORGOTTEN_S:
            return None
        state = NOT_LISTENED
    else:
        state = host.streams[stream.name] if host.state == "alive" else host.state
    return FleetStream(stream, model, state, last_seen, waiting)


def _parts(version: str) -> tuple[int, ...]:
    """The numbers of a version, to compare it."""
    return tuple(map(int, re.findall(r"\d+", version)))
