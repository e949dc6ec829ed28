"""The last events, newest first: when, how long, how far above the threshold, and which frequencies carried it."""

from __future__ import annotations

from monitor.dashboard.render.cells import Line, Part, block, line, rule, spread
from monitor.dashboard.render.formatting import band_list, cause, clock, duration, long_since, name, number
from monitor.dashboard.render.theme import Glyphs, Theme
from monitor.core.snapshot import Event, Snapshot

_WIDE = 44  # cells from which there is room for words
_KINDS = {"lost": "no sound", "off": "machine off", "no signal": "no signal"}


def events(snapshot: Snapshot, width: int, rows: int, theme: Theme, glyphs: Glyphs, now: float) -> list[Line]:
    """A title and `rows` lines, as many of the last events as fit.

    The newest anomaly has its cause and its bands in a second line where there are two, older ones where there is
    room for all events.
    """
    count = snapshot.anomalies
    alarm = any(event.kind == "anomaly" and event.end_s is None for event in snapshot.events)
    style = theme.alert if alarm else theme.label
    many: list[Part] = [(f"{count} anomal{'y' if count == 1 else 'ies'}", style)]
    made = [rule(width, theme, glyphs, [("Events", theme.title)], many)]
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
    """The cause of an anomaly and the bands that carry it, as many as there is room for."""
    why = cause(event)
    bands = band_list(event.bands, room - len(why) - 2 if why else room)
    if not bands:  # which frequencies it is tells more than what was done with them
        return band_list(event.bands, room) or why[: max(room, 0)]
    return f"{why}: {bands}" if why else bands


def _row(event: Event, position_s: float, width: int, theme: Theme, glyphs: Glyphs, now: float) -> Line:
    mark = {"anomaly": glyphs.anomaly, "gap": glyphs.gap, "lost": glyphs.lost}.get(event.kind, glyphs.dot)
    lasts = event.duration_s is None
    style = theme.alert if lasts and event.kind != "off" else theme.value
    long = "ongoing" if event.duration_s is None else duration(event.duration_s)
    if lasts and event.reminders:
        long = f"still {long_since(position_s - event.start_s)}"
    first: list[Part] = [
        (f"{mark} ", theme.label if event.kind == "off" else theme.alert if event.kind == "anomaly" else theme.warn),
        (f"{clock(event.wall_time, now):<9}", theme.value),
        (f"{long:>9}", style),
    ]
    if width >= _WIDE:
        first.insert(1, (f"{name(event.kind, glyphs):<9} ", style))
    return spread(width, first, _measure(event, width, theme))


def _measure(event: Event, width: int, theme: Theme) -> list[Part]:
    """Peak and threshold of an anomaly, and what is missing of the rest."""
    if event.kind == "anomaly":
        label = "peak " if width >= _WIDE else ""
        between = " / " if width >= _WIDE else "/"
        return [
            (label, theme.label),
            (number(event.peak), theme.alert if event.duration_s is None else theme.value),
            (between, theme.label),
            (number(event.threshold), theme.line),
        ]
    if event.kind == "drift":
        return [(f"{100 * event.peak:.0f} % of cap", theme.label)]
    if event.kind == "gap":
        return [
            (
                f"-{number(event.lost_samples)} smp" if width < _WIDE else f"{event.lost_samples} samples",
                theme.label,
            )
        ]
    return [] if event.kind == "no signal" and width >= _WIDE else [(_KINDS.get(event.kind, event.kind), theme.label)]
