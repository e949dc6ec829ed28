"""Stored events in words, the same on the terminal and on the page of a report."""

from __future__ import annotations

import datetime
import math

from monitor.core.events import CAUSES
from monitor.dashboard.render.formatting import duration, kind_word, share
from monitor.dashboard.widgets.reason import sound_at
from monitor.store.records import StoredEvent

_ROOM = 300  # characters for the frequencies of an event
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def kind(event: StoredEvent) -> str:
    """What an event is, in the word of the screen."""
    return kind_word(event.kind)


def length(event: StoredEvent) -> str:
    """How long an event lasted: 45 s, 3:05; with an ellipsis if the sound ended first; ongoing; empty for a moment."""
    if event.kind == "drift":
        return ""
    if event.ended is None:
        return "ongoing"
    return duration(max(event.ended - event.onset, 0.0)) + ("…" if event.cut_off else "")


def peak(event: StoredEvent) -> str:
    """The highest share of the limit: 355 %; empty where there is none."""
    return "" if event.peak_share is None or math.isnan(event.peak_share) else share(event.peak_share)


def cause(event: StoredEvent) -> str:
    """Why it was reported: sudden, small but lasting …; empty where that is not known."""
    return CAUSES.get(event.cause, event.cause)


def where(event: StoredEvent) -> str:
    """Where sound is new or missing: new sound at 2.1-2.8 kHz, missing sound at 310-420 Hz."""
    return sound_at(event.bands, _ROOM)


def why(event: StoredEvent) -> str:
    """Cause and frequencies: sudden: new sound at 2.1-2.8 kHz. Of a self-test: what is detected worse."""
    if event.kind == "self-test":
        return event.note
    return ": ".join(part for part in (cause(event), where(event)) if part)


def judged(event: StoredEvent) -> str:
    """What people said about an event: its verdict, else who acknowledged it; empty if nobody did."""
    if event.verdict:
        return f"verdict {event.verdict}"
    if event.acknowledged is not None:
        return f"acknowledged by {event.acknowledged_by}" if event.acknowledged_by else "acknowledged"
    return ""


def local(unix_time: float) -> datetime.datetime:
    """A Unix time as local time with its offset."""
    return datetime.datetime.fromtimestamp(unix_time).astimezone()


def moment(unix_time: float, *, year: bool = False, day: bool = False) -> str:
    """A local time without the language of the system: 27 Nov 14:00:05; Thu 27 Nov 2025 14:00:05."""
    at = local(unix_time)
    weekday = f"{_DAYS[at.weekday()]} " if day else ""
    return f"{weekday}{at.day:2d} {MONTHS[at.month - 1][:3]} {f'{at.year} ' if year else ''}{at:%H:%M:%S}"


def offsets(*unix_times: float) -> str:
    """The offsets of local time at these times: UTC+01:00, or UTC+02:00 and UTC+01:00 around a change of the clock."""
    texts = dict.fromkeys(f"UTC{local(one):%z}" for one in unix_times)
    return " and ".join(f"{one[:6]}:{one[6:8]}" for one in texts)


def utc(unix_time: float) -> str:
    """A Unix time in UTC as ISO 8601: 2025-11-27T13:00:05.250Z."""
    return datetime.datetime.fromtimestamp(unix_time, datetime.UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
