"""The last mel frames of a stream, from which another model can find out what it would have heard."""

from __future__ import annotations

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.core.types import FloatArray
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
    """Keeps the last power mel frames of one stream that has begun, or begun again after a gap.

    Args:
        count: how many are kept.
        n_mels: number of bands.
    """

    def __init__(self, count: int, n_mels: int) -> None:
        self.n_mels = n_mels
        self._kept = np.zeros((count, n_mels), np.float32)
        self.pushed = 0  # frames since the stream started

    def reset(self) -> None:
        """Forgets all: the stream starts again."""
        self.pushed = 0

    def push(self, frames: FloatArray) -> None:
        """Adds the next frames (t, n_mels)."""
        at, count = self.pushed % len(self._kept), len(frames)
        self.pushed += count
        if at + count <= len(self._kept):  # nearly always, and quick: it is done for each hop of each stream
            self._kept[at : at + count] = frames
            return
        newest = frames[-len(self._kept) :]
        self._kept[np.arange(self.pushed - len(newest), self.pushed) % len(self._kept)] = newest

    def newest(self) -> FloatArray:
        """All frames that are kept (t, n_mels), oldest first."""
        return self._kept[np.arange(max(0, self.pushed - len(self._kept)), self.pushed) % len(self._kept)]
