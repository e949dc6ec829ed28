"""Power mel frames of many streams, which receive their samples independently and in whole hops."""

from __future__ import annotations

import numpy as np

from monitor.config.schema import Features
from monitor.core.array_backend import NUMPY, ArrayBackend, on_device, to_numpy
from monitor.core.thread_pool import ThreadPool
from monitor.core.types import Array, FloatArray, IndexArray
from monitor.features.mel import MelTransform


class FrameBatch:
    """Computes frames, and keeps for each of `streams` streams the last samples, which later frames still need.

    A stream is padded with n_fft / 2 zeros at its start and at its end. So n samples give 1 + n // hop_length frames,
    and frame t is centred on sample t · hop_length (librosa's `center=True`). Frame t also needs the n_fft / 2 samples
    after its centre, and is therefore complete `delay` hops later than hop t. As every hop returns one frame, the first
    `delay` frames of a stream are invalid.

    Args:
        features: settings of the frames.
        streams: number of streams.
        backend: where to compute.
        pool: threads that share the frames of one push.
    """

    def __init__(
        self, features: Features, streams: int = 1, backend: ArrayBackend = NUMPY, pool: ThreadPool | None = None
    ) -> None:
        self._hop, self._half = features.hop_length, features.n_fft // 2
        self.delay = -(-self._half // self._hop) - 1
        self._backend, self._pool = backend, pool
        self._transform = MelTransform(features, backend)
        self.hops = np.zeros(streams, np.int64)  # number of hops pushed since each stream started
        self._last_samples = backend.upload(np.zeros((streams, self._half + self.delay * self._hop), np.float32))

    def reset(self, streams: IndexArray) -> None:
        """Restarts these streams (n,): their next sample is their first."""
        self.hops[streams] = 0
        self._last_samples[self._backend.upload(streams)] = 0.0

    def take_over(self, stream: int, other: FrameBatch, other_stream: int) -> None:
        """Makes a stream go on where a stream of another batch with the same settings is."""
        self.hops[stream] = other.hops[other_stream]
        last = to_numpy(other._last_samples[other_stream : other_stream + 1])
        self._last_samples[self._backend.upload(np.array([stream]))] = self._backend.upload(last.copy())

    def push(self, samples: Array, streams: IndexArray | slice, out: Array) -> None:
        """Adds the next k hops of n streams, and computes one frame for each hop.

        Args:
            samples: (n, k · hop_length), on the device of the backend.
            streams: (n,) numbers of the streams, all different, or a slice if they follow one another.
            out: (n, k, n_mels), written. The first `delay` frames of a stream are invalid.
        """
        count, which = samples.shape[1] // self._hop, on_device(streams, self._backend)
        samples = self._backend.xp.concat((self._last_samples[which], samples), axis=1)
        self._last_samples[which] = samples[:, count * self._hop :]
        self.hops[streams] += count
        self._transform(samples, self._pool, out)

    def flush(self, stream: int, remainder: FloatArray) -> Array:
        """Ends one stream, and computes its last frames. Restarts the stream.

        Args:
            stream: number of the stream.
            remainder: (n,) last samples of the stream, fewer than a hop.

        Returns:
            frames (1, t, n_mels).
        """
        hops = int(self.hops[stream])
        needed = self._half + min(hops, self.delay) * self._hop  # samples from the start of the next frame on
        last = self._last_samples[stream : stream + 1]
        padding = np.zeros((1, self._half if hops or len(remainder) else 0), np.float32)
        upload = self._backend.upload
        samples = self._backend.xp.concat(
            (last[:, last.shape[1] - needed :], upload(remainder[None]), upload(padding)), axis=1
        )
        frames = self._transform(samples, self._pool)
        self.reset(np.array([stream]))
        return frames
