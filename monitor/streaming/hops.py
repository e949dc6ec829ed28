"""Streams whose samples come in pieces of any length: division into whole hops, and mel frames of a single stream."""

from __future__ import annotations

import numpy as np

from monitor.config.schema import Features
from monitor.core.array_backend import NUMPY, ArrayBackend, to_numpy
from monitor.core.types import FloatArray
from monitor.streaming.frame_batch import FrameBatch

_NONE = np.zeros(0, np.float32)


class HopCutter:
    """Divides the samples of one stream into whole hops, and keeps the remainder for the next push."""

    def __init__(self, hop_length: int) -> None:
        self._hop = hop_length
        self.remainder: FloatArray = _NONE  # (n,) fewer than a hop

    def push(self, samples: FloatArray) -> FloatArray:
        """Adds the next samples (n,), and returns all whole hops (m · hop_length,)."""
        if len(self.remainder):
            samples = np.concatenate((self.remainder, samples))
        whole = len(samples) // self._hop * self._hop
        self.remainder = samples[whole:].copy()  # because the caller may reuse its buffer
        return samples[:whole]

    def reset(self) -> None:
        """Discards the remainder."""
        self.remainder = _NONE


class FrameStream:
    """Computes the power mel frames of one stream from pieces of any length.

    n samples give 1 + n // hop_length frames, as `monitor.streaming.frame_batch.FrameBatch` describes.
    """

    def __init__(self, features: Features, backend: ArrayBackend = NUMPY) -> None:
        self._batch, self._cutter = FrameBatch(features, 1, backend), HopCutter(features.hop_length)
        self._hop, self._n_mels, self._backend = features.hop_length, features.n_mels, backend

    def push(self, samples: FloatArray) -> FloatArray:
        """Adds the next samples (n,), and returns the frames that they complete (t, n_mels)."""
        hops = self._cutter.push(samples)
        count, earlier_hops = len(hops) // self._hop, int(self._batch.hops[0])
        frames = self._backend.host_buffer((1, count, self._n_mels))
        computed = self._backend.device_buffer(frames)
        self._batch.push(self._backend.upload(hops[None]), np.array([0]), computed)
        self._backend.download(computed, frames)
        self._backend.synchronize()
        return frames[0, min(count, max(0, self._batch.delay - earlier_hops)) :]

    def flush(self) -> FloatArray:
        """Ends the stream, and returns its last frames (t, n_mels). The next sample starts a new stream."""
        frames: FloatArray = to_numpy(self._batch.flush(0, self._cutter.remainder))[0]
        self._cutter.reset()
        return frames
