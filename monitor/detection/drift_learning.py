"""When the reference distribution of a stream learns, and that its scores follow."""

from __future__ import annotations

from monitor.core.types import DoubleArray
from monitor.detection.alarm import Alarm
from monitor.detection.drift import Drift
from monitor.streaming.stream_batch import StreamBatch


class DriftLearning:
    """Lets a drift learn at most once per length of the rolling mean, so that learnt means share no window.

    Args:
        drift: the drift.
        batch: the batch that scores the stream.
        number: number of the stream in the batch.
        window_rows: number of windows that a score averages over.
        hop_s: seconds from one window to the next.
    """

    def __init__(self, drift: Drift, batch: StreamBatch, number: int, window_rows: int, hop_s: float) -> None:
        self.drift, self._batch, self._number = drift, batch, number
        self._window_rows, self._hop_s = window_rows, hop_s
        self._rows = 0  # windows since it was asked to learn
        batch.recentre(drift.offsets, number)

    def push(self, score: float, mean_row: DoubleArray, alarm: Alarm, count: int) -> float | None:
        """Learns from the newest window, if it is time.

        Args:
            score: the newest score.
            mean_row: (mean_width,) the mean row of this score.
            alarm: the alarm of the stream, after this score.
            count: number of windows since the last call.

        Returns:
            the share of the cap, if that is to be reported.
        """
        self._rows += count
        if self._rows < self._window_rows:
            return None
        seconds, self._rows = self._rows * self._hop_s, 0
        if not self.drift.learn(score, mean_row, alarm, seconds):
            return None
        self._batch.recentre(self.drift.offsets, self._number)
        return self.drift.share_to_report()
