"""The state of a stream of another computer, whose monitor cannot be asked: from its signs of life and the store."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.core.events import State
from monitor.store.fleet import StoredMonitor
from monitor.store.records import StoredStream

NOT_RUNNING = "NOT RUNNING"  # of a stream that no monitor listens to
# Of several events that last, the state of a stream is that of the first in this order.
KIND_STATES = {
    "lost": State.LOST, "no signal": State.NO_SIGNAL, "overloaded": State.OVERLOADED, "anomaly": State.ANOMALY,
    "off": State.OFF, "new mode": State.NEW_MODE, "warning": State.WARNING,
}  # fmt: skip
_STATES = {state.value for state in State}


def state_elsewhere(
    stream: StoredStream, monitor: StoredMonitor, lasting: Mapping[str, float], minute: State | None
) -> tuple[str, float | None]:
    """The state of a stream, and since when it is in it; None if that is not known.

    Clocks of different computers differ, so whether a monitor runs is known by its signs of life alone, not by the
    times of what it has written.

    Args:
        stream: the stream.
        monitor: of its host.
        lasting: the events of the stream that last: when they began (Unix time), by kind.
        minute: the state of its newest minute; None: there is none.
    """
    if monitor.state != "alive":
        return NOT_RUNNING, monitor.stopped or monitor.last_seen
    said = monitor.streams.get(stream.name)
    if said is None:
        return NOT_RUNNING, stream.last_seen
    kind = next((one for one in KIND_STATES if one in lasting), None)
    if kind is not None:  # written at once, while signs of life are up to fleet.every_s old
        return KIND_STATES[kind].value, lasting[kind]
    if said in _STATES and said not in {state.value for state in KIND_STATES.values()}:
        return said, None
    return str(minute or State.LISTENING), None
