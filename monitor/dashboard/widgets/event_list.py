"""The panel "Events", newest first: when, for how long, how far above the limit, and at which frequencies."""

from __future__ import annotations

from monitor.core.events import Event
from monitor.core.snapshot import Snapshot
from monitor.core.text import band_list, counted
from monitor.dashboard.render.cells import Line, Part, block, line, rule, spread
from monitor.dashboard.render.formatting import (
    clock,
    duration,
    event_cause,
    event_kind,
    event_mark,
    event_peak,
    long_since,
    name,
    of_limit,
    share,
)
from monitor.dashboard.render.theme import Glyphs, Theme

_WIDE = 48  # cells from which there is a column for what the event is


def events(snapshot: Snapshot, width: int, rows: int, theme: Theme, glyphs: Glyphs, now: float) -> list[Line]:
    """A title and `rows` lines, with as many of the last events as fit.

    The newest anomaly has its cause and its frequencies in a second line if there are two lines, older ones if there
    is room for all events.
    """
    alarm = any(event.kind == "anomaly" and event.end_s is None for event in snapshot.events)
    count: Part = (counted(snapshot.anomalies, "anomaly", "anomalies"), theme.alert if alarm else theme.label)
    made = [rule(width, theme, glyphs, [("Events", theme.title)], [count])]
    newest_first = list(reversed(snapshot.events))[: max(rows, 0)]
    spare = max(rows - len(newest_first), 1 if rows > 1 else 0)
    for event in newest_first:
        made.append(_row(event, snapshot.position_s, width, theme, glyphs, now))
        why = _why(event, width - 2)
        if why and spare:
            made.append(line(width, ("  ", theme.plain), (why, theme.label)))
            spare -= 1
    if not snapshot.events and rows > 0:
        made.append(line(width, ("none so far", theme.label)))
    return block(made, width, rows + 1)


def _why(event: Event, room: int) -> str:
    """The cause of an anomaly and its frequencies, as much as fits into `room` cells; the frequencies come first."""
    why = event_cause(event)
    bands = band_list(event.bands, room - len(why) - 2 if why else room)
    if not bands:
        return band_list(event.bands, room) or why[: max(room, 0)]
    return f"{why}: {bands}" if why else bands


def _row(event: Event, position_s: float, width: int, theme: Theme, glyphs: Glyphs, now: float) -> Line:
    lasts = event.duration_s is None
    style = theme.alert if lasts and event.kind not in ("off", "new mode") else theme.value
    mark_style = {"off": theme.label, "new mode": theme.key, "anomaly": theme.alert}.get(event.kind, theme.warn)
    first: list[Part] = [(f"{event_mark(event, glyphs)} ", mark_style)]
    if width >= _WIDE:
        first.append((f"{name(event_kind(event), glyphs):<9} ", style))
    first.append((f"{clock(event.wall_time, now):<9}", theme.value))
    if event.kind != "drift":  # which is a moment
        first.append((f"{_length(event, position_s):>9}", style))
    room = width - sum(len(text) for text, _ in first) - 1
    return spread(width, first, _measure(event, width >= _WIDE, room, theme, glyphs))


def _length(event: Event, position_s: float) -> str:
    """How long an event was, or for how long it has lasted."""
    if event.duration_s is not None:
        return duration(event.duration_s)
    return f"for {long_since(position_s - event.start_s)}" if event.reminders else "ongoing"


def _measure(event: Event, named: bool, room: int, theme: Theme, glyphs: Glyphs) -> list[Part]:
    """How far an anomaly was above the limit, or how far the reference has adapted; else the kind, if not `named`."""
    if event.kind == "anomaly":
        style = theme.alert if event.duration_s is None else theme.value
        if event.cause == "lasting" and event_peak(event) <= 1:  # the alarm is that of the lasting sum
            return [("score ", theme.label), (share(event_peak(event)), style)]
        peak = of_limit(event_peak(event))
        peak = peak if len(peak) <= room else share(event_peak(event))
        prefix = "up to " if len("up to ") + len(peak) <= room else ""
        return [(prefix, theme.label), (peak, style)]
    if event.kind == "drift":
        adapted = share(event.peak)
        return [(f"{adapted} of what is allowed" if named else f"adapted {adapted}", theme.label)]
    return [] if named else [(name(event_kind(event), glyphs), theme.label)]
