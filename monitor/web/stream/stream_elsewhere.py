"""What the store says of the present of a stream of another computer, whose monitor cannot be asked from here."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from monitor.core.events import State
from monitor.core.text import printable
from monitor.report.event_text import moment
from monitor.store import fleet, queries
from monitor.store.database import Store, StoreError
from monitor.store.records import MinuteValues, StoredStream
from monitor.web.hall.elsewhere import KIND_STATES, NOT_RUNNING, state_elsewhere

NEWEST_S = 180.0  # a minute that is older, before the stream was last listened to, says nothing of its present
STATES = {
    "anomaly": State.ANOMALY, "warning": State.WARNING, "normal": State.NORMAL, "listening": State.LISTENING,
    "off": State.OFF, "new_mode": State.NEW_MODE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The present of a stream, as far as the store knows it."""

    stream: StoredStream
    state: str
    since: float | None  # Unix time
    share: float | None  # highest share of the limit in its newest minute
    level: float  # of that minute in dBFS; NaN if it is not known
    note: str  # how old that is, a sentence or two


def read_elsewhere(store: Store, stream_id: int) -> Elsewhere:
    """Reads the present of a stream.

    Raises:
        StoreError: if there is no such stream, or the store cannot be read.
    """
    stream = next((one for one in queries.streams(store) if one.id == stream_id), None)
    if stream is None:
        raise StoreError(f"There is no stream number {stream_id} in the store.", rejected=True)
    host = printable(stream.host)
    monitor = next((one for one in fleet.monitors(store) if one.host == stream.host), None)
    if monitor is None:
        note = f"{host} has given no sign of life: its monitor does not run, or is of an older version."
        return Elsewhere(stream, NOT_RUNNING, stream.last_seen, None, math.nan, note)
    seen = stream.last_seen
    found = queries.minutes(store, stream.id, since=seen - NEWEST_S, until=seen + NEWEST_S)
    events = queries.events(store, since=seen, streams=[stream.id], kinds=list(KIND_STATES), limit=100)
    lasting = {one.kind: one.onset for one in events if one.ended is None}
    state, since = state_elsewhere(stream, monitor, lasting, _state_of(found))
    if state == NOT_RUNNING:
        signs = "was ended" if monitor.state == "stopped" else f"is {monitor.state}"
        note = f"The monitor of {host} {signs}." if monitor.state != "alive" else f"{host} does not listen to it."
        return Elsewhere(stream, state, since, None, math.nan, note)
    note = (
        f"Live values are shown on the page of {host} itself. These are of its last sign of life and of the minute "
        f"until {moment(seen).strip()}."
    )
    share = float(found.share_max[-1]) if len(found.time) else math.nan
    level = float(found.level[-1]) if len(found.time) else math.nan
    return Elsewhere(stream, state, since, None if math.isnan(share) else share, level, note)


def _state_of(found: MinuteValues) -> State | None:
    """The state of the newest minute; None if there is none."""
    if not len(found.time):
        return None
    seconds = np.array([found.seconds[name][-1] for name in STATES])
    return list(STATES.values())[int(seconds.argmax())] if seconds.any() else State.LISTENING
