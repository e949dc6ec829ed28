"""Minute values from the store on a regular grid of columns, for charts of hours, days and weeks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.core.types import BoolArray, DoubleArray, FloatArray
from monitor.dashboard.render.binning import column_maximum, column_mean
from monitor.store.records import MinuteValues

# States as in `MinuteValues.seconds`, in the order in which they are listed, with the words that users read.
STATES = {
    "normal": "normal",
    "warning": "warning",
    "anomaly": "anomaly",
    "off": "off",
    "new_mode": "new mode",
    "listening": "listening",
    "not_heard": "not heard",
}
NOTHING = -1  # the state of a column of which nothing is known
LOWEST_LEVEL = -100.0  # dBFS; digital silence, which is lower, is drawn as this


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """Values in columns of equal length from `since` to `until`; NaN where there are none.

    The range is that of whole steps of the values, so it begins and ends up to a step beyond what was asked for.
    """

    since: float  # Unix time
    until: float
    share_mean: FloatArray  # (columns,) share of the limit
    share_max: FloatArray
    level: FloatArray  # dBFS
    states: FloatArray  # (columns, states) share of the time in each state, in the order of STATES
    seconds: dict[str, float]  # in each state, over all columns

    @property
    def state(self) -> NDArray[np.int64]:
        """(columns,) the state of each column, as its number in STATES, or NOTHING.

        It is the anomaly if there was any, else what took most of the time.
        """
        known = np.isfinite(self.states)
        values = np.where(known, self.states, 0.0)
        usual = np.argmax(values, axis=1)
        found = np.where(values[:, list(STATES).index("anomaly")] > 0, list(STATES).index("anomaly"), usual)
        return np.where(values.sum(axis=1) > 0, found, NOTHING)

    @property
    def unheard(self) -> BoolArray:
        """(columns,) whether most of the time nothing was heard."""
        unheard: BoolArray = self.state == list(STATES).index("not_heard")
        return unheard

    @property
    def not_heard(self) -> FloatArray:
        """(columns,) share of the time in which nothing was heard."""
        return self.states[:, list(STATES).index("not_heard")]

    def at(self, time: float) -> float:
        """Where a Unix time is, as a share of the range; below 0 or above 1 outside of it."""
        return (time - self.since) / (self.until - self.since)


def on_grid(values: MinuteValues, since: float, until: float, columns: int) -> TimeGrid:
    """Puts values into columns: the maximum of maxima, the mean of the others.

    Args:
        values: of one stream.
        since: Unix time at which the first column begins, rounded down to a whole step of the values.
        until: Unix time at which the last one ends, rounded up.
        columns: how many. Neighbours show the same values where there are more columns than steps.
    """
    step = values.step_s
    first = math.floor(since / step)
    slots = max(math.ceil(until / step) - first, 1)
    slot = np.rint(values.time / step).astype(np.int64) - first
    shown = (slot >= 0) & (slot < slots)

    def spread(numbers: DoubleArray) -> FloatArray:
        made = np.full(slots, np.nan, np.float32)
        made[slot[shown]] = numbers[shown]
        return made

    seconds = {state: values.seconds.get(state, np.zeros(len(values.time))) for state in STATES}
    level = np.maximum(values.level, LOWEST_LEVEL)
    means = np.stack([spread(one) for one in (values.share_mean, level, *seconds.values())], axis=1)
    binned = column_mean(means, 0, slots, columns)
    total = np.nansum(binned[:, 2:], axis=1, keepdims=True)
    states = np.divide(binned[:, 2:], total, out=np.full((columns, len(STATES)), np.nan, np.float32), where=total > 0)
    return TimeGrid(
        since=first * step,
        until=(first + slots) * step,
        share_mean=binned[:, 0],
        share_max=column_maximum(spread(values.share_max), 0, slots, columns),
        level=binned[:, 1],
        states=states,
        seconds={state: float(np.nansum(numbers[shown])) for state, numbers in seconds.items()},
    )
