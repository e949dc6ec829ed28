"""The mel spectrogram of the last minute: two pixels in a cell, quiet is dark and loud is bright.

A row is written as runs of equal cells: collecting one Segment per cell as garbage would delay the audio callbacks.
Styles are made once for each pair of colours, and the lines of rows that did not change are kept.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from monitor.core.snapshot import Snapshot
from monitor.core.types import FloatArray
from monitor.dashboard.render.axis import Scales
from monitor.dashboard.render.binning import band_rows, column_mean, minute_slots, row_mean, unheard_columns
from monitor.dashboard.render.cells import Line, rule
from monitor.dashboard.render.formatting import hertz
from monitor.dashboard.render.theme import Glyphs, Theme
from monitor.dashboard.widgets.chart import GUTTER

_MAGMA = ("#07061c", "#2c115f", "#721f81", "#b73779", "#f1605d", "#feb078", "#fcfdbf")
_COLOURS = 32  # more of them would only make the runs shorter
_NOTHING = _COLOURS  # the code of a pixel without a level, before the beginning of the stream
_UNHEARD = _COLOURS + 1  # the code of a pixel where no sound was heard
_CODES = _COLOURS + 2
_STEP_DB = 5
_LEAST_SPAN_DB = 30
_ROUND_HZ = (125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000)


def _palette() -> list[Color]:
    anchors = [Color.parse(text).get_truecolor() for text in _MAGMA]
    made = []
    for i in range(_COLOURS):
        at = i / (_COLOURS - 1) * (len(anchors) - 1)
        k = min(int(at), len(anchors) - 2)
        low, high = anchors[k], anchors[k + 1]
        made.append(Color.from_rgb(*(a + (b - a) * (at - k) for a, b in zip(low, high, strict=True))))
    return made


_PALETTE = _palette()
_FAINT = Style.parse("#7d858c")  # the grey of labels


@lru_cache(maxsize=2 * _CODES**2)
def _cell(pair: int, unheard: str) -> tuple[str, Style]:
    """The character and the style of a cell whose pixels have the codes `divmod(pair, _CODES)`."""
    upper, lower = divmod(pair, _CODES)
    if _UNHEARD in (upper, lower):
        return unheard, _FAINT
    if upper == lower == _NOTHING:
        return " ", Style.null()
    if upper == lower:
        return " ", Style.from_color(bgcolor=_PALETTE[upper])
    if upper == _NOTHING:
        return "▄", Style.from_color(_PALETTE[lower])
    if lower == _NOTHING:
        return "▀", Style.from_color(_PALETTE[upper])
    return "▀", Style.from_color(_PALETTE[upper], _PALETTE[lower])


def spectrogram(snapshot: Snapshot, width: int, rows: int, theme: Theme, glyphs: Glyphs, scales: Scales) -> list[Line]:
    """A title and `rows` lines, `width` cells wide, the highest band at the top."""
    slots = minute_slots(snapshot.slot_s)
    plot = max(width - GUTTER, 1)
    low, high = _levels(snapshot, slots, scales)
    columns = column_mean(snapshot.spectrogram, snapshot.first_slot, slots, plot)
    unheard = unheard_columns(snapshot.spectrogram, snapshot.first_slot, slots, plot)
    span = f"{low} to {high} dB"
    made = [rule(width, theme, glyphs, [("Spectrogram", theme.title)], [(span, theme.label)])]
    labels = frequency_labels(tuple(snapshot.band_hz.tolist()), rows)
    if theme.heat:
        body = _coloured(columns, unheard, rows, low, high, glyphs, scales)
    else:
        body = _shaded(columns, unheard, rows, low, high, theme, glyphs)
    for row, line in enumerate(body):
        label = labels.get(row, "")
        edge = glyphs.tick if label else glyphs.side
        made.append([Segment(f"{label:>{GUTTER - 1}}", theme.label), Segment(edge, theme.frame), *line])
    return made


@lru_cache(maxsize=8)
def frequency_labels(band_hz: tuple[float, ...], rows: int) -> dict[int, str]:
    """Row (0 is the top one) -> the round frequency that falls into it; there is a row between two of them."""
    start, end = band_rows(len(band_hz), rows)
    made: dict[int, str] = {}
    for frequency in reversed(_ROUND_HZ):
        if not band_hz[0] <= frequency <= band_hz[-1]:
            continue
        band = int(np.abs(np.array(band_hz) - frequency).argmin())
        row = rows - 1 - int(np.flatnonzero((start <= band) & (band < end))[0])
        if all(abs(row - other) > 1 for other in made):
            made[row] = hertz(frequency)
    return made


def _levels(snapshot: Snapshot, slots: int, scales: Scales) -> tuple[int, int]:
    """The levels in dB of the darkest and the brightest colour; they follow the minute by 1 dB a slot at most."""
    newest = snapshot.first_slot + len(snapshot.spectrogram)
    if scales.levels is not None and scales.levels_slot == newest:
        return scales.levels
    shown = snapshot.spectrogram[-slots:]
    known = shown[np.isfinite(shown)][::3]
    if not len(known):
        return scales.levels or (-_LEAST_SPAN_DB, 0)
    quiet, loud = np.quantile(known, (0.05, 0.998))
    high = math.ceil(loud / _STEP_DB) * _STEP_DB
    low = min(math.floor(quiet / _STEP_DB) * _STEP_DB, high - _LEAST_SPAN_DB)
    if scales.levels is not None:
        low, high = _toward(scales.levels[0], low), _toward(scales.levels[1], high)
    scales.levels, scales.levels_slot = (low, high), newest
    return low, high


def _toward(before: int, target: int) -> int:
    if abs(target - before) <= _STEP_DB:
        return before
    return before + (1 if target > before else -1)


def _codes(levels: FloatArray, unheard: NDArray[np.bool_], low: int, high: int, steps: int) -> NDArray[np.int64]:
    """Levels (columns, rows) in dB become numbers from 0 to steps - 1.

    They are `steps` where there is no level, and steps + 1 where no sound was heard.
    """
    known = np.isfinite(levels)
    share = (np.where(known, levels, low) - low) / max(high - low, 1)
    codes = np.where(known, np.clip((share * steps).astype(np.int64), 0, steps - 1), steps)
    return np.where(unheard[:, None], steps + 1, codes)


def _coloured(
    columns: FloatArray, unheard: NDArray[np.bool_], rows: int, low: int, high: int, glyphs: Glyphs, scales: Scales
) -> list[Line]:
    halves = 1 if glyphs.ascii else 2  # ASCII has no half block, but a space has a background too
    codes = _codes(row_mean(columns, halves * rows), unheard, low, high, _COLOURS)[:, ::-1].T  # the top row first
    pairs = (codes[0::halves] * _CODES + codes[halves - 1 :: halves]).astype(np.int16)
    made: list[Line] = []
    for number, row in enumerate(pairs):
        key = row.tobytes()
        kept = scales.rows.get(number)
        if kept is None or kept[0] != key:
            edges = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
            line: Line = []
            for start, end in pairwise(edges):
                character, style = _cell(int(row[start]), glyphs.unheard)
                line.append(Segment(character * (end - start), style))
            kept = scales.rows[number] = (key, line)
        made.append(kept[1])
    return made


def _shaded(
    columns: FloatArray, unheard: NDArray[np.bool_], rows: int, low: int, high: int, theme: Theme, glyphs: Glyphs
) -> list[Line]:
    ramp = glyphs.ramp + " " + glyphs.unheard
    codes = _codes(row_mean(columns, rows), unheard, low, high, len(glyphs.ramp))[:, ::-1].T
    return [[Segment("".join([ramp[code] for code in row]), theme.plain)] for row in codes.tolist()]
