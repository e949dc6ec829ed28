"""Messages in words: which machine, what, since when, how strong, which frequencies, and what to do."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence

from monitor.core.events import CAUSES, Band
from monitor.core.text import band_range, counted, duration_text, printable, shortened, some_of
from monitor.notify.rules import BEGAN, ENDED, ESCALATED, reminder_number
from monitor.store.records import StoredEvent

SHORT_ID = 18  # characters of an id that tell events apart: its time and twelve random bits
NAMED = 8  # streams that a digest names
MOMENTS = ("gap", "drift")  # kinds that do not last

# What a machine or its microphone does, by the kind of event: while it lasts, when it is over, and what to do.
_KINDS = {
    "anomaly": ("has sounded unusual", "sounded unusual", "Listen to the machine."),
    "warning": ("has been near its limit", "was near its limit", ""),
    "off": ("has been off", "was off", ""),
    "new mode": (
        "has been running in a way that was not heard in training",
        "ran in a way that was not heard in training",
        "If it is a normal way to run, record it and train again.",
    ),
    "lost": (
        "has not been heard: no sound comes in",
        "was not heard: no sound came in",
        "Check the microphone, its cable and the sound server.",
    ),
    "no signal": (
        "has not been heard: the microphone delivers silence",
        "was not heard: the microphone delivered silence",
        "Check whether the microphone is muted or its cable is broken.",
    ),
    "overloaded": (
        "has only been heard in part: the computer is too busy",
        "was only heard in part: the computer was too busy",
        "Give the program more of the processor.",
    ),
    "invalid samples": (
        "has delivered samples that are no numbers",
        "delivered samples that are no numbers",
        "Check the sound card and its driver.",
    ),
    "gap": ("was not heard for a moment: sound is missing", "was not heard for a moment: sound is missing", ""),
    "self-test": (
        "has been monitored less well than at first",
        "was monitored less well than at first",
        "Check whether its microphone is covered, moved or damaged.",
    ),
    "drift": ("has changed slowly: the model has adapted to it", "has changed slowly: the model has adapted to it", ""),
}  # fmt: skip

_LOST = {"gap": "not heard", "overloaded": "not heard", "invalid samples": "replaced by silence"}  # by kind


def moment(at: float, zone: datetime.tzinfo | None = None) -> str:
    """A Unix time as local time: 14:03:12 on 2026-11-27."""
    return f"{datetime.datetime.fromtimestamp(at, zone):%H:%M:%S on %Y-%m-%d}"


def title(event: StoredEvent, stage: str) -> str:
    """A few words for the subject of a message."""
    before = {ENDED: "Ended: ", ESCALATED: "Not acknowledged: "}.get(stage, "")
    if reminder_number(stage):
        before = "Reminder: "
    return f"{before}{printable(event.stream)}: {event.kind}"


def sentence(event: StoredEvent, stage: str, zone: datetime.tzinfo | None = None) -> str:
    """What has happened and what to do, for people.

    Args:
        event: as it is stored now.
        stage: of the delivery.
        zone: time zone of the times; None: that of the computer.
    """
    lasts, is_over, advice = _KINDS.get(event.kind, (f"has an event: {event.kind}", f"had an event: {event.kind}", ""))
    machine = f"{printable(event.stream)} on {printable(event.host)}"
    begin = moment(event.onset, zone)
    if event.kind in MOMENTS:
        what = f"{machine} {is_over} at {begin}"
    elif event.ended is None:
        what = f"{machine} {lasts} since {begin}"
    else:
        length = duration_text(max(0.0, event.ended - event.onset))
        what = f"{machine} {is_over} for {length} from {begin}"
        what += ", until the monitoring ended" if event.cut_off else ""
    details = "; ".join(_details(event))
    parts = [f"{what}: {details}." if details else f"{what}."]
    unacknowledged = event.ended is None and event.acknowledged is None
    if stage == ENDED and not event.cut_off:
        parts.insert(0, "It is over:")
    elif stage == ESCALATED:
        parts.insert(0, "Nobody has acknowledged this:")
    elif number := reminder_number(stage):
        parts.insert(0, f"Reminder {number}:")
    if advice and event.ended is None:
        parts.append(advice)
    short = event.id[:SHORT_ID]
    parts.append(f"More: monitor events {short}")
    if unacknowledged and stage != BEGAN:
        parts[-1] += f"; to end the reminders: monitor acknowledge {short}"
    return " ".join(parts)


def _details(event: StoredEvent) -> list[str]:
    """How strong it is, why it was reported, and in which frequencies."""
    found: list[str] = []
    if event.kind == "self-test" and event.note:
        found.append(f"self-test: {event.note}")
    if event.peak_share is not None and event.peak_share == event.peak_share:  # not NaN
        found.append(f"up to {100 * event.peak_share:.0f} % of its limit")
    if event.cause:
        found.append(CAUSES.get(event.cause, event.cause))
    for change in ("new", "missing"):
        if where := _ranges([band for band in event.bands if band.change == change]):
            found.append(f"{change} sound at {where}")
    if event.lost_samples and event.kind in _LOST:
        found.append(f"{counted(event.lost_samples, 'sample')} {_LOST[event.kind]}")
    return found


def _ranges(bands: Sequence[Band]) -> str:
    return ", ".join(map(band_range, bands[:4]))


def digest_title(count: int) -> str:
    """A few words for the subject of a message about many events."""
    return f"{count} messages"


def digest_sentence(count: int, listed: Sequence[tuple[StoredEvent, str]]) -> str:
    """What has happened in many events, for people.

    Args:
        count: the number of deliveries in the message.
        listed: events and stages of the first ones.
    """
    kinds = Counter(f"{event.kind} {stage}" for event, stage in listed)
    amounts = ", ".join(f"{what} ({number})" for what, number in kinds.most_common())
    names = list(dict.fromkeys(printable(event.stream) for event, _ in listed))
    streams = some_of(names, most=NAMED)
    first = f" The first {len(listed)} are listed." if count > len(listed) else ""
    text = f"{count} messages at once, instead of one by one: {amounts}; {counted(len(names), 'stream')}: {streams}."
    return f"{shortened(text, 600)}{first} More: monitor events"
