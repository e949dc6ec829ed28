"""The last mel frames of a stream, from which another model can find out what it would have heard."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.core.types import FloatArray, IndexArray
from monitor.scoring.rhythm import LONGEST_S
from monitor.scoring.scorer import rolling_length


def frames_to_hear_again(bundle: Bundle) -> int:
    """The number of last frames on which the next score depends: those of a rolling mean of windows.

    In a machine with a rhythm it also depends on when its last impulse was, as far back as intervals are looked at.
    """
    features = bundle.config.features
    count = features.window_frames + rolling_length(bundle.config.score, features)
    return count if bundle.rhythm is None else count + round(LONGEST_S / features.hop_s)


def can_follow(new: Bundle, before: Bundle) -> bool:
    """Whether a stream can go on with a new model without a gap: both score the same frames, over the same time."""
    channel = before.config.features.channel  # which channel is listened to is not the model's business
    features = new.config.features.model_copy(update={"channel": channel})
    return features == before.config.features and new.config.score.window_s == before.config.score.window_s


@dataclass(frozen=True, slots=True)
class _Push:
    """Frames (n, t, n_mels) that were pushed, of which the last `valid` (n,) count: at least `least` of each stream."""

    frames: FloatArray
    valid: IndexArray
    least: int


class RecentFrames:
    """Keeps the last power mel frames of streams, each since it has begun, or begun again after a gap.

    As long as the same streams are pushed together, their frames are not copied, but the arrays of the last pushes are
    kept, as many as are needed.

    Args:
        count: how many are kept of each stream.
        n_mels: number of bands.
        streams: their number.
    """

    def __init__(self, count: int, n_mels: int, streams: int = 1) -> None:
        # Those that were copied; this occupies no memory as long as nothing is copied into it.
        self._kept = np.zeros((streams, count, n_mels), np.float32)
        self._copied = np.zeros(streams, np.int64)  # number of these since each stream started
        self._pushes = deque[_Push]()  # what came afterwards,
        self._together = np.zeros(0, np.int64)  # of these streams,
        self._least = 0  # so many frames of each at least

    def reset(self, stream: int) -> None:
        """Forgets all of a stream, which starts again."""
        self._copy_pushes()
        self._copied[stream] = 0

    def take_over(self, stream: int, frames: FloatArray) -> None:
        """Replaces what is kept of a stream by these frames (t, n_mels)."""
        self.reset(stream)
        self._copy(frames[None], np.array([stream]), np.array([len(frames)]))

    def push(self, frames: FloatArray, streams: IndexArray, valid: IndexArray | None = None) -> None:
        """Adds the next frames of some streams, which are not copied, and must not be changed afterwards.

        Args:
            frames: (n, t, n_mels).
            streams: (n,) their numbers, all different.
            valid: (n,) how many of the last of these frames are valid; None: all.
        """
        if not len(streams):
            return
        if not np.array_equal(streams, self._together):
            self._copy_pushes()
            self._together = streams
        known = np.full(len(streams), frames.shape[1]) if valid is None else valid
        newest = _Push(frames, known, int(known.min()))
        self._pushes.append(newest)
        self._least += newest.least
        while self._least - self._pushes[0].least >= self._kept.shape[1]:
            self._least -= self._pushes.popleft().least

    def newest(self, stream: int = 0) -> FloatArray:
        """All frames that are kept of a stream (t, n_mels), oldest first."""
        self._copy_pushes()
        size, copied = self._kept.shape[1], int(self._copied[stream])
        newest: FloatArray = self._kept[stream, np.arange(max(0, copied - size), copied) % size]
        return newest

    def _copy_pushes(self) -> None:
        for one in self._pushes:
            self._copy(one.frames, self._together, one.valid)
        self._pushes.clear()
        self._least = 0

    def _copy(self, frames: FloatArray, streams: IndexArray, valid: IndexArray) -> None:
        """Copies the next frames (n, t, n_mels) of streams (n,), of which the last `valid` (n,) count."""
        size, count = self._kept.shape[1], frames.shape[1]
        before = self._copied[streams]
        self._copied[streams] = before + valid
        if (before == before[0]).all() and (valid == count).all():  # nearly always, and quick
            newest = frames[:, -size:]
            at = (int(before[0]) + count - newest.shape[1]) % size
            head = min(size - at, newest.shape[1])
            self._kept[streams, at : at + head] = newest[:, :head]
            self._kept[streams, : newest.shape[1] - head] = newest[:, head:]
            return
        step = np.arange(max(0, count - size), count)
        rows, columns = np.nonzero(step >= (count - valid)[:, None])
        places = (before[rows] + valid[rows] - count + step[columns]) % size
        self._kept[streams[rows], places] = frames[rows, step[columns]]
