"""Anomaly scores of many streams from power mel frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.core.array_backend import numbers_of, on_device
from monitor.core.thread_pool import ThreadPool
from monitor.core.types import Array, DoubleArray, FloatArray, IndexArray
from monitor.features.frame_level import FrameLevel
from monitor.model.network import ON_CPU, Compute
from monitor.scoring.rhythm import RhythmTracker
from monitor.scoring.rolling_rows import RollingRows
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.scorer import Scorer, rolling_length
from monitor.scoring.window_stats import WindowStats
from monitor.streaming.portion import BatchResult

_FIRST = np.zeros(1, np.int64)  # the only stream
MIN_SHARED_WINDOWS = 128  # fewer windows are computed by one thread: sharing them would cost more than it gains


class ScoreBatch:
    """Scores the frames of `streams` streams, and keeps the state of each: last frames and rolling means.

    All have one model, or models of the same `front`: the computation up to the mean rows is shared.

    Several threads may push at the same time, if they push different streams.

    Args:
        bundle: the model.
        streams: number of streams.
        compute: backend, device and precision.
        pool: threads that share the windows of one push.
    """

    def __init__(
        self,
        bundle: Bundle,
        streams: int = 1,
        *,
        compute: Compute = ON_CPU,
        pool: ThreadPool | None = None,
    ) -> None:
        config, backend = bundle.config, compute.backend
        self._features, self._backend, self._pool = config.features, backend, pool
        self._half = config.features.window_frames // 2
        self._length = rolling_length(config.score, config.features)
        self._layout = bundle.layout
        self._residual_columns, self._error_columns = self._layout.residual_columns, self._layout.error_columns
        modes = None if bundle.modes is None else bundle.modes.uploaded(backend)
        self._stats = WindowStats(config, self._layout, modes)
        self._level = FrameLevel(config.features, with_offset=bundle.level_has_offset)
        self._normalization = bundle.normalization(backend)
        self._network = compute.network(bundle.weights, config.features)
        self.scorer = bundle.scorer(streams=streams, backend=backend)
        self._own: dict[int, Scorer] = {}  # of the streams whose model is another one, with one stream each
        shape = (streams, config.features.window_frames - 1, config.features.n_mels)
        self._last_frames = backend.upload(np.zeros(shape, np.float32))  # normalized
        self.position = np.zeros(streams, np.int64)  # number of the next frame of each stream
        self._means = RollingRows(self._layout, self._length, streams, backend)
        self._rhythm = None
        if bundle.rhythm is not None:
            window_frames, hop_s = config.features.window_frames, config.features.hop_s
            self._rhythm = RhythmTracker(bundle.rhythm, bundle.deviation, hop_s, window_frames, streams, backend)

    def __len__(self) -> int:
        return len(self.position)

    @property
    def layout(self) -> RowLayout:
        """The layout of rows of window statistics, and of their means."""
        return self._layout

    def reset(self, streams: IndexArray, position: int = 0) -> None:
        """Restarts these streams (n,). Their centres are kept.

        Args:
            streams: numbers of the streams.
            position: number of the next frame; frames with negative numbers are invalid and ignored.
        """
        # No valid result depends on frames before frame 0. But the network may transform them together with those after
        # it, so they have to be finite, and not loud: then they leave no more than rounding.
        self._last_frames[self._backend.upload(streams)] = 0.0
        self.position[streams] = position
        if self._rhythm is not None:
            self._rhythm.reset(streams)

    def listen_again(self, frames: FloatArray, first: int, stream: int) -> None:
        """Restarts a stream, and brings it to where it would be if it had been scored from its beginning.

        Args:
            frames: (t, n_mels) its last power mel frames: all, or at least `frames_to_hear_again`.
            first: number of the first one; negative if no frame is complete yet.
            stream: number of the stream.
        """
        which, before = np.array([stream]), self._last_frames.shape[1]
        self.reset(which, first)
        if first > 0:  # the first windows would contain what is not known
            known = self._normalization(self._backend.upload(frames[None, :before].copy()))
            self._last_frames[self._backend.upload(which)] = known
            self.position[stream] += before
            frames = frames[before:]
        if len(frames):
            self.push(frames[None], which)

    def use(self, bundle: Bundle | None, stream: int) -> None:
        """Scores a stream that is not in use with another model of the same `front`; None: with that of the batch."""
        if bundle is None:
            self._own.pop(stream, None)
        else:
            self._own[stream] = bundle.scorer(streams=1, backend=self._backend)

    def scorer_of(self, stream: int) -> tuple[Scorer, int]:
        """The scorer of a stream, and the number of the stream in it."""
        own = self._own.get(stream)
        return (self.scorer, stream) if own is None else (own, 0)

    def recentre(self, offsets: Mapping[str, DoubleArray] | None, stream: int) -> None:
        """Sets the centres of one stream to the model's centres plus an offset (p,) for each part, by its name.

        None: to the model's centres.
        """
        scorer, number = self.scorer_of(stream)
        scorer.recentre(offsets, number)

    def push(self, frames: FloatArray, streams: IndexArray | None = None) -> BatchResult:
        """Scores the next k frames of n streams.

        Args:
            frames: (n, k, n_mels) power mel frames.
            streams: (n,) numbers of the streams, all different; None is all streams.
        """
        streams = np.arange(len(self)) if streams is None else streams
        result = self.allocate(len(streams), frames.shape[1], streams)
        result.frames[:] = frames
        self.advance(self._backend.upload(result.frames), streams, result, slice(None), slice(None))
        return self.complete(result)

    def flush(self, stream: int = 0) -> BatchResult:
        """Ends one stream, and scores its last W / 2 - 1 windows. Restarts the stream.

        Returns:
            a result without valid frames.
        """
        streams = np.array([stream])
        count = self._half - 1 if self.position[stream] >= self._half else 0
        result = self.allocate(1, count, streams)
        result.frames[:], result.valid_frames[:] = 0.0, 0
        if count:
            xp, size = self._backend.xp, self._last_frames.shape[1]
            mirrored = xp.flip(self._last_frames[stream : stream + 1, size - self._half :], axis=1)
            self._advance(mirrored[:, :count], streams, result, slice(None), slice(None))
        self.reset(streams)
        return self.complete(result)

    def allocate(self, streams: int, count: int, which: IndexArray) -> BatchResult:
        """Allocates the result for the next `count` frames of `streams` streams, whose numbers are `which`.

        `valid_frames` and `valid_rows` are set; `advance` writes the other arrays, and `complete` finishes the result.
        """
        buffer, layout, n_mels = self._backend.host_buffer, self._layout, self._features.n_mels
        position = self.position[which]
        return BatchResult(
            frames=buffer((streams, count, n_mels)),
            mean_square=np.empty((streams, 0)),
            rows=buffer((streams, count, layout.row_width)),
            means=buffer((streams, count, layout.mean_width)),
            score=buffer((streams, count), np.float64),
            valid_frames=np.minimum(np.maximum(position + count, 0), count),
            valid_rows=np.minimum(np.maximum(position + count - (self._half - 1), 0), count),
            layout=layout,
        )

    def complete(self, result: BatchResult) -> BatchResult:
        """Waits until all arrays of the result have been downloaded, and adds the level of each frame."""
        self._backend.synchronize()
        return BatchResult(
            result.frames, self._level.mean_square(result.frames), result.rows, result.means, result.score,
            result.valid_frames, result.valid_rows, result.layout,
        )  # fmt: skip

    def advance(
        self, frames: Array, streams: IndexArray | slice, result: BatchResult, group: slice, part: slice
    ) -> None:
        """Scores the next k frames of n streams, and writes rows, means and scores into a part of the result.

        Args:
            frames: (n, k, n_mels) power mel frames, on the device of the backend.
            streams: (n,) numbers of the streams, all different, or a slice if they follow one another.
            result: from `allocate`.
            group: which of the streams of the result these are.
            part: which of the frames of the result these are.
        """
        self._advance(self._normalization(frames), streams, result, group, part)

    def _advance(
        self, frames: Array, streams: IndexArray | slice, result: BatchResult, group: slice, part: slice
    ) -> None:
        """As `advance`, but with normalized frames."""
        backend, count = self._backend, frames.shape[1]
        if not count:
            return
        which, position = on_device(streams, backend), self.position[streams].copy()
        lowest = int(position.min())
        frames = backend.xp.concat((self._last_frames[which], frames), axis=1)
        if lowest < self._half:
            self._mirror_starts(frames, position, count)
        self._last_frames[which] = frames[:, count:]
        self.position[streams] = position + count

        host = [values[group, part] for values in (result.rows, result.means, result.score)]
        rows, means, score = (backend.device_buffer(values) for values in host)
        self._write_statistics(frames, rows)
        if self._rhythm is not None:
            columns = self._rhythm.push(frames, numbers_of(streams), position - (self._half - 1))
            rows[..., self._layout.surprise_column : self._layout.impulse_column + 1] = backend.upload(columns)
        self._means.push(rows, streams, means)
        first_mean = self._half - 1 + self._length - 1  # number of the frame that completes the first mean
        if lowest < first_mean:
            too_early = position[:, None] + np.arange(count) < first_mean
            means[backend.upload(too_early)] = np.nan
        self._write_scores(means, streams, score)
        for computed, values in zip((rows, means, score), host, strict=True):
            backend.download(computed, values)

    def _write_scores(self, means: Array, streams: IndexArray | slice, score: Array) -> None:
        """Computes the scores of mean rows (n, k, mean_width) into `score` (n, k), of each stream with its model."""
        own: list[tuple[int, Scorer]] = []
        if self._own:
            numbers = numbers_of(streams).tolist()
            own = [(row, found) for row, stream in enumerate(numbers) if (found := self._own.get(stream))]
        if len(own) < len(means):

            def compute(part: slice) -> None:
                score[:, part] = self.scorer(means[:, part], streams=streams)

            self._share(compute, means)
        for row, scorer in own:
            score[row : row + 1] = scorer(means[row : row + 1], streams=_FIRST)

    def _mirror_starts(self, frames: Array, position: IndexArray, count: int) -> None:
        """Pads the start of each stream that has now received W / 2 frames: mirrors these before frame 0.

        Args:
            frames: (n, W - 1 + count, n_mels) normalized frames, changed in place.
            position: (n,) number of the first of the `count` new frames.
            count: number of new frames.
        """
        starting = np.flatnonzero((position < self._half) & (position + count >= self._half))
        if len(starting):
            frame_0 = (2 * self._half - 1 - position[starting])[:, None]  # its index in `frames`
            step = np.arange(self._half)
            upload = self._backend.upload
            stream = upload(np.broadcast_to(starting[:, None], (len(starting), self._half)).copy())
            frames[stream, upload(frame_0 - 1 - step)] = frames[stream, upload(frame_0 + step)]

    def _write_statistics(self, frames: Array, rows: Array) -> None:
        """Computes the window statistics of normalized frames (n, W - 1 + k, n_mels) into `rows` (n, k, row_width)."""
        residual, error = rows[..., self._residual_columns], rows[..., self._error_columns]
        before = frames.shape[1] - rows.shape[1]

        def compute(part: slice) -> None:
            part_frames = frames[:, part.start : part.stop + before]
            self._stats.write(part_frames, rows[:, part])
            self._network(part_frames, residual[:, part], error[:, part])

        self._share(compute, rows)

    def _share(self, compute: Callable[[slice], object], rows: Array) -> None:
        """Calls `compute` with all hops of `rows` (n, k, …), or, if they are many, with a share on each thread."""
        streams, count = rows.shape[:2]
        if self._pool is None or streams * count < MIN_SHARED_WINDOWS:
            compute(slice(0, count))
            return
        step = -(-count // self._pool.count)
        self._pool.map(compute, [slice(start, min(count, start + step)) for start in range(0, count, step)])
