"""Which frequencies are wrong: the error of each band over its usual one, beside the spectrogram's rows."""

from __future__ import annotations

import math

import numpy as np
from rich.style import Style

from monitor.dashboard.columns import band_rows, row_maximum
from monitor.dashboard.lines import Line, Part, bar_of, line, rule
from monitor.dashboard.readings import hertz, number, tick
from monitor.dashboard.scale import Scales
from monitor.dashboard.theme import Glyphs, Theme
from monitor.snapshot import Snapshot

_LOW = 0.25  # where the bars begin; each doubling is as long as any other
_LEAST_HIGH = 8.0
_WARN, _ALERT = 2.0, 4.0
_LABEL, _FIGURE = 6, 5  # cells of the frequency and of the value


def bands(snapshot: Snapshot, width: int, rows: int, theme: Theme, glyphs: Glyphs, scales: Scales) -> list[Line]:
    """A title, `rows` bars with the highest band at the top, and an axis below.

    A bar shows the worst of the bands that its row stands for.
    """
    worst = row_maximum(snapshot.band_score, rows)[::-1]
    start, end = band_rows(len(snapshot.band_hz), rows)
    centre = [float(snapshot.band_hz[a:b].mean()) for a, b in zip(start[::-1], end[::-1], strict=True)]
    high = _sticky_high(worst, scales)
    cells = max(width - _LABEL - _FIGURE, 1)
    usual = _cells(1.0, high, cells)
    note: list[Part] = [(f"{glyphs.times}1 usual", theme.label)]
    made = [rule(width, theme, glyphs, [("Band error", theme.title)], note)]
    for frequency, value in zip(centre, worst.tolist(), strict=True):
        made.append(_bar(frequency, value, high, cells, usual, width, theme, glyphs))
    made.append(_axis(high, cells, width, theme, glyphs))
    return made


def _sticky_high(worst: object, scales: Scales) -> float:
    values = np.asarray(worst, np.float64)
    known = values[np.isfinite(values)]
    need = float(known.max()) if len(known) else 1.0
    high = max(2.0 ** math.ceil(math.log2(max(need, 1.0))), _LEAST_HIGH)
    if high <= scales.band_high <= 2 * high:
        return scales.band_high
    scales.band_high = high
    return high


def _cells(value: float, high: float, cells: int) -> float:
    """The length of a bar in cells."""
    if not value > _LOW:
        return 0.0
    return min(math.log(value / _LOW) / math.log(high / _LOW), 1.0) * cells


def _style(value: float, theme: Theme) -> Style:
    if value >= _ALERT:
        return theme.alert
    return theme.warn if value >= _WARN else theme.frame


def _bar(
    frequency: float,
    value: float,
    high: float,
    cells: int,
    usual: float,
    width: int,
    theme: Theme,
    glyphs: Glyphs,
) -> Line:
    label: Part = (f"{hertz(frequency):>{_LABEL - 2}}  ", theme.label)
    bar = bar_of(_cells(value, high, cells), cells, glyphs.bar if value >= _WARN else glyphs.thin)
    parts: list[Part] = [label, (bar, _style(value, theme))]
    at = int(usual)
    if len(bar) <= at < cells:
        parts += [(" " * (at - len(bar)), theme.plain), (glyphs.usual, theme.frame)]
        bar += " " * (at - len(bar) + 1)
    parts.append((" " * (cells - len(bar)), theme.plain))
    figure = number(value) if value >= _WARN else ""
    return line(width, *parts, (f"{figure:>{_FIGURE}}", _style(value, theme)))


def _axis(high: float, cells: int, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    """Labels below the bars, at 1 and at doublings where there is room."""
    row = [" "] * (cells + _FIGURE)
    taken = -1
    value = 1.0
    while value <= high:
        at = min(int(_cells(value, high, cells)), cells - 1)
        text = f"{glyphs.mark}{tick(value)}"
        if at > taken and at + len(text) <= len(row):
            row[at : at + len(text)] = text
            taken = at + len(text)
        value *= 2
    return line(width, (" " * _LABEL, theme.plain), ("".join(row), theme.label))
