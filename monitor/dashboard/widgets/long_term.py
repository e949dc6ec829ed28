"""Hours, days or weeks of one stream from the store: share of the limit, states, level and what was not heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from rich.segment import Segment
from rich.style import Style

from monitor.core.types import BoolArray, FloatArray
from monitor.dashboard.render.axis import of_shares
from monitor.dashboard.render.braille import ASCII_DOTS, BRAILLE, trace
from monitor.dashboard.render.cells import Line, Part, block, line, rule, runs
from monitor.dashboard.render.formatting import name as name_of
from monitor.dashboard.render.formatting import share
from monitor.dashboard.render.theme import Glyphs, Theme
from monitor.dashboard.render.time_grid import NOTHING, STATES, TimeGrid, on_grid
from monitor.dashboard.render.time_ticks import ticks
from monitor.dashboard.widgets.chart import GUTTER, plot_lines
from monitor.dashboard.widgets.status import shorten
from monitor.store.records import MinuteValues

_LABEL_CELLS = 9  # what a label of the time axis needs
_STRIPS = 4  # rows below the chart: states, level, time axis, and what the signs of the states mean


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a moment, as a sign above the time axis."""

    time: float  # Unix time
    sign: str  # one cell
    style: Style


def share_chart(grid: TimeGrid, rows: int, theme: Theme, glyphs: Glyphs) -> list[Line]:
    """`rows` lines: the share of the limit, filled from the mean to the highest value of each column.

    Args:
        grid: with `dots(width, glyphs)` columns.
        rows: of the chart.
        theme: styles.
        glyphs: characters.
    """
    set_of_dots = ASCII_DOTS if glyphs.ascii else BRAILLE
    height = rows * set_of_dots.down
    axis = of_shares()
    limit = axis.line(height, set_of_dots.down)
    high = axis.pixels(grid.share_max, height, limit)
    low = axis.pixels(grid.share_mean, height, limit)
    low = np.where(low < 0, high, low)
    up = np.arange(height - 1, -1, -1)[:, None]
    pixels = trace(high, height, limit) | ((up >= low) & (up <= high) & (high >= 0))
    unheard: BoolArray = np.logical_and.reduce(grid.unheard.reshape(-1, set_of_dots.across), axis=1)
    return plot_lines(pixels, axis, unheard, rows, theme, glyphs, in_shares=True)


def dots(width: int, glyphs: Glyphs) -> int:
    """The number of columns of the grid for a chart of `width` cells."""
    return max(width - GUTTER, 1) * (ASCII_DOTS if glyphs.ascii else BRAILLE).across


def state_strip(grid: TimeGrid, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    """One row with a sign for the state of each column. `grid` has a column for each cell."""
    signs = [sign for sign, _ in state_signs(theme, glyphs).values()]
    styles = [style for _, style in state_signs(theme, glyphs).values()]
    state = grid.state.tolist()
    text = "".join(" " if one == NOTHING else signs[one] for one in state)
    return [*_label("states", width, theme), *runs(state, text, [*styles, theme.plain])]


def state_signs(theme: Theme, glyphs: Glyphs) -> dict[str, tuple[str, Style]]:
    """The sign and the style of each state, which can be told apart without colour, too."""
    signs = ".wAo~,/" if glyphs.ascii else "▁▄█·◇,╱"
    styles = (theme.good, theme.warn, theme.alert, theme.label, theme.key, theme.label, theme.label)
    return dict(zip(STATES, zip(signs, styles, strict=True), strict=True))


def state_legend(grid: TimeGrid, theme: Theme, glyphs: Glyphs) -> list[Part]:
    """What the signs mean, and how long each state took; only states that there were."""
    parts: list[Part] = []
    for state, (sign, style) in state_signs(theme, glyphs).items():
        if seconds := grid.seconds[state]:
            parts += [(f"{sign} ", style), (f"{STATES[state]} ", theme.label), (f"{long(seconds)}   ", theme.value)]
    return parts


def long(seconds: float) -> str:
    """A length of time in its two largest units: 40 s, 12 min, 3 h 20 min, 6 d 4 h."""
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    for size, unit, lower in ((1440, "d", "h"), (60, "h", "min")):
        if minutes >= size * (2 if unit == "d" else 1):
            whole, rest = divmod(minutes, size)
            rest = rest // 60 if unit == "d" else rest
            return f"{whole} {unit} {rest} {lower}" if rest else f"{whole} {unit}"
    raise AssertionError  # an hour and more has a unit


def sparkline(
    title: str, values: FloatArray, low: float, high: float, width: int, theme: Theme, glyphs: Glyphs
) -> Line:
    """One row of bars for values from `low` to `high`; (cells,) values, NaN is left empty."""
    place = np.clip((values - low) / max(high - low, 1e-9), 0.0, 1.0)
    number = np.rint(np.nan_to_num(place) * (len(glyphs.levels) - 1)).astype(int)
    shown = [glyphs.levels[n] if known else " " for n, known in zip(number, np.isfinite(values), strict=True)]
    return [*_label(title, width, theme), Segment("".join(shown), theme.trace)]


def level_line(grid: TimeGrid, width: int, theme: Theme, glyphs: Glyphs) -> tuple[Line, str]:
    """One row of bars for the level, and the range that they show: -52 to -31 dB."""
    known = grid.level[np.isfinite(grid.level)]
    if not len(known):
        return [*_label("level", width, theme), Segment(" " * max(width - GUTTER, 1))], ""
    low, high = float(known.min()), float(known.max())
    middle, half = (low + high) / 2, max((high - low) / 2, 3.0)  # a steady level is a steady line
    made = sparkline("level", grid.level, middle - half, middle + half, width, theme, glyphs)
    return made, f"{low:.0f} dB" if round(low) == round(high) else f"{low:.0f} to {high:.0f} dB"


def mark_line(grid: TimeGrid, marks: Sequence[Mark], width: int, theme: Theme) -> Line:
    """One row with the signs of what happened, each in the column of its time; the last one of a column is shown."""
    plot = max(width - GUTTER, 1)
    cells: list[Part] = [(" ", theme.plain)] * plot
    for mark in marks:
        if 0 <= (at := grid.at(mark.time)) <= 1:
            cells[min(int(at * plot), plot - 1)] = (mark.sign, mark.style)
    return line(width, *_texts(_label("events", width, theme)), *cells)


def long_time_axis(grid: TimeGrid, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    """The time axis: round local times, and now at its right end."""
    plot = max(width - GUTTER, 1)
    cells = [" "] * plot
    for time, label in ticks(grid.since, grid.until, max(plot // _LABEL_CELLS, 1)):
        at, text = int(grid.at(time) * plot), glyphs.mark + label
        if at + len(text) < plot and not any(cell != " " for cell in cells[max(at - 1, 0) : at + len(text)]):
            cells[at : at + len(text)] = text
    return [Segment(" " * GUTTER), Segment("".join(cells)[:plot], theme.label)]


def long_charts(
    values: MinuteValues | None,
    note: str,
    name: str,
    span_s: float,
    now: float,
    width: int,
    rows: int,
    theme: Theme,
    glyphs: Glyphs,
) -> list[Line]:
    """`rows` lines with the last `span_s` seconds of a stream, in place of the charts of the last minute.

    Args:
        values: from the store; None if there are none yet.
        note: why there are no values, or that they are old; empty if all is well.
        name: of the time span: 24 h.
        span_s: its length.
        now: Unix time.
        width: cells.
        rows: how many lines.
        theme: styles.
        glyphs: characters.
    """
    title: list[Part] = [("Share of limit", theme.title), (f", last {name}", theme.label)]
    if values is not None and not (values.time > now - span_s - values.step_s).any():
        values, note = None, note or f"nothing is stored of the last {name} yet"
    if values is None:
        said = [line(width, (f"  {name_of(text, glyphs)}", theme.label)) for text in wrap(note, max(width - 4, 8))]
        return block([rule(width, theme, glyphs, title), line(width), *said], width, rows)
    fine = on_grid(values, now - span_s, now, dots(width, glyphs))
    coarse = on_grid(values, now - span_s, now, max(width - GUTTER, 1))
    limit: list[Part] = [("alarm above ", theme.label), (share(1.0), theme.line)]
    room = width - sum(len(text) for text, _ in title) - 12
    old: list[Part] = [(f" {shorten(name_of(note, glyphs), room, glyphs)} ", theme.note)]
    made = [rule(width, theme, glyphs, title, old if note else limit)]
    below = _STRIPS if rows >= 10 else 2 if rows >= 5 else 0
    made += share_chart(fine, max(rows - 1 - below, 1), theme, glyphs)
    if below:
        strips = [state_strip(coarse, width, theme, glyphs)]
        if below == _STRIPS:
            levels, of = level_line(coarse, width, theme, glyphs)
            strips.append(levels)
        made += [*strips, long_time_axis(fine, width, theme, glyphs)]
        if below == _STRIPS:
            loudness: list[Part] = [("level ", theme.label), (f"{of}   ", theme.value)] if of else []
            legend = _that_fit([*state_legend(coarse, theme, glyphs), *loudness], width - GUTTER)
            made.append(line(width, (" " * GUTTER, theme.plain), *legend))
    return block(made, width, rows)


def _that_fit(parts: list[Part], room: int) -> list[Part]:
    """As many parts as there is room for; a sign is not parted from its meaning, which ends with three spaces."""
    used, fitting = 0, 0
    for number, (text, _) in enumerate(parts, 1):
        used += len(text)
        if text.endswith("   ") and used - 3 <= room:
            fitting = number
    return parts[:fitting]


def _label(text: str, width: int, theme: Theme) -> Line:
    return [Segment(f"{text:<{GUTTER}}"[: min(GUTTER, width)], theme.label)]


def _texts(made: Line) -> list[Part]:
    return [(segment.text, segment.style or Style.null()) for segment in made]
