"""A recording as a whole: its score, and whether that is beyond what hardly any normal recording exceeds."""

from __future__ import annotations

import math

from monitor.bundle.bundle import Bundle
from monitor.core.events import Event, new_event_id
from monitor.core.types import DoubleArray, FloatArray
from monitor.detection.recording import Recording
from monitor.scoring.attribution import contributing_ranges
from monitor.scoring.recording_score import RecordingScore
from monitor.streaming.stream_batch import StreamBatch

CAUSE = "recording"  # of an anomaly that only the recording as a whole shows


class WholeRecording:
    """Scores the recordings of a stream as a whole, one after another.

    Args:
        bundle: the model.
        batch: the batch that scores the stream.
        number: number of the stream in the batch.
        band_hz: (n_mels,) centre of each band.
    """

    def __init__(self, bundle: Bundle, batch: StreamBatch, number: int, band_hz: FloatArray) -> None:
        self._bundle, self._batch, self._number, self._band_hz = bundle, batch, number, band_hz
        self._scorer = bundle.scorer()
        self.begin()

    def begin(self) -> None:
        """Starts a new recording."""
        self._score = RecordingScore(self._bundle.config.score, self._scorer)
        self.interrupted = False  # whether a part of the recording was not heard

    def push(self, rows: FloatArray, means: FloatArray, score: DoubleArray) -> None:
        """Adds the next windows of the recording: (k, row_width), (k, mean_width) and (k,) as in a `Portion`."""
        self._score.push(rows, means, score)

    def score(self) -> float:
        """The score so far; NaN if the recording is too short for one."""
        return self._score.value()

    def anomaly(self, recording: Recording, seconds: float, wall_time: float) -> Event | None:
        """The anomaly that the recording is as a whole, from its beginning to its end; None if it is none.

        Args:
            recording: the recording.
            seconds: its length.
            wall_time: the Unix time of its beginning.
        """
        score, highest = self.score(), self._bundle.highest_normal(seconds)
        if self.interrupted or math.isnan(highest) or not score > highest:
            return None
        share, direction = self._batch.shares(self._score.mean(), self._number)
        return Event(
            "anomaly", 0.0, seconds, wall_time, recording.name, peak=score, mean=score, threshold=highest,
            reported_s=seconds, cause=CAUSE, bands=contributing_ranges(share, direction, self._band_hz),
            model_id=self._bundle.model_id, id=new_event_id(),
        )  # fmt: skip
