"""The sentence below the large word: why the state is what it is, where in the spectrum, and for how long."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from monitor.core.events import Band, Event, State
from monitor.core.snapshot import Snapshot
from monitor.core.text import band_range
from monitor.dashboard.render.formatting import span

_GROWING = 0.5  # cumulative sum, as a share of its limit, from which on it is the reason of a warning

REASONS = {
    State.LISTENING: "not enough sound yet",
    State.NORMAL: "sounds as usual",
    State.WARNING: "unusual, but not for long yet",
    State.ANOMALY: "does not sound as usual",
    State.OFF: "too quiet to be running",
    State.NEW_MODE: "runs in a way that was not heard in training",
    State.LOST: "no sound comes in",
    State.NO_SIGNAL: "silence: muted, or broken",
    State.OVERLOADED: "much is not heard: the computer is too busy",
}
_EVENTS = {State.ANOMALY: "anomaly", State.LOST: "lost", State.NO_SIGNAL: "no signal"}  # kinds, by state


def ongoing(snapshot: Snapshot, kind: str = "anomaly") -> Event | None:
    """The event of this kind that lasts, None if there is none."""
    return next((event for event in reversed(snapshot.events) if event.kind == kind and event.end_s is None), None)


def is_acknowledged(snapshot: Snapshot, acknowledged: Collection[str]) -> bool:
    """Whether the anomaly that lasts is one of those that somebody has seen."""
    event = ongoing(snapshot) if snapshot.state is State.ANOMALY else None
    return event is not None and event.id in acknowledged


def reason(snapshot: Snapshot, room: int, now: float, acknowledged: Collection[str] = ()) -> str:
    """The sentence, in at most `room` characters: unusual for 40 s: new sound at 6.8-7.8 kHz."""
    event = ongoing(snapshot, _EVENTS[snapshot.state]) if snapshot.state in _EVENTS else None
    text = REASONS[snapshot.state]
    where: Sequence[Band] = ()
    if snapshot.state is State.WARNING and snapshot.lasting_sum >= _GROWING and not snapshot.score > snapshot.threshold:
        text = "a little unusual for a while"
    elif event is not None and snapshot.state is State.ANOMALY:
        lasting = event.cause == "lasting"
        text = f"{'a little unusual' if lasting else 'unusual'} for {_seconds(snapshot.position_s - event.start_s)}"
        if is_acknowledged(snapshot, acknowledged):
            text += ", acknowledged"
        where = event.bands
    elif event is not None and math.isfinite(now):
        text += f", for {_seconds(now - event.wall_time)}"
    places = sound_at(where, room - len(text) - 2) or sound_at(where, room - len(text) - 2, noun="")
    return f"{text}: {places}" if places else text[: max(room, 0)]


def sound_at(bands: Sequence[Band], room: int, noun: str = "sound ") -> str:
    """Where sound is new or missing: new sound at 6.8-7.8 kHz; as many ranges as fit into `room` characters."""
    text = ""
    before = ""
    for band in bands:
        more = f", {band_range(band)}" if band.change == before else f"{', ' if text else ''}{band.change} {noun}at "
        if band.change != before:
            more += band_range(band)
        if len(text) + len(more) > room:
            break
        text, before = text + more, band.change
    return text


def _seconds(seconds: float) -> str:
    """A time that goes on, in whole seconds: 40 s, 3:05."""
    return f"{max(int(seconds), 0)} s" if seconds < 60 or not math.isfinite(seconds) else span(seconds)
