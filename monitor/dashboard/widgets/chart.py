"""A history of the last minute as a chart with its limit. Values above the limit have another colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment

from monitor.core.types import FloatArray
from monitor.dashboard.render.axis import Axis, Scales, choose, of_shares
from monitor.dashboard.render.binning import column_maximum, minute_slots
from monitor.dashboard.render.braille import ASCII_DOTS, BRAILLE, trace
from monitor.dashboard.render.cells import Line, Part, rule, runs
from monitor.dashboard.render.formatting import number, share, tick
from monitor.dashboard.render.theme import Glyphs, Theme

GUTTER = 7  # cells for the labels of every y axis, so that all charts have the same x axis
_ANNOUNCED_S = 5.0  # for so long a new scale is announced
_UNHEARD = " not heard "

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class History:
    """What a chart shows: (slots,) values from slot `first_slot` on, the newest value, and their threshold.

    Shares of a limit have the threshold 1, and an axis that never changes.
    """

    title: str
    values: FloatArray
    first_slot: int
    slot_s: float
    now: float
    threshold: float
    is_share: bool = False

    @property
    def shown(self) -> FloatArray:
        """The values of the last minute."""
        return self.values[-minute_slots(self.slot_s) :]


def chart(
    history: History, unheard: BoolArray, width: int, rows: int, theme: Theme, glyphs: Glyphs, scales: Scales
) -> list[Line]:
    """A title and `rows` lines of chart, `width` cells wide. The axis is kept in `scales` for the next frame.

    Args:
        history: the values.
        unheard: (width - GUTTER,) columns in which no sound was heard; they are hatched.
        width: cells.
        rows: of the chart without its title.
        theme: styles.
        glyphs: characters.
        scales: the axes now on the screen.
    """
    axis = of_shares() if history.is_share else _kept(history, scales)
    title = _title(history, width, theme, glyphs, scales)
    return [title, *_plot(history, axis, unheard, width, rows, theme, glyphs)]


def _kept(history: History, scales: Scales) -> Axis:
    """The axis for this frame; a change is noted, so that it is announced."""
    before = scales.axes.get(history.title)
    axis = scales.axes[history.title] = choose(history.shown, history.threshold, before)
    if before is not None and (axis.low, axis.high, axis.log) != (before.low, before.high, before.log):
        scales.changed[history.title] = history.first_slot + len(history.values)
    return axis


def _title(history: History, width: int, theme: Theme, glyphs: Glyphs, scales: Scales) -> Line:
    over = history.now > history.threshold
    figure = share(history.now) if history.is_share else number(history.now)
    now: list[Part] = [(f" {figure:>5}", theme.alert if over else theme.value)]
    limit: list[Part] = [("limit ", theme.label), (number(history.threshold), theme.line)]
    if history.is_share:
        limit = [("alarm above ", theme.label), (share(1.0), theme.line)]
    elif _has_new_scale(history, scales):
        limit = [(" new scale ", theme.note)]
    return rule(width, theme, glyphs, [(history.title, theme.title), *now], limit)


def _has_new_scale(history: History, scales: Scales) -> bool:
    changed = scales.changed.get(history.title)
    newest = history.first_slot + len(history.values)
    return changed is not None and 0 <= newest - changed < _ANNOUNCED_S / history.slot_s


def _plot(
    history: History, axis: Axis, unheard: BoolArray, width: int, rows: int, theme: Theme, glyphs: Glyphs
) -> list[Line]:
    dots = ASCII_DOTS if glyphs.ascii else BRAILLE
    height = rows * dots.down
    values = column_maximum(
        history.values, history.first_slot, minute_slots(history.slot_s), max(width - GUTTER, 1) * dots.across
    )
    line = axis.line(height, dots.down)
    pixels = trace(axis.pixels(values, height, line), height, line)
    return plot_lines(pixels, axis, unheard, rows, theme, glyphs, in_shares=history.is_share)


def plot_lines(
    pixels: BoolArray, axis: Axis, unheard: BoolArray, rows: int, theme: Theme, glyphs: Glyphs, *, in_shares: bool
) -> list[Line]:
    """`rows` lines of chart with the labels of its y axis; what is above the threshold has another colour.

    Args:
        pixels: (rows · down, columns · across) what is drawn, the top row first.
        axis: the y axis.
        unheard: (columns,) columns in which no sound was heard; they are hatched.
        rows: of the chart.
        theme: styles.
        glyphs: characters.
        in_shares: whether the labels are shares of a limit.
    """
    dots = ASCII_DOTS if glyphs.ascii else BRAILLE
    height = rows * dots.down
    line = axis.line(height, dots.down)
    codes = dots.codes(pixels)
    line_row = None if line is None else rows - 1 - line // dots.down
    labels = _labels(axis, rows, height, line, dots.down, in_shares=in_shares)
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
        if unheard.any():
            body = _hatched(body, unheard, row == rows // 2, theme, glyphs)
        made.append(gutter + body)
    return made


def _hatched(body: Line, unheard: BoolArray, labelled: bool, theme: Theme, glyphs: Glyphs) -> Line:
    """A row of a chart with its unheard columns hatched; with `labelled` they say what they are, if there is room."""
    text = "".join(segment.text for segment in body)
    styles = [segment.style or theme.plain for segment in body for _ in segment.text]
    shown = [glyphs.unheard if none else character for character, none in zip(text, unheard.tolist(), strict=True)]
    if labelled:
        edges = np.flatnonzero(np.diff(np.r_[False, unheard, False])).tolist()
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            if end - start >= len(_UNHEARD):
                at = start + (end - start - len(_UNHEARD)) // 2
                shown[at : at + len(_UNHEARD)] = _UNHEARD
    known = [*dict.fromkeys(styles), theme.label]
    codes = [len(known) - 1 if none else known.index(style) for style, none in zip(styles, unheard, strict=True)]
    return runs(codes, "".join(shown), known)


def _threshold_row(codes: list[int], theme: Theme, glyphs: Glyphs) -> Line:
    """The row whose lower edge is the threshold: a line from end to end, and the values just above it."""
    if glyphs.ascii:
        shown = "".join(["#" if code else "_" for code in codes])
    else:
        shown = "".join([BRAILLE.characters[code | 0xC0] for code in codes])
    return runs([1 if code else 0 for code in codes], shown, (theme.line, theme.alert))


def _labels(axis: Axis, rows: int, height: int, line: int | None, down: int, *, in_shares: bool) -> dict[int, str]:
    """Row -> label: the limit at its line, then the ends, then other numbers that leave a row free between them."""
    made: dict[int, str] = {}
    if line is not None:
        made[rows - 1 - line // down] = "limit"
    values = axis.ticks(rows // 3)
    places = axis.pixels(np.array(values, np.float32), height, line)
    for i, (value, place) in enumerate(zip(values, places.tolist(), strict=True)):
        row = rows - 1 - place // down
        near = 0 if i < 2 else 1
        if all(abs(row - other) > near for other in made):
            made[row] = share(value) if in_shares else tick(value)
    return made


def time_axis(width: int, theme: Theme, glyphs: Glyphs) -> Line:
    """The x axis of all charts: -60 s at their left edge, now at their right one."""
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
