"""The last events, newest first: when, how long, and how far above the threshold."""

from __future__ import annotations

from monitor.dashboard.lines import Line, Part, block, line, rule, spread
from monitor.dashboard.readings import clock, duration, name, number
from monitor.dashboard.theme import Glyphs, Theme
from monitor.snapshot import Event, Snapshot


def events(snapshot: Snapshot, width: int, rows: int, theme: Theme, glyphs: Glyphs, now: float) -> list[Line]:
    """A title and `rows` lines, as many of the last events as fit."""
    count = snapshot.anomalies
    alarm = any(event.kind == "anomaly" and event.end_s is None for event in snapshot.events)
    style = theme.alert if alarm else theme.label
    many: list[Part] = [(f"{count} anomal{'y' if count == 1 else 'ies'}", style)]
    made = [rule(width, theme, glyphs, [("Events", theme.title)], many)]
    for event in list(reversed(snapshot.events))[:rows]:
        made.append(_row(event, width, theme, glyphs, now))
    if not snapshot.events and rows > 0:
        made.append(line(width, ("none so far", theme.label)))
    return block(made, width, rows + 1)


def _row(event: Event, width: int, theme: Theme, glyphs: Glyphs, now: float) -> Line:
    mark = {"anomaly": glyphs.anomaly, "gap": glyphs.gap, "lost": glyphs.lost}.get(event.kind, glyphs.dot)
    lasts = event.duration_s is None
    style = theme.alert if lasts else theme.value
    long = "ongoing" if event.duration_s is None else duration(event.duration_s)
    first: list[Part] = [
        (f"{mark} ", theme.alert if event.kind == "anomaly" else theme.warn),
        (f"{clock(event.wall_time, now):<9}", theme.value),
        (f"{long:>8}", style),
    ]
    if width >= 44:
        first.insert(1, (f"{name(event.kind, glyphs):<8} ", style))
    return spread(width, first, _measure(event, width, theme))


def _measure(event: Event, width: int, theme: Theme) -> list[Part]:
    """Peak and threshold of an anomaly, and what is missing of the rest."""
    if event.kind == "anomaly":
        label = "peak " if width >= 44 else ""
        between = " / " if width >= 44 else "/"
        return [
            (label, theme.label),
            (number(event.peak), theme.alert if event.duration_s is None else theme.value),
            (between, theme.label),
            (number(event.threshold), theme.line),
        ]
    if event.kind == "gap":
        return [
            (
                f"-{number(event.lost_samples)} smp" if width < 44 else f"{event.lost_samples} samples",
                theme.label,
            )
        ]
    return [("no sound" if width >= 44 or event.kind == "lost" else event.kind, theme.label)]
