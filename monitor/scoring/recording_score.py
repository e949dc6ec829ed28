"""The anomaly score of a whole recording, computed from the window statistics and scores of its stream."""

from __future__ import annotations

import math

import numpy as np

from monitor.config.schema import Score
from monitor.core.types import DoubleArray, FloatArray
from monitor.scoring.scorer import Scorer


class RecordingScore:
    """Accumulates the score of one recording, in constant memory.

    With `score.recording: mean` it is the score of the mean row of window statistics; with `max` it is the highest
    rolling score, as in the article. Both ignore `score.cut_frames` frames at each end of the recording.

    Args:
        score: settings of the score.
        scorer: computes the score of a mean row.
        width: numbers in a row of window statistics.
    """

    def __init__(self, score: Score, scorer: Scorer, width: int) -> None:
        self._score, self._scorer = score, scorer
        self._skip = score.cut_frames
        # The last cut_frames rows and scores: they count only if more follow.
        self._pending_rows = np.empty((0, width), np.float32)
        self._pending_scores = np.empty(0)
        self._sum = np.zeros(width)
        self._max = -math.inf
        self.frames = 0  # number of frames that count so far

    def push(self, rows: FloatArray, scores: DoubleArray) -> None:
        """Adds rows of window statistics (k, row_width), and the scores of these windows (k,), NaN if there is none."""
        if self._score.cut_frames:
            skipped = min(self._skip, len(rows))
            self._skip -= skipped
            rows = np.concatenate((self._pending_rows, rows[skipped:]))
            scores = np.concatenate((self._pending_scores, scores[skipped:]))
            ready = max(0, len(rows) - self._score.cut_frames)
            self._pending_rows, self._pending_scores = rows[ready:], scores[ready:]
            rows, scores = rows[:ready], scores[:ready]
        if len(rows):
            self.frames += len(rows)
            self._sum += rows.sum(axis=0, dtype=np.float64)
            self._max = float(np.fmax(self._max, np.fmax.reduce(scores)))

    def mean(self) -> DoubleArray:
        """The mean row so far: (row_width,), NaN if no frame counts yet."""
        return self._sum / self.frames if self.frames else np.full_like(self._sum, np.nan)

    def value(self) -> float:
        """The score so far; NaN if no frame counts yet."""
        if self._score.recording == "max":
            return self._max if self._max > -math.inf else math.nan
        return float(self._scorer(self.mean(), whole_recordings=True)) if self.frames else math.nan
