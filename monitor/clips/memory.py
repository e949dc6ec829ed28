"""The newest sound of a stream in memory, of which clips are cut."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.audio.writer import as_int16
from monitor.config.schema import Features
from monitor.core.types import FloatArray

BLOCK_S = 1.0  # about the length of the blocks in which sound is kept

Int16Array = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece of sound that shares its memory with `SoundMemory` and with other pieces."""

    first: int  # frame number of its first sample in its recording
    blocks: tuple[Int16Array, ...]
    count: int  # of samples from the beginning of the first block

    def samples(self) -> Int16Array:
        """The samples (n,) in an array of their own; for any thread."""
        return np.concatenate([np.zeros(0, np.int16), *self.blocks])[: self.count]


class SoundMemory:
    """Keeps the last seconds of a stream as 16-bit integers, in blocks of whole hops.

    Samples are converted a block at a time. Positions are numbers of frames in the recording: a frame's centre is the
    first sample of its hop. So all that is cut out begins exactly at a frame, and is scored as it was in the stream.

    Args:
        keep_s: seconds that are kept at least.
        features: of the model: sample rate and hop.
    """

    def __init__(self, keep_s: float, features: Features) -> None:
        self.needed: int | None = None  # frames from this one on are kept even if they are older
        self._hop = features.hop_length
        self._hops = max(1, round(BLOCK_S / features.hop_s))  # in a block
        self._keep = math.ceil(keep_s / (self._hops * features.hop_s)) + 1  # blocks; the newest one is incomplete
        self.restart(0)

    @property
    def end(self) -> int:
        """The number of the frame at which the newest complete hop ends."""
        size = self._hops * self._hop
        samples = size * len(self._blocks) - (size - self._filled) if self._blocks else 0
        return self.oldest + (samples + self._waiting) // self._hop

    @property
    def nbytes(self) -> int:
        """The size of the memory in bytes."""
        return sum(block.nbytes for block in self._blocks) + sum(part.nbytes for part in self._new)

    def restart(self, first: int) -> None:
        """Forgets everything: the next sample does not continue it, and belongs to frame `first`."""
        self.begin = self.oldest = first  # frame numbers: where the segment begins, and the oldest kept hop
        self.needed = None
        self._blocks: deque[Int16Array] = deque()
        self._filled = 0  # samples in the newest block
        self._new: list[FloatArray] = []  # samples that are not in a block yet
        self._waiting = 0  # number of them

    def push(self, samples: FloatArray) -> None:
        """Adds samples (n,) of full scale 1, which must not change afterwards."""
        self._new.append(samples)
        self._waiting += len(samples)
        if self._filled + self._waiting > self._hops * self._hop:
            self._convert()

    def _convert(self) -> None:
        """Moves the new samples into blocks."""
        if not self._new:
            return
        added, size = as_int16(np.concatenate(self._new)), self._hops * self._hop
        self._new, self._waiting = [], 0
        while len(added):
            if not self._blocks or self._filled == size:
                self._blocks.append(np.empty(size, np.int16))
                self._filled = 0
                self._drop_old()
            part = added[: size - self._filled]
            self._blocks[-1][self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            added = added[len(part) :]

    def cut(self, first: int, stop: int | None) -> Cut:
        """The sound from frame `first`, or from the oldest one that is kept, to frame `stop`; None: to the newest."""
        self._convert()
        first = max(first, self.oldest)
        skipped, within = divmod(first - self.oldest, self._hops)
        blocks = list(self._blocks)[skipped:]
        if blocks:
            blocks[0] = blocks[0][within * self._hop :]
        size = self._hops * self._hop
        there = max(0, sum(map(len, blocks)) - (size - self._filled))
        count = there if stop is None else min(there, max(0, stop - first) * self._hop)
        used = math.ceil((count + within * self._hop) / size)
        return Cut(first, tuple(blocks[:used]), count)

    def _drop_old(self) -> None:
        while len(self._blocks) > self._keep and (self.needed is None or self.oldest + self._hops <= self.needed):
            self._blocks.popleft()
            self.oldest += self._hops
