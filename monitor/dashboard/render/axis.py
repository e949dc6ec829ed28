"""The y axis of a chart: linear or logarithmic, with the threshold always on it, and with hysteresis.

A scale that follows the data at every frame cannot be read. Here the ends are round numbers; they grow at
once when a value does not fit, and shrink only when the values of the minute have become much smaller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment

from monitor.core.types import FloatArray

_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0)
_WIDE = 25.0  # from this ratio of the largest value to a low one, the scale becomes logarithmic
_NARROW = 10.0  # below this ratio it becomes linear again
_SLACK = 1.8  # how many times too large an axis may be before it shrinks
FIXED_TOP = 1.5  # top of the fixed axis for shares of a limit: the limit is at two thirds of its height
_DECADES = 1e5  # the most a logarithmic axis spans


def round_up(value: float) -> float:
    """The next round number at or above a positive value."""
    decade = 10.0 ** math.floor(math.log10(value))
    return next((step * decade for step in _STEPS if step * decade >= value * (1 - 1e-9)), 10 * decade)


def round_down(value: float) -> float:
    """The next round number at or below a positive value."""
    decade = 10.0 ** math.floor(math.log10(value))
    return next((step * decade for step in reversed(_STEPS) if step * decade <= value * (1 + 1e-9)), decade)


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis from `low` to `high`, with the threshold between them; None where there is none to draw."""

    low: float
    high: float
    log: bool
    threshold: float | None

    def pixels(self, values: FloatArray, height: int, line: int | None) -> NDArray[np.int64]:
        """Pixel rows, counted from the bottom of `height`, of values; -1 for NaN.

        Values above the threshold get rows above `line`, the threshold's row, and all others do not, however small
        the difference is: the scale is piecewise linear, with one slope below the line and one above it.
        """
        known = np.isfinite(values)
        clipped = np.clip(np.where(known, values, self.low).astype(np.float64), self.low, self.high)
        if line is None or self.threshold is None:
            rows = np.rint(self._share(clipped, self.low, self.high) * (height - 1))
        else:
            below = np.rint(self._share(clipped, self.low, self.threshold) * (line - 1))
            top = height - 2 - line
            above = line + 1 + np.rint(self._share(clipped, self.threshold, self.high) * top)
            # a float32 history beside a float64 threshold: equal must not look above
            over = clipped > self.threshold * (1 + 1e-6)
            rows = np.where(over, above, below)
        return np.where(known, rows, -1).astype(np.int64)

    def line(self, height: int, step: int) -> int | None:
        """The pixel row of the threshold: the lowest of a cell of `step` pixels, but not of the lowest cell.

        So no cell holds pixels from both sides of the threshold, and each cell can have the colour of its side.
        """
        cells = height // step
        if self.threshold is None or cells < 2:
            return None
        share = float(self._share(np.array([self.threshold]), self.low, self.high)[0])
        return min(max(round(share * cells), 1), cells - 1) * step

    def ticks(self, most: int) -> list[float]:
        """Round numbers to label the axis with, the two ends first, then about `most` between them."""
        inner: list[float] = []
        if self.log:
            for k in range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1):
                inner += [10.0**k]
        else:
            step = round_up(self.high / max(most, 1))
            inner += [step * i for i in range(1, int(self.high / step) + 1)]
        return [self.high, self.low, *(v for v in inner if self.low < v < self.high)]

    def _share(self, values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
        if high <= low:
            return np.zeros_like(values)
        if self.log:
            values, low, high = np.log(np.maximum(values, low)), math.log(low), math.log(high)
        share: NDArray[np.float64] = np.clip((values - low) / (high - low), 0.0, 1.0)
        return share


def of_shares() -> Axis:
    """The axis of all shares of a limit, which never changes: from 0 to FIXED_TOP; higher values stand at the top."""
    return Axis(0.0, FIXED_TOP, log=False, threshold=1.0)


def choose(values: FloatArray, threshold: float, before: Axis | None = None) -> Axis:
    """The axis for a minute of `values`. It keeps the ends of `before`, the axis now on the screen, where they fit."""
    line = threshold if math.isfinite(threshold) and threshold > 0 else None
    known = values[np.isfinite(values)]
    largest = max(float(known.max()) if len(known) else 0.0, 0.0)
    usual = float(np.quantile(known, 0.05)) if len(known) else 0.0
    need = max(largest, 1.3 * line if line else 0.0) or 1.0
    floor = max(min(x for x in (usual, line or need) if x > 0) if usual > 0 else need / 10, need / _DECADES)
    floor = min(floor, line) if line else floor
    ratio = need / floor
    log = ratio > _WIDE or (before is not None and before.log and ratio > _NARROW)
    high = round_up(need)
    low = _low(floor, need, log)
    if before is not None and before.log == log:
        if need <= before.high <= round_up(need * _SLACK):
            high = before.high
        if min(_low(floor / _SLACK, need, log), low) <= before.low <= floor / 1.1:
            low = before.low
    return Axis(low, high, log, line)


def _low(floor: float, need: float, log: bool) -> float:
    """The lower end of an axis for values from `floor` on: 0, unless that would leave much of it empty."""
    if log:
        return round_down(floor / 1.2)
    return round_down(0.7 * floor) if floor > 0.3 * need else 0.0


@dataclass(slots=True)
class Scales:
    """The scales now on one viewer's screen, kept from frame to frame so that they change seldom."""

    axes: dict[str, Axis] = field(default_factory=dict)  # by the title of the chart
    changed: dict[str, int] = field(default_factory=dict)  # the newest slot when an axis last changed, by the title
    levels: tuple[int, int] | None = None  # levels in dB of the spectrogram's darkest and brightest colour
    levels_slot: int | None = None  # the newest slot they were fitted to
    band_high: float = 0.0  # share of the threshold that a bar of full length stands for
    rows: dict[int, tuple[bytes, list[Segment]]] = field(default_factory=dict)  # spectrogram: pixels and their line
