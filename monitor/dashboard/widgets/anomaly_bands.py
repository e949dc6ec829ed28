"""Which frequencies carry the anomaly score, and whether by sound that is new or missing: the spectrogram's rows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from rich.style import Style

from monitor.dashboard.render.binning import band_rows, row_sum
from monitor.dashboard.render.cells import Line, Part, bar_of, line, rule
from monitor.dashboard.render.formatting import hertz, number
from monitor.dashboard.render.axis import Scales
from monitor.dashboard.render.theme import Glyphs, Theme
from monitor.core.snapshot import Snapshot, State

# A row is told in figures from this part of the threshold, or of a score that is an anomaly below it, and of the score.
_MATTERS, _OF_SCORE = 0.15, 0.05
_LABEL, _FIGURE = 6, 7  # cells of the frequency and of the value
_MOST = 1e12


def bands(snapshot: Snapshot, width: int, rows: int, theme: Theme, glyphs: Glyphs, scales: Scales) -> list[Line]:
    """A title, `rows` bars with the highest band at the top, and a legend below.

    A bar is what the bands of its row add to the score, first what is new and behind it what is missing. Its full
    length is the threshold, or so many times the threshold that the longest one fits.
    """
    carried = np.clip(np.nan_to_num(snapshot.band_score().astype(np.float64)), -_MOST, _MOST).astype(np.float32)
    new = row_sum(np.maximum(carried, 0), rows)[::-1].astype(np.float64)
    missing = row_sum(np.maximum(-carried, 0), rows)[::-1].astype(np.float64)
    start, end = band_rows(len(snapshot.band_hz), rows)
    centre = [float(snapshot.band_hz[a:b].mean()) for a, b in zip(start[::-1], end[::-1], strict=True)]
    unit = snapshot.threshold if 0 < snapshot.threshold < math.inf else 1.0
    times = _sticky_times((new + missing) / unit, scales)
    cells = max(width - _LABEL - _FIGURE, 1)
    mark = min(int(cells / times), cells - 1)
    # Where there are few rows each has a large part of whatever score there is.
    least = max(
        max(_MATTERS, 1.5 / max(rows, 1)) * _reference(snapshot, unit), _OF_SCORE * float((new + missing).sum())
    )
    made = [rule(width, theme, glyphs, [("What is unusual", theme.title)])]
    loud = False
    for frequency, more, less in zip(centre, new.tolist(), missing.tolist(), strict=True):
        matters = more + less >= least
        loud = loud or matters
        styles = _styles(snapshot, matters, theme)
        scaled = (more / unit / times * cells, less / unit / times * cells)
        bar = _bar(*scaled, cells, mark, matters, styles, theme, glyphs)
        figure: Part = ("", theme.plain)
        if matters:
            figure = (f"{'+' if more >= less else '-'}{number(more + less)}", styles[0 if more >= less else 1])
        label: Part = (f"{hertz(frequency):>{_LABEL - 2}}  ", theme.value if matters else theme.label)
        made.append(line(width, label, *bar, (f"{figure[0]:>{_FIGURE}}", figure[1])))
    made.append(_legend(width, _styles(snapshot, loud, theme), theme, glyphs))
    return made


def _reference(snapshot: Snapshot, unit: float) -> float:
    """What a row has to have a part in: the threshold, or a score that evidence made an anomaly of below it."""
    if snapshot.state in (State.WARNING, State.ANOMALY) and 0 < snapshot.score < unit:
        return snapshot.score
    return unit


def _sticky_times(shares: NDArray[np.float64], scales: Scales) -> float:
    """How many thresholds the longest bar stands for: 1, 2, 4, …; it shrinks only when a third of it would do."""
    need = float(shares.max()) if len(shares) else 0.0
    if not scales.band_high / 3 < need <= scales.band_high:
        scales.band_high = 2.0 ** math.ceil(math.log2(max(need, 1.0)))
    return scales.band_high


def _styles(snapshot: Snapshot, matters: bool, theme: Theme) -> tuple[Style, Style]:
    """Of what is new, and of what is missing."""
    if not matters:
        return theme.frame, theme.frame
    alarm = snapshot.state is State.ANOMALY or snapshot.score > snapshot.threshold
    return theme.alert if alarm else theme.warn, theme.missing


def _bar(
    more: float,
    less: float,
    cells: int,
    mark: int,
    matters: bool,
    styles: tuple[Style, Style],
    theme: Theme,
    glyphs: Glyphs,
) -> list[Part]:
    """What is new in `more` cells and what is missing in `less`, and the threshold's mark where they leave it free."""
    if matters:
        solid = bar_of(more, cells, glyphs.bar if not glyphs.ascii else glyphs.new)
        hollow = glyphs.missing * min(round(less), cells - len(solid))
    else:
        solid, hollow = bar_of(more + less, cells, glyphs.thin), ""
    parts: list[Part] = [(solid, styles[0]), (hollow, styles[1])]
    used = len(solid) + len(hollow)
    if used <= mark:
        parts += [(" " * (mark - used), theme.plain), (glyphs.usual, theme.line if matters else theme.frame)]
        used = mark + 1
    return [*parts, (" " * (cells - used), theme.plain)]


def _legend(width: int, styles: tuple[Style, Style], theme: Theme, glyphs: Glyphs) -> Line:
    """What the marks stand for, as much of it as there is room for."""
    parts: list[Part] = []
    left = width
    for mark, style, what in (
        (glyphs.new, styles[0], "new"),
        (glyphs.missing, styles[1], "missing"),
        (glyphs.usual, theme.line, "threshold"),
    ):
        needed = len(what) + 4
        if needed > left:
            break
        parts += [(mark, style), (f" {what}  ", theme.label)]
        left -= needed
    return line(width, *parts)
