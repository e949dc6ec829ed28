"""What the page of an event says: the event in words, its verdicts, and where to go from it."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass

from monitor.core.text import band_range, duration_text, printable
from monitor.dashboard.render.formatting import share
from monitor.report import event_text
from monitor.store import queries
from monitor.store.database import Store
from monitor.store.event_search import EventSearch, Place, neighbours, page
from monitor.store.records import StoredEvent
from monitor.store.verdicts import MEANINGS, VERDICTS, StoredVerdict, verdicts_of

# What a verdict is good for; {stream} is the name of the stream.
CONSEQUENCES = {
    "real fault": "A known fault now: `monitor improve {stream}` shows whether the next model still reports it.",
    "new but normal": "`monitor improve {stream}` makes the next model learn it.",
    "disturbance": "It is not learnt. `monitor backtest {stream}` shows which limit would not have reported it.",
    "maintenance": "It is not learnt. `monitor mute {stream} --for 2h` holds messages back during the next work.",
    "sensor": "Neither it nor the sound around it is learnt. Look at the microphone, its cable and its place.",
}


@dataclass(frozen=True, slots=True)
class Link:
    """Another event to go to."""

    id: str
    text: str  # stream and time


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the list of facts."""

    name: str
    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class EventView:
    """An event with everything that its page says of it, as it was read from the store at one time."""

    event: StoredEvent
    stream_id: int
    verdicts: tuple[StoredVerdict, ...]  # oldest first
    newer: Link | None  # the event before it in the list, which has the newest first
    older: Link | None
    unjudged: Link | None  # the next one that nobody has judged


def read_view(store: Store, event_id: str) -> EventView:
    """Reads an event and its surroundings.

    Raises:
        StoreError: if there is no such event, or the store cannot be read.
    """
    event = queries.event(store, event_id)
    same = EventSearch(kinds=("anomaly",) if event.kind == "anomaly" else ())
    newer, older = (_link(store, one) for one in neighbours(store, same, event))
    ids = {(one.host, one.name): one.id for one in queries.streams(store)}
    return EventView(
        event, ids[event.host, event.stream], tuple(verdicts_of(store, event.id)), newer, older, _unjudged(store, event)
    )


def title(event: StoredEvent) -> str:
    """The heading: Anomaly of pump."""
    return f"{event_text.kind(event).capitalize()} of {printable(event.stream)}"


def subtitle(event: StoredEvent) -> str:
    """When, how long, how strong, and why, in a line."""
    parts = [
        event_text.moment(event.onset, year=True, day=True).strip(),
        event_text.length(event),
        event_text.peak(event),
    ]
    if parts[2]:
        parts[2] += " of the limit"
    return " · ".join(part for part in (*parts, event_text.why(event)) if part)


def facts(view: EventView) -> list[Fact]:
    """The list of facts; what is not known is left out."""
    event = view.event
    lines = [
        Fact("Stream", printable(event.stream), f"/stream/{view.stream_id}"),
        Fact("Listened to on", event.host),
        Fact(
            "Began",
            f"{event_text.moment(event.onset, year=True, day=True).strip()} ({event_text.offsets(event.onset)})",
        ),
        Fact("Lasted", _lasted(event)),
        Fact(
            "Reported",
            f"{duration_text(max(event.reported - event.onset, 0.0))} after it began" if event.reported else "",
        ),
        Fact("Cause", event_text.cause(event)),
        Fact("Peak", f"{event_text.peak(event)} of the limit" if event_text.peak(event) else ""),
        Fact("Mean", f"{share(event.mean_share)} of the limit" if event.mean_share is not None else ""),
        Fact("Bands", "\n".join(f"{band_range(band)}, {band.change}, {share(band.share)}" for band in event.bands)),
        Fact("Model", event.model_id),
        Fact("Microphone", printable(event.source)),
        Fact("Seen by", _seen(event)),
        Fact("Kept", "locked: whatever its age" if event.locked else ""),
        Fact("Note", event.note if event.clip else ""),
        Fact("Event", event.id),
    ]
    return [line for line in lines if line.text]


def why_silent(event: StoredEvent, *, clips_enabled: bool) -> str:
    """Why there is nothing to hear of an event that has no clip: a sentence."""
    if event.kind != "anomaly":
        return "Sound is kept of anomalies only."
    if event.note:
        return event.note
    if event.ended is None:
        return "It lasts. Its sound can be heard when it has ended, or when the clip has reached its greatest length."
    if not clips_enabled:
        return "No sound is kept: clips.enabled is false in the settings."
    return "There is no clip of it: the monitor ended before it was written, or clips were not kept then."


def consequence(verdict: str, stream: str) -> str:
    """What a verdict is good for, in a sentence."""
    return CONSEQUENCES[verdict].format(stream=shlex.quote(stream))


def choices() -> list[tuple[str, str, str]]:
    """The verdicts to choose from: key, verdict, meaning."""
    return [(str(number), verdict, MEANINGS[verdict]) for number, verdict in enumerate(VERDICTS, 1)]


def _lasted(event: StoredEvent) -> str:
    if event.kind == "drift":
        return ""
    if event.ended is None:
        return f"it has lasted for {duration_text(max(time.time() - event.onset, 0.0))}"
    return duration_text(max(event.ended - event.onset, 0.0)) + (", then the sound ended" if event.cut_off else "")


def _seen(event: StoredEvent) -> str:
    if event.acknowledged is None:
        return "nobody"
    return f"{event.acknowledged_by or 'somebody'}, {event_text.moment(event.acknowledged).strip()}"


def _unjudged(store: Store, event: StoredEvent) -> Link | None:
    """The next older event without a verdict; if there is none, the newest."""
    wanted = EventSearch(kinds=("anomaly",), verdicts=("",))
    for after in (Place(False, event.onset, event.id), None):
        for found in page(store, wanted, after=after, size=2).events:
            if found.id != event.id:
                return _as_link(found)
    return None


def _link(store: Store, event_id: str) -> Link | None:
    return _as_link(queries.event(store, event_id)) if event_id else None


def _as_link(event: StoredEvent) -> Link:
    return Link(event.id, f"{printable(event.stream)}, {event_text.moment(event.onset).strip()}")
