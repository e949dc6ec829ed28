"""The last mel frames of a stream, from which another model can find out what it would have heard."""

from __future__ import annotations

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


class RecentFrames:
    """Keeps the last power mel frames of streams, each since it has begun, or begun again after a gap.

    Args:
        count: how many are kept of each stream.
        n_mels: number of bands.
        streams: their number.
    """

    def __init__(self, count: int, n_mels: int, streams: int = 1) -> None:
        self._kept = np.zeros((streams, count, n_mels), np.float32)
        self._pushed = np.zeros(streams, np.int64)  # frames since each stream started

    def reset(self, stream: int) -> None:
        """Forgets all of a stream, which starts again."""
        self._pushed[stream] = 0

    def take_over(self, stream: int, frames: FloatArray) -> None:
        """Replaces what is kept of a stream by these frames (t, n_mels)."""
        self.reset(stream)
        self.push(frames[None, -self._kept.shape[1] :], np.array([stream]))

    def push(self, frames: FloatArray, streams: IndexArray, valid: IndexArray | None = None) -> None:
        """Adds the next frames of some streams.

        Args:
            frames: (n, t, n_mels).
            streams: (n,) their numbers, all different.
            valid: (n,) how many of the last of these frames are valid; None: all.
        """
        size, count = self._kept.shape[1], frames.shape[1]
        added = np.full(len(streams), count) if valid is None else valid
        before = self._pushed[streams]
        self._pushed[streams] = before + added
        if len(streams) and (before == before[0]).all() and (added == count).all():  # nearly always, and quick
            newest = frames[:, -size:]
            at = (int(before[0]) + count - newest.shape[1]) % size
            head = min(size - at, newest.shape[1])
            self._kept[streams, at : at + head] = newest[:, :head]
            self._kept[streams, : newest.shape[1] - head] = newest[:, head:]
            return
        step = np.arange(max(0, count - size), count)
        rows, columns = np.nonzero(step >= (count - added)[:, None])
        places = (before[rows] + added[rows] - count + step[columns]) % size
        self._kept[streams[rows], places] = frames[rows, step[columns]]

    def newest(self, stream: int = 0) -> FloatArray:
        """All frames that are kept of a stream (t, n_mels), oldest first."""
        size, pushed = self._kept.shape[1], int(self._pushed[stream])
        newest: FloatArray = self._kept[stream, np.arange(max(0, pushed - size), pushed) % size]
        return newest
