"""Batches of streams, from samples to anomaly scores: the only implementation of a stream.

Costly steps are computed for many streams in one call. A single stream is a batch of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.core.array_backend import run_or_numbers, to_numpy
from monitor.core.thread_pool import ThreadPool
from monitor.core.types import DoubleArray, FloatArray, IndexArray
from monitor.model.network import ON_CPU, Compute
from monitor.scoring.row_layout import RowLayout
from monitor.streaming.frame_batch import FrameBatch
from monitor.streaming.portion import BatchResult, Portion, joined
from monitor.streaming.score_batch import ScoreBatch

# Hops of all streams together that are computed at once: more would not fit into a processor's cache, fewer would not
# keep a GPU busy.
HOPS_AT_ONCE, GPU_HOPS_AT_ONCE = 3200, 2**18
MIN_SHARED_HOPS = 256  # hops of all streams together that one of several threads computes at least
HOPS_PER_STREAM = 50  # hops of each stream that are computed at once on a processor, if there are several streams


class StreamBatch:
    """Scores the samples of `streams` streams. They start, pause and end independently of each other.

    All have one model, unless `use` gives one of them another that differs only in what it takes for normal.

    Frames and scores do not depend on how the samples of a stream are divided into pushes. Several threads may push at
    the same time, if they push different streams.

    Args:
        bundle: the model.
        streams: number of streams.
        compute: backend, device and precision.
        pool: threads that share the streams of one push, or the frames and windows of a single one.
    """

    def __init__(
        self,
        bundle: Bundle,
        streams: int = 1,
        *,
        compute: Compute = ON_CPU,
        pool: ThreadPool | None = None,
    ) -> None:
        self.bundle, self.precision = bundle, compute.precision
        self._own: dict[int, Bundle] = {}  # of the streams with other models
        self._hop = bundle.config.features.hop_length
        self._backend = compute.backend
        on_host = self._backend.in_host_memory
        self._hops_at_once = HOPS_AT_ONCE if on_host else GPU_HOPS_AT_ONCE
        self._hops_per_stream = HOPS_PER_STREAM if on_host and streams > 1 else self._hops_at_once
        # Several streams are divided between the threads, a single one has its frames and windows divided.
        self._pool = pool if streams > 1 and on_host else None
        within = pool if self._pool is None else None
        self._frames = FrameBatch(bundle.config.features, streams, self._backend, within)
        self._scores = ScoreBatch(bundle, streams, compute=compute, pool=within)
        self.reset(np.arange(streams))

    def __len__(self) -> int:
        return len(self._scores)

    @property
    def layout(self) -> RowLayout:
        """The layout of rows of window statistics, and of their means."""
        return self._scores.layout

    def reset(self, streams: IndexArray | Sequence[int]) -> None:
        """Restarts these streams (n,): later results do not depend on earlier samples. Their centres are kept."""
        which = np.asarray(streams)
        self._frames.reset(which)
        self._scores.reset(which, -self._frames.delay)

    def recentre(self, offsets: Mapping[str, DoubleArray], stream: int) -> None:
        """Sets the centres of one stream to the model's centres plus an offset (p,) for each part, by its name."""
        self._scores.recentre(offsets, stream)

    def use(self, bundle: Bundle, stream: int) -> None:
        """Gives a stream that is not in use a model; its centres are those of the model.

        Args:
            bundle: the model of the batch, or one of the same `front`.
            stream: number of the stream.
        """
        same = bundle is self.bundle or (bundle.model_id == self.bundle.model_id != "")
        self._scores.use(None if same else bundle, stream)
        self._scores.recentre(None, stream)
        if same:
            self._own.pop(stream, None)
        else:
            self._own[stream] = bundle

    def bundle_of(self, stream: int) -> Bundle:
        """The model of a stream."""
        return self._own.get(stream, self.bundle)

    def take_over(self, stream: int, other: StreamBatch, other_stream: int, recent: FloatArray) -> None:
        """Makes a stream go on where a stream of another batch is, as if it had been in this one from its beginning.

        Its centres are those of the model. The other stream may not be pushed afterwards.

        Args:
            stream: number of the stream, which is not in use.
            other: a batch of a model for which `can_follow` holds.
            other_stream: number of the stream in it.
            recent: (t, n_mels) the last power mel frames of that stream, as many as `frames_to_hear_again` says. If
                only this batch's model has a rhythm, they may be fewer; then the interval that ends with the next
                impulse is not known.
        """
        self._frames.take_over(stream, other._frames, other_stream)
        position = int(self._frames.hops[stream]) - self._frames.delay
        self._scores.listen_again(recent, position - len(recent), stream)
        self._scores.recentre(None, stream)

    def contributions(
        self, mean_rows: FloatArray | DoubleArray, scores: DoubleArray | float, stream: int
    ) -> FloatArray:
        """The contribution of each band to the scores (…) of one stream's mean rows (…, mean_width): (…, n_mels).

        As `monitor.scoring.scorer.Scorer.contributions`.
        """
        scorer, number = self._scores.scorer_of(stream)
        return scorer.contributions(mean_rows, scores, stream=number)

    def shares(self, mean_row: FloatArray | DoubleArray, stream: int) -> tuple[DoubleArray, DoubleArray]:
        """The share of each band in the score of one stream's mean row: as `monitor.scoring.scorer.Scorer.shares`."""
        scorer, number = self._scores.scorer_of(stream)
        return scorer.shares(mean_row, stream=number)

    def push(self, samples: FloatArray, streams: IndexArray | Sequence[int]) -> BatchResult:
        """Scores the next k hops of n streams. The other streams do not change.

        Args:
            samples: (n, k · hop_length).
            streams: (n,) numbers of the streams, all different.

        Raises:
            ValueError: if the samples are not whole hops, or the streams are not different.
        """
        which = np.asarray(streams)
        count, hops = len(which), samples.shape[1] // self._hop
        if samples.shape != (count, hops * self._hop) or len(set(which.tolist())) != count:
            raise ValueError(f"{tuple(samples.shape)} samples are not whole hops of {count} different streams")
        result = self._scores.allocate(count, hops, which)
        groups = self._groups(count, hops)
        if self._pool is None or len(groups) == 1:
            for group in groups:
                self._push(samples[group], which[group], result, group)
        else:
            self._pool.map(lambda group: self._push(samples[group], which[group], result, group), groups)
        return self._scores.complete(result)

    def _groups(self, count: int, hops: int) -> list[slice]:
        """Divides `count` streams with as many hops each into groups that are computed one after another.

        If threads share them, the groups become smaller towards the end, so that all threads finish together.
        """
        steps = max(1, min(hops, self._hops_per_stream))
        largest, groups, first = max(1, self._hops_at_once // steps), [], 0
        smallest = -(-MIN_SHARED_HOPS // steps)
        while first < count:
            size = largest
            if self._pool is not None:
                size = min(largest, max(smallest, (count - first) // (2 * self._pool.count)))
            groups.append(slice(first, min(first + size, count)))
            first += size
        return groups

    def _push(self, samples: FloatArray, streams: IndexArray, result: BatchResult, group: slice) -> None:
        """Scores hops (n, k · hop_length) of streams (n,), which are a group of those of the result."""
        hops, upload, which = samples.shape[1] // self._hop, self._backend.upload, run_or_numbers(streams)
        steps = min(hops, self._hops_per_stream)
        for start in range(0, hops, self._hops_per_stream):
            part = slice(start, start + steps)
            frames = self._backend.device_buffer(result.frames[group, part])
            self._frames.push(upload(samples[:, part.start * self._hop : part.stop * self._hop]), which, frames)
            self._scores.advance(frames, which, result, group, part)
            self._backend.download(frames, result.frames[group, part])

    def flush(self, stream: int, remainder: FloatArray) -> Portion:
        """Ends one stream, and scores its last frames and windows. Restarts the stream.

        Args:
            stream: number of the stream.
            remainder: (n,) last samples of the stream, fewer than a hop.

        Raises:
            ValueError: if the remainder is a hop or longer.
        """
        if len(remainder) >= self._hop:
            raise ValueError(f"a remainder of {len(remainder)} samples has a whole hop of {self._hop}: push it first")
        frames, which = self._frames.flush(stream, remainder), np.array([stream])
        # All frames of a flush are valid, even if fewer than `delay` hops have been pushed.
        self._scores.position[stream] = max(0, int(self._scores.position[stream]))
        [portion] = self._scores.push(to_numpy(frames), which).portions()
        [ending] = self._scores.flush(stream).portions()
        self.reset(which)
        return joined(portion, ending)
