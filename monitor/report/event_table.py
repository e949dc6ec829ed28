"""Stored events on a terminal and in a pipe: a table, one event whole, and lines of JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from monitor.core.text import band_range, printable
from monitor.dashboard.render.formatting import number
from monitor.notify.outbox import Delivery
from monitor.report import event_text as words
from monitor.store.records import StoredEvent
from monitor.store.verdicts import StoredVerdict

_TIMES = ("onset", "reported", "ended", "acknowledged", "verdict_time", "clip_start")
_STYLES = {"anomaly": "red", "warning": "yellow", "lost": "magenta", "no signal": "magenta", "overloaded": "magenta"}
_INDENT = "                 "  # below the time, so that a list of events can be scanned by it
_HEADINGS = ("began", "stream", "what", "how long", "peak", "clip", "id")
_RIGHT = (False, False, False, True, True, False, False)


def print_table(console: Console, events: Sequence[StoredEvent], ids: Mapping[str, str], *, hosts: bool) -> None:
    """Prints a row for each event, and why it was reported at its end, or below it where there is no room.

    Args:
        console: a terminal, or a pipe, in which each event has one line.
        events: in the order of the rows.
        ids: beginnings of the events' ids.
        hosts: whether the streams of several hosts are among them, so that the host belongs to the name.
    """
    rows = [_row(event, ids[event.id], hosts=hosts) for event in events]
    ends = [_end(event) for event in events]
    widths = [max(cell_len(row[i]) for row in [_HEADINGS, *rows]) for i in range(len(_HEADINGS))]
    below = console.is_terminal
    if below and sum(widths) + 2 * (len(widths) - 1) > console.width:  # long names stand in the second line, too
        ends = [" · ".join(part for part in (row[1], end) if part) for row, end in zip(rows, ends, strict=True)]
        widths[1] = 0
    elif below:
        below = any(cell_len(end) + sum(widths) + 2 * len(widths) > console.width for end in ends)
    heading = _cells(_HEADINGS, widths) + ("" if below else "  why")
    console.print(Text(heading.rstrip(), style="dim"), soft_wrap=True)
    for event, row, end in zip(events, rows, ends, strict=True):
        line = Text(_cells(row, widths))
        place = len(_cells(row[:2], widths[:2])) + 2
        line.stylize(_STYLES.get(event.kind, ""), place, place + len(row[2]))
        if end and not below:
            line.append(f"  {end}")
        line.rstrip()
        console.print(line, soft_wrap=True)
        if end and below:
            console.print(_wrapped(end, console.width))


def _row(event: StoredEvent, short_id: str, *, hosts: bool) -> tuple[str, ...]:
    stream = f"{event.host}/{event.stream}" if hosts else event.stream
    clip = "yes" if event.clip else "-"
    return (
        words.moment(event.onset), printable(stream), words.kind(event), words.length(event), words.peak(event) or "-",
        clip, short_id,
    )  # fmt: skip


def _end(event: StoredEvent) -> str:
    """Why an event was reported, and what people said about it."""
    return printable("; ".join(part for part in (words.why(event), words.judged(event)) if part))


def _cells(row: Sequence[str], widths: Sequence[int]) -> str:
    made = []
    for text, width, right in zip(row, widths, _RIGHT[: len(row)], strict=True):
        if not width:
            continue
        space = " " * (width - cell_len(text))
        made.append(space + text if right else text + space)
    return "  ".join(made)


def _wrapped(text: str, width: int) -> Text:
    made = Text(style="dim")
    line = ""
    for word in text.split():
        if line and cell_len(_INDENT + line) + 1 + cell_len(word) > width:
            made.append(f"{_INDENT}{line}\n")
            line = ""
        line = f"{line} {word}" if line else word
    made.append(_INDENT + line)
    return made


def print_event(
    console: Console,
    event: StoredEvent,
    where: Callable[[str, str], str],
    deliveries: Sequence[Delivery],
    verdicts: Sequence[StoredVerdict],
) -> None:
    """Prints all that is known of one event, with the paths of its files and its messages.

    Args:
        console: where to.
        event: the event.
        where: returns where a file is, of its host and its path in the store.
        deliveries: the messages about it.
        verdicts: what people said about it, oldest first.
    """

    def moment(time: float) -> str:
        return words.moment(time, year=True, day=True).strip()

    facts: list[tuple[str, str]] = [
        ("event", event.id),
        ("what", words.kind(event)),
        ("stream", f"{event.stream} on {event.host}"),
        ("began", f"{moment(event.onset)} ({words.offsets(event.onset)})"),
        ("reported", moment(event.reported) if event.reported != event.onset else ""),
        ("ended", "it goes on" if event.ended is None else moment(event.ended)),
        ("how long", words.length(event).replace("…", ", until the sound ended")),
        ("peak", f"{words.peak(event)} of the limit" if words.peak(event) else ""),
        ("score", _score(event)),
        ("why", words.why(event) if event.kind == "self-test" else words.cause(event)),
    ]
    facts += [("" if i else "where", f"{one.change} sound at {band_range(one)}, {100 * one.share:.0f} % of the score")
              for i, one in enumerate(event.bands)]  # fmt: skip
    facts += [
        ("not heard", f"{event.lost_samples} samples" if event.lost_samples else ""),
        ("source", event.source),
        ("model", event.model_id),
        ("reminders", str(event.reminders) if event.reminders else ""),
        ("clip", where(event.host, event.clip) if event.clip else _no_clip(event)),
        ("picture", where(event.host, event.picture) if event.picture else ""),
        ("note", event.note if event.clip else ""),
        ("kept", "whatever its age" if event.locked else ""),
    ]
    if event.acknowledged is not None:
        by = f" by {event.acknowledged_by}" if event.acknowledged_by else ""
        facts.append(("acknowledged", f"{moment(event.acknowledged)}{by}"))
    for one in verdicts:
        comment = f": {one.comment}" if one.comment else ""
        facts.append(("verdict", f"{one.verdict or 'withdrawn'}, {moment(one.time)}, by {one.by}{comment}"))
    for message in deliveries:
        facts.append(("message", _delivery(message)))
    for name, text in facts:
        if text:
            line = Text.assemble((f"{name:<13}", "dim"), printable(text))
            console.print(line, soft_wrap=True)


def _score(event: StoredEvent) -> str:
    if event.peak is None or not event.threshold:
        return ""
    return f"up to {number(event.peak)}, limit {number(event.threshold)}"


def _delivery(message: Delivery) -> str:
    sent = f" {words.moment(message.sent).strip()}" if message.sent is not None else ""
    tries = f" after {message.attempts} attempts" if message.attempts > 1 else ""
    why = f": {message.why}" if message.why and message.sent is None else ""
    return f"{message.stage}, to {message.channel}: {message.state}{sent}{tries}{why}"


def as_json(event: StoredEvent) -> str:
    """One line of JSON with the fields of the event; times in UTC, null for what is not known."""
    facts: dict[str, Any] = dataclasses.asdict(event)
    for name in _TIMES:
        facts[name] = None if facts[name] is None else words.utc(facts[name])
    for name, value in facts.items():
        if isinstance(value, float) and not math.isfinite(value):
            facts[name] = None
    return json.dumps(facts)  # in ASCII, so that it needs no encoding and controls no terminal


def _no_clip(event: StoredEvent) -> str:
    """Why an event has no clip."""
    return "" if event.kind == "self-test" else event.note or "none"
