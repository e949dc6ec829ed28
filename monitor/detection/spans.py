"""Statistics of a span of scores for many streams: the candidates from which lasting anomalies begin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.core.array_backend import run_or_numbers
from monitor.core.types import DoubleArray, IndexArray
from monitor.detection.anomaly import Anomaly
from monitor.detection.records import records


@dataclass(slots=True)
class SpanRecord:
    """A span of scores of one stream, as the fields of `Anomaly`."""

    start: int  # the row of its first score; -1: there is no span
    peak: float
    total: float
    rows: int
    decisions: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Scores of n streams that are added to spans."""

    peak: DoubleArray  # (n,) highest score, -inf without scores
    total: DoubleArray  # (n,) their sum
    rows: IndexArray  # (n,) their number
    decisions: IndexArray  # (n,) number of decisions on them whose mean rows are known


class RowTotals:
    """The running sum of the mean rows of each stream's decisions: the sum over a span is the difference of two.

    Args:
        count: number of streams.
    """

    def __init__(self, count: int) -> None:
        self.values = np.zeros((count, 0))  # (count, mean_width), as soon as there are mean rows

    def widen(self, width: int) -> None:
        """Makes room for mean rows of this width."""
        if self.values.shape[1] != width:
            self.values = np.zeros((len(self.values), width))

    def add(self, streams: IndexArray, rows: DoubleArray) -> None:
        """Adds mean rows (n, mean_width) of streams (n,), all different."""
        self.widen(rows.shape[1])
        self.values[run_or_numbers(streams)] += rows


class Spans:
    """A span of the scores of each of `count` streams, or none.

    Args:
        count: number of streams.
        totals: of the streams.
    """

    def __init__(self, count: int, totals: RowTotals) -> None:
        self.record = records(SpanRecord, count)
        self.record["start"] = -1
        self._totals = totals
        self._before = np.zeros((count, 0))  # (count, mean_width) the totals before the spans

    def get(self, stream: int) -> Anomaly | None:
        """The span of a stream as a candidate for a lasting anomaly; None if it has none."""
        start, peak, total, rows, decisions = self.record[stream].item()
        if start < 0:
            return None
        row_sum = self._totals.values[stream] - self._before_of_width()[stream] if decisions else np.zeros(1)
        return Anomaly(start, "lasting", peak=peak, total=total, rows=rows, row_sum=row_sum, decisions=decisions)

    def put(self, stream: int, span: Anomaly | None) -> None:
        """Sets the span of a stream."""
        if span is None:
            self.record["start"][stream] = -1
            return
        self.record[stream] = (span.start, span.peak, span.total, span.rows, span.decisions)
        if span.decisions:
            self._totals.widen(len(span.row_sum))
        row_sum = span.row_sum if span.decisions else 0.0
        self._before_of_width()[stream] = self._totals.values[stream] - row_sum

    def drop(self, streams: IndexArray) -> None:
        """Removes the spans of these streams (n,)."""
        self.record["start"][streams] = -1

    def take(self, other: Spans, streams: IndexArray) -> None:
        """Copies the spans of these streams (n,) from other spans with the same totals."""
        self.record[streams] = other.record[streams]
        self._before_of_width()[streams] = other._before_of_width()[streams]

    def begin(self, streams: IndexArray, start: IndexArray, later: DoubleArray | None) -> None:
        """Begins spans of these streams (n,) without a score.

        Args:
            streams: numbers of the streams.
            start: (n,) their first rows.
            later: (n, mean_width) what is in the totals already, and belongs to them; None: nothing.
        """
        record = self.record
        record["start"][streams], record["peak"][streams] = start, -np.inf
        for name in ("total", "rows", "decisions"):
            record[name][streams] = 0
        before = self._totals.values[streams]
        self._before_of_width()[streams] = before if later is None else before - later

    def extend(self, streams: IndexArray, stretch: Stretch) -> None:
        """Adds scores to the spans of these streams (n,); their mean rows have been added to the totals."""
        record = self.record
        record["peak"][streams] = np.maximum(record["peak"][streams], stretch.peak)
        for name in ("total", "rows", "decisions"):
            record[name][streams] += getattr(stretch, name)

    def _before_of_width(self) -> DoubleArray:
        """`_before`, as wide as the totals."""
        if self._before.shape != self._totals.values.shape:
            self._before = np.zeros_like(self._totals.values)
        return self._before
