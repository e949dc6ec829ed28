"""The panel "What is unusual": what each range of frequencies adds to the anomaly score, by new or by missing sound.

Its rows are those of the spectrogram beside it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rich.style import Style

from monitor.core.events import State
from monitor.core.snapshot import Snapshot
from monitor.dashboard.render.axis import Scales
from monitor.dashboard.render.binning import band_rows, row_sum
from monitor.dashboard.render.cells import Line, Part, bar_of, line, rule
from monitor.dashboard.render.formatting import hertz, of_limit, share
from monitor.dashboard.render.theme import Glyphs, Theme

TITLE = "What is unusual"
# A row is emphasised if it adds this share of the threshold (of the score, in an anomaly below the threshold), and this
# share of all that the bands add.
_MATTERS, _OF_SUM = 0.15, 0.05
_LABEL, _FIGURE = 9, 9  # cells for the frequency, and for the share of the limit
_WIDE, _WIDE_FIGURE = 46, 18  # from so many cells on there is room to write "of limit"
_MOST = 1e12


def bands(snapshot: Snapshot, width: int, rows: int, theme: Theme, glyphs: Glyphs, scales: Scales) -> list[Line]:
    """A title, `rows` bars with the highest band at the top, and a legend below.

    A bar shows what the bands of its row add to the score, first by new and then by missing sound. Its full length is
    the threshold, or the multiple of it that the longest bar needs.
    """
    unit = snapshot.threshold if 0 < snapshot.threshold < math.inf else 1.0
    new, missing = _row_shares(snapshot, rows, unit)
    multiple = _sticky_multiple(new + missing, scales)
    figure_cells = _WIDE_FIGURE if width >= _WIDE else _FIGURE
    cells = max(width - _LABEL - figure_cells, 1)
    mark = min(int(cells / multiple), cells - 1)
    least = _least_that_matters(snapshot, unit, rows, float((new + missing).sum()))
    title_end: list[Part] = [] if width >= _WIDE else [("% of limit", theme.label)]
    made = [rule(width, theme, glyphs, [(TITLE, theme.title)], title_end)]
    any_matters = False
    frequencies = _row_frequencies(tuple(snapshot.band_hz.tolist()), rows)
    for frequency, more, less in zip(frequencies, new.tolist(), missing.tolist(), strict=True):
        matters = more + less >= least
        any_matters = any_matters or matters
        styles = _styles(snapshot, matters, theme)
        bar = _bar(more / multiple * cells, less / multiple * cells, cells, mark, matters, styles, theme, glyphs)
        figure = ""
        if matters:
            figure = (of_limit if width >= _WIDE else share)(more + less)
        label: Part = (f"{hertz(frequency):>{_LABEL - 2}}  ", theme.value if matters else theme.label)
        made.append(line(width, label, *bar, (f"{figure:>{figure_cells}}", styles[0 if more >= less else 1])))
    made.append(_legend(width, _styles(snapshot, any_matters, theme), theme, glyphs))
    return made


def _row_shares(snapshot: Snapshot, rows: int, unit: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What new and what missing sound adds to the score in each row, as shares of the threshold, the top row first."""
    added = np.clip(np.nan_to_num(snapshot.band_contribution.astype(np.float64)), -_MOST, _MOST).astype(np.float32)
    new = row_sum(np.maximum(added, 0), rows)[::-1].astype(np.float64)
    missing = row_sum(np.maximum(-added, 0), rows)[::-1].astype(np.float64)
    return new / unit, missing / unit


@lru_cache(maxsize=8)
def _row_frequencies(band_hz: tuple[float, ...], rows: int) -> list[float]:
    """The middle of each row's bands in Hz, the top row first."""
    start, end = band_rows(len(band_hz), rows)
    return [float(np.mean(band_hz[a:b])) for a, b in zip(start[::-1], end[::-1], strict=True)]


def _least_that_matters(snapshot: Snapshot, unit: float, rows: int, total: float) -> float:
    """The share of the threshold from which on a row is emphasised."""
    reference = 1.0
    if snapshot.state in (State.WARNING, State.ANOMALY) and 0 < snapshot.score < unit:
        reference = snapshot.score / unit  # a lasting anomaly, below the threshold
    # With few rows, each of them adds a large share of any score.
    return max(max(_MATTERS, 1.5 / max(rows, 1)) * reference, _OF_SUM * total)


def _sticky_multiple(shares: NDArray[np.float64], scales: Scales) -> float:
    """How many thresholds a full bar stands for: 1, 2, 4, …; it shrinks only when a third of it would be enough."""
    need = float(shares.max()) if len(shares) else 0.0
    if not scales.band_high / 3 < need <= scales.band_high:
        scales.band_high = 2.0 ** math.ceil(math.log2(max(need, 1.0)))
    return scales.band_high


def _styles(snapshot: Snapshot, matters: bool, theme: Theme) -> tuple[Style, Style]:
    """Styles of new and of missing sound."""
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
    """`more` cells for new and `less` for missing sound, and the limit's mark where the bar does not cover it."""
    if matters:
        solid = bar_of(more, cells, glyphs.bar if not glyphs.ascii else glyphs.new)
        hollow = glyphs.missing * min(round(less), cells - len(solid))
    else:
        solid, hollow = bar_of(more + less, cells, glyphs.thin), ""
    parts: list[Part] = [(solid, styles[0]), (hollow, styles[1])]
    used = len(solid) + len(hollow)
    if used <= mark:
        parts += [(" " * (mark - used), theme.plain), (glyphs.limit, theme.line if matters else theme.frame)]
        used = mark + 1
    return [*parts, (" " * (cells - used), theme.plain)]


def _legend(width: int, styles: tuple[Style, Style], theme: Theme, glyphs: Glyphs) -> Line:
    """What the marks stand for, as many of them as fit."""
    parts: list[Part] = []
    left = width
    for mark, style, meaning in (
        (glyphs.new, styles[0], "new"),
        (glyphs.missing, styles[1], "missing"),
        (glyphs.limit, theme.line, "limit"),
    ):
        needed = len(meaning) + 4
        if needed > left:
            break
        parts += [(mark, style), (f" {meaning}  ", theme.label)]
        left -= needed
    return line(width, *parts)
