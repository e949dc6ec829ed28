"""The record of one anomaly: its cause, its start and end, and statistics of its scores."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from monitor.core.types import DoubleArray


@dataclass(slots=True)
class Anomaly:
    """A run of unusual scores: an anomaly, or a candidate for one. Times are row numbers of the scores."""

    start: int  # the row at which the scores began to rise
    cause: str  # "sudden" or "lasting"
    reported: int = -1  # the row at which the state became ANOMALY
    end: int | None = None  # the first row that is normal again; None while the anomaly is ongoing
    reminders: int = 0  # how many times it has been reported again while ongoing
    peak: float = -np.inf  # highest score
    total: float = 0.0  # sum of the scores
    rows: int = 0  # number of scores
    row_sum: DoubleArray = field(default_factory=lambda: np.zeros(1))  # sum of the mean rows at its decisions
    decisions: int = 0  # number of these mean rows
    id: str = ""  # set when it is first reported

    @property
    def mean(self) -> float:
        """The mean score from start to end."""
        return self.total / max(1, self.rows)

    @property
    def mean_row(self) -> DoubleArray:
        """The window statistics (mean_width,), averaged over the decisions in this anomaly."""
        mean: DoubleArray = self.row_sum / max(1, self.decisions)
        return mean

    def rescale(self, factor: float) -> None:
        """Multiplies its scores by a factor, and forgets its mean rows, because another model continues it."""
        self.peak, self.total = factor * self.peak, factor * self.total
        self.row_sum, self.decisions = np.zeros(1), 0

    def add(self, scores: DoubleArray, mean_row: DoubleArray | None = None) -> None:
        """Adds scores (k,), and the mean row (mean_width,) of the last of them if that one is a decision."""
        if len(scores):
            self.peak = max(self.peak, float(scores.max()))
            self.total += float(scores.sum())
            self.rows += len(scores)
        if mean_row is not None:
            self.row_sum = self.row_sum + mean_row
            self.decisions += 1
