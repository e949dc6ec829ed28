"""The anomaly score of a whole recording, computed from the window statistics and scores of its stream."""

from __future__ import annotations

import math

import numpy as np

from monitor.config.schema import Score
from monitor.core.types import DoubleArray, FloatArray
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.scorer import Scorer


class RecordingScore:
    """Accumulates the score of one recording, in constant memory.

    With `score.recording: mean` it is the score of the mean row of window statistics; with `max` it is the highest
    rolling score, as in the article. Both ignore `score.cut_frames` frames at each end of the recording.

    Args:
        score: settings of the score.
        scorer: computes the score of a mean row.
    """

    def __init__(self, score: Score, scorer: Scorer) -> None:
        self._score, self._scorer = score, scorer
        self._skip = score.cut_frames
        # The last cut_frames rows and scores: they count only if more follow.
        self._pending_rows = np.empty((0, scorer.layout.mean_width), np.float32)
        self._pending_scores = np.empty(0)
        self._mean = MeanOfRows(scorer.layout)
        self._max = -math.inf

    def push(self, rows: FloatArray, means: FloatArray, scores: DoubleArray) -> None:
        """Adds windows.

        Args:
            rows: (k, row_width) window statistics.
            means: (k, mean_width) mean rows, NaN where there is none.
            scores: (k,) scores, NaN where there is none.
        """
        rows = with_peaks(rows, means)
        if self._score.cut_frames:
            skipped = min(self._skip, len(rows))
            self._skip -= skipped
            rows = np.concatenate((self._pending_rows, rows[skipped:]))
            scores = np.concatenate((self._pending_scores, scores[skipped:]))
            ready = max(0, len(rows) - self._score.cut_frames)
            self._pending_rows, self._pending_scores = rows[ready:], scores[ready:]
            rows, scores = rows[:ready], scores[:ready]
        if len(rows):
            self._mean.push(rows)
            self._max = float(np.fmax(self._max, np.fmax.reduce(scores)))

    @property
    def frames(self) -> int:
        """The number of frames that count so far."""
        return self._mean.rows

    def mean(self) -> DoubleArray:
        """The mean row so far: (mean_width,), NaN where nothing counts yet."""
        return self._mean.mean()

    def value(self) -> float:
        """The score so far; NaN if no frame counts yet."""
        if self._score.recording == "max":
            return self._max if self._max > -math.inf else math.nan
        return float(self._scorer(self.mean(), whole_recordings=True)) if self.frames else math.nan


class MeanOfRows:
    """The mean row of some time, in constant memory. Peaks are averaged over those rows that have them.

    Args:
        layout: of the rows.
    """

    def __init__(self, layout: RowLayout) -> None:
        self._width = layout.row_width
        self._sum = np.zeros(layout.mean_width)
        self.rows = self._with_peaks = 0  # number of rows so far

    def push(self, rows: FloatArray) -> None:
        """Adds rows (k, mean_width), whose peaks are NaN where there are none yet."""
        self.rows += len(rows)
        self._sum[: self._width] += rows[:, : self._width].astype(np.float64).sum(axis=0)
        if len(self._sum) > self._width:
            peaks = rows[~np.isnan(rows[:, -1]), self._width :]
            self._with_peaks += len(peaks)
            self._sum[self._width :] += peaks.astype(np.float64).sum(axis=0)

    def mean(self) -> DoubleArray:
        """The mean row (mean_width,), NaN where there is nothing to average."""
        mean = np.full_like(self._sum, np.nan)
        if self.rows:
            mean[: self._width] = self._sum[: self._width] / self.rows
        if self._with_peaks:
            mean[self._width :] = self._sum[self._width :] / self._with_peaks
        return mean


def with_peaks(rows: FloatArray, means: FloatArray) -> FloatArray:
    """Rows (k, row_width), followed by the peaks of mean rows (k, mean_width) if these have any: (k, mean_width)."""
    width = rows.shape[1]
    return rows if means.shape[1] == width else np.concatenate((rows, means[:, width:]), axis=1)
