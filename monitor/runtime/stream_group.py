"""The streams of one batch: what is done for all of them together, in arrays with a row for each stream."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monitor.audio.level import LevelMeters
from monitor.core.types import FloatArray, IndexArray
from monitor.detection.detectors import Detectors
from monitor.runtime.latency import Latencies
from monitor.streaming.portion import BatchResult
from monitor.streaming.recent_frames import RecentFrames, frames_to_hear_again
from monitor.streaming.stream_batch import StreamBatch


class StreamGroup:
    """A batch with the detectors of its streams, their levels, processing times and last frames.

    A single stream is a group of one.

    Args:
        batch: the batch.
    """

    def __init__(self, batch: StreamBatch) -> None:
        features = batch.bundle.config.features
        self.batch, self.detectors = batch, Detectors(batch)
        self.hop_length, self.sample_rate = features.hop_length, features.sample_rate
        self.levels, self.processing = LevelMeters(len(batch)), Latencies(len(batch))
        self.recent: RecentFrames | None = None  # None: of no stream are frames kept

    def keep_frames(self) -> RecentFrames:
        """Keeps the last frames of the streams from now on, because their models may be exchanged while they run."""
        if self.recent is None:
            bundle = self.batch.bundle
            self.recent = RecentFrames(frames_to_hear_again(bundle), bundle.config.features.n_mels, len(self.batch))
        return self.recent

    def forget_frames(self, stream: int) -> None:
        """Forgets the last frames of a stream, because a gap follows."""
        if self.recent is not None:
            self.recent.reset(stream)

    def take_over(self, stream: int, other: StreamGroup, other_stream: int) -> None:
        """Makes a stream go on where a stream of another group is, whose model that of this one can follow.

        Raises:
            ValueError: if nothing is kept of what the other stream has heard.
        """
        if other.recent is None:
            raise ValueError(f"nothing is kept of what stream {other_stream} has heard")
        heard = other.recent.newest(other_stream)
        self.batch.take_over(stream, other.batch, other_stream, heard)
        self.keep_frames().take_over(stream, heard)
        self.levels.take_over(stream, other.levels, other_stream)
        self.processing.take_over(stream, other.processing, other_stream)

    def push(
        self, result: BatchResult, streams: IndexArray, on_error: Callable[[int, Exception], None] | None = None
    ) -> IndexArray:
        """Passes the results of a push of n streams (n,) of the batch to their detectors.

        Args:
            result: of the push.
            streams: (n,) numbers of the streams.
            on_error: as in `Detectors.push`.

        Returns:
            the indices of those streams, among the n, that got scores.
        """
        if self.recent is not None:
            self.recent.push(result.frames, streams, result.valid_frames)
        return np.flatnonzero(self.detectors.push(result, streams, on_error))

    def score(self, hops: FloatArray, stream: int) -> None:
        """Scores whole hops (k · hop_length,) of one stream."""
        which = np.array([stream])
        self.push(self.batch.push(hops[None], which), which)
