"""Weeks of a stream on a terminal: its share of the limit, its states, its level, and what happened."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console, ConsoleOptions
from rich.segment import Segment

from monitor.dashboard.layout import theme_for
from monitor.dashboard.render.cells import Line, Part, line, rule
from monitor.dashboard.render.formatting import name, share
from monitor.dashboard.render.theme import ASCII, UNICODE, Glyphs, Theme
from monitor.dashboard.render.time_grid import on_grid
from monitor.dashboard.render.time_ticks import date
from monitor.dashboard.widgets.chart import GUTTER
from monitor.dashboard.widgets.long_term import (
    Mark,
    dots,
    level_line,
    long_time_axis,
    mark_line,
    share_chart,
    sparkline,
    state_legend,
    state_strip,
)
from monitor.report.details import StoredModel
from monitor.store.records import MinuteValues, StoredEvent, StoredStream

_ROWS = 12  # of the chart
MARKED = ("anomaly", "lost", "no signal", "overloaded")  # kinds of events that have a sign


class TrendChart:
    """A rich renderable as wide as the console.

    Args:
        stream: whose values these are.
        values: of the time from `since` to `until`.
        events: of the same time.
        models: the models that the stream was listened to with; the beginning of each but the first is marked.
        since, until: Unix times.
        ascii: use no characters outside ASCII.
        colour: whether colours are wanted; a console without colours shows none.
    """

    def __init__(
        self,
        stream: StoredStream,
        values: MinuteValues,
        events: Sequence[StoredEvent],
        models: Sequence[StoredModel],
        *,
        since: float,
        until: float,
        ascii: bool = False,
        colour: bool = True,
    ) -> None:
        self._stream, self._values, self._events, self._models = stream, values, events, models
        self._since, self._until = since, until
        self._glyphs = ASCII if ascii else UNICODE
        self._colour = colour

    def lines(self, width: int, theme: Theme) -> list[Line]:
        """Lines of `width` cells."""
        glyphs = self._glyphs
        fine = on_grid(self._values, self._since, self._until, dots(width, glyphs))
        coarse = on_grid(self._values, self._since, self._until, max(width - GUTTER, 1))
        title: list[Part] = [(name(self._stream.name, glyphs), theme.title)]
        title.append((f", share of limit, from {date(self._since)} on", theme.label))
        limit: list[Part] = [("alarm above ", theme.label), (share(1.0), theme.line)]
        made = [rule(width, theme, glyphs, title, limit), *share_chart(fine, _ROWS, theme, glyphs)]
        marks = self._marks(theme, glyphs)
        if marks:
            made.append(mark_line(fine, marks, width, theme))
        levels, of = level_line(coarse, width, theme, glyphs)
        made += [state_strip(coarse, width, theme, glyphs), levels]
        if coarse.seconds["not_heard"]:
            missed = np.where(coarse.not_heard > 0, coarse.not_heard, np.nan)
            made.append(sparkline("missed", missed, 0.0, 1.0, width, theme, glyphs))
        made.append(long_time_axis(fine, width, theme, glyphs))
        legend = state_legend(coarse, theme, glyphs)
        if of:
            legend += [("level ", theme.label), (f"{of}   ", theme.value)]
        made += _folded([*legend, *self._signs(marks, theme)], width, theme)
        return made

    def _marks(self, theme: Theme, glyphs: Glyphs) -> list[Mark]:
        """Anomalies last, so that they are seen where several things happened in one column."""
        signs = {"anomaly": (glyphs.anomaly, theme.alert)}
        lost = (glyphs.lost, theme.warn)
        found = [Mark(one.first_seen, "M", theme.key) for one in self._models[1:]]
        found += [
            Mark(one.onset, *signs.get(one.kind, lost))
            for one in sorted(self._events, key=lambda one: one.kind == "anomaly")
            if one.kind in MARKED
        ]
        return [mark for mark in found if self._since <= mark.time <= self._until]

    def _signs(self, marks: Sequence[Mark], theme: Theme) -> list[Part]:
        """What the signs of events mean, of those that are shown."""
        glyphs = self._glyphs
        meanings = {glyphs.anomaly: "an anomaly began", glyphs.lost: "no sound", "M": "another model or limit"}
        shown = {mark.sign: mark.style for mark in marks}
        parts: list[Part] = []
        for sign, meaning in meanings.items():
            if sign in shown:
                parts += [(f"{sign} ", shown[sign]), (f"{meaning}   ", theme.label)]
        return parts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> list[Segment]:
        made: list[Segment] = []
        for row in self.lines(options.max_width, theme_for(console, self._colour)):
            made += [*row, Segment.line()]
        return made


def _folded(parts: Sequence[Part], width: int, theme: Theme) -> list[Line]:
    """The parts in as many lines as they need; a sign is not parted from its meaning."""
    made: list[Line] = []
    row: list[Part] = []
    for entry in _entries(parts):
        if row and sum(len(text) for text, _ in [*row, *entry]) > width - GUTTER + 3:
            made.append(line(width, (" " * GUTTER, theme.plain), *row))
            row = []
        row += entry
    return [*made, line(width, (" " * GUTTER, theme.plain), *row)] if row else made


def _entries(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts that belong together: the last one of an entry ends with three spaces."""
    made: list[list[Part]] = [[]]
    for part in parts:
        made[-1].append(part)
        if part[0].endswith("   "):
            made.append([])
    return [one for one in made if one]
