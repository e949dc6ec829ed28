"""A history of the last minute as a chart, with its threshold, and what is above that in another colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.segment import Segment

from monitor.dashboard.render.braille import ASCII_DOTS, BRAILLE, trace
from monitor.dashboard.render.binning import column_maximum, minute_slots
from monitor.dashboard.render.cells import Line, Part, rule, runs
from monitor.dashboard.render.formatting import number, tick
from monitor.dashboard.render.axis import Axis, choose
from monitor.dashboard.render.theme import Glyphs, Theme
from monitor.core.snapshot import FloatArray

GUTTER = 7  # cells for the labels of every y axis, so that all x axes begin in the same column


@dataclass(frozen=True, slots=True)
class History:
    """What a chart shows: (slots,) values beginning at slot `first_slot`, and their threshold."""

    title: str
    values: FloatArray
    first_slot: int
    slot_s: float
    now: float
    threshold: float

    @property
    def shown(self) -> FloatArray:
        """The last minute of it."""
        return self.values[-minute_slots(self.slot_s) :]


def chart(history: History, width: int, rows: int, theme: Theme, glyphs: Glyphs, axes: dict[str, Axis]) -> list[Line]:
    """A title and `rows` lines of chart, `width` cells wide. Keeps the axis in `axes` for the next frame."""
    axis = choose(history.shown, history.threshold, axes.get(history.title))
    axes[history.title] = axis
    return [_title(history, width, theme, glyphs), *_plot(history, axis, width, rows, theme, glyphs)]


def _title(history: History, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    over = history.now > history.threshold
    now: list[Part] = [(f"{number(history.now):>6}", theme.alert if over else theme.value)]
    limit: list[Part] = [("threshold ", theme.label), (number(history.threshold), theme.line)]
    return rule(width, theme, glyphs, [(history.title, theme.title), *now], limit)


def _plot(history: History, axis: Axis, width: int, rows: int, theme: Theme, glyphs: Glyphs) -> list[Line]:
    dots = ASCII_DOTS if glyphs.ascii else BRAILLE
    plot = max(width - GUTTER, 1)
    height = rows * dots.down
    slots = minute_slots(history.slot_s)
    values = column_maximum(history.values, history.first_slot, slots, plot * dots.across)
    line = axis.line(height, dots.down)
    pixels = trace(axis.pixels(values, height, line), height, line)
    codes = dots.codes(pixels)
    line_row = None if line is None else rows - 1 - line // dots.down
    labels = _labels(axis, rows, height, line, dots.down)
    made: list[Line] = []
    for row in range(rows):
        label = labels.get(row, "")
        edge = glyphs.tick if label else glyphs.side
        gutter = [
            Segment(f"{label:>{GUTTER - 1}}"[: GUTTER - 1], theme.line if row == line_row else theme.label),
            Segment(edge, theme.frame),
        ]
        if row == line_row:
            body = _threshold_row(codes[row].tolist(), theme, glyphs)
        elif line_row is not None and row < line_row:
            text = dots.text(codes[row])
            body = [Segment(text.replace("|", "#") if glyphs.ascii else text, theme.alert)]
        else:
            body = [Segment(dots.text(codes[row]), theme.trace)]
        made.append(gutter + body)
    return made


def _threshold_row(codes: list[int], theme: Theme, glyphs: Glyphs) -> Line:
    """The row whose lower edge is the threshold: its line runs all through, below what is above it."""
    if glyphs.ascii:
        shown = "".join(["#" if code else "_" for code in codes])
    else:
        shown = "".join([BRAILLE.characters[code | 0xC0] for code in codes])
    return runs([1 if code else 0 for code in codes], shown, (theme.line, theme.alert))


def _labels(axis: Axis, rows: int, height: int, line: int | None, down: int) -> dict[int, str]:
    """Row -> label: the threshold at its line, then the ends, then what fits with a row between."""
    made: dict[int, str] = {}
    if line is not None and axis.threshold is not None:
        made[rows - 1 - line // down] = tick(axis.threshold)
    values = axis.ticks(rows // 3)
    places = axis.pixels(np.array(values, np.float32), height, line)
    for i, (value, place) in enumerate(zip(values, places.tolist(), strict=True)):
        row = rows - 1 - place // down
        near = 0 if i < 2 else 1
        if all(abs(row - other) > near for other in made):
            made[row] = tick(value)
    return made


def time_axis(width: int, theme: Theme, glyphs: Glyphs) -> Line:
    """The x axis that all histories share: -60 s at the left edge of the plots, now at the right."""
    plot = max(width - GUTTER, 1)
    step = next((s for s in (5, 10, 15, 20, 30) if plot * s / 60 >= 11), 60)
    cells = [" "] * plot
    for seconds in range(60, 0, -step):
        at = round((60 - seconds) / 60 * plot)
        text = glyphs.mark + (f"-{seconds} s" if seconds == 60 else f"-{seconds}")
        if at + len(text) < plot - 5:
            cells[at : at + len(text)] = text
    end = "now" + glyphs.mark
    if plot > len(end):
        cells[plot - len(end) :] = end
    return [Segment(" " * GUTTER), Segment("".join(cells)[:plot], theme.label)]
