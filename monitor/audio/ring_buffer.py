"""A lock-free ring buffer of samples between the thread of a source and the engine's thread."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

import numpy as np

from monitor.audio.resampling import require_channel, select_channel
from monitor.config.setting_types import Channel
from monitor.core.types import FloatArray


@dataclass(frozen=True, slots=True)
class Taken:
    """Samples that were read from a ring."""

    samples: FloatArray  # (n,)
    first: int  # absolute sample index of samples[0]
    lost: int  # number of samples just before them that were overwritten before they could be read


class SampleRing:
    """A preallocated ring of samples for one writer; any number of `RingReader`s read it independently.

    Positions are absolute sample indices: the number of samples written before. The writer never waits; each reader
    counts the samples that were overwritten before it read them.

    Without a lock this relies on Python replacing an int attribute in one step. The writer advances `claimed` before
    it copies a block and `written` afterwards, so a reader can detect that samples were overwritten while it copied
    them.
    """

    def __init__(self, capacity: int, channels: int = 1) -> None:
        self.capacity = capacity
        self.claimed = 0
        self.written = 0
        self.written_at = 0.0  # time.monotonic() at the latest write
        self.samples = np.zeros((capacity, channels), np.float32)

    def write(self, block: FloatArray) -> None:
        """Appends a block of samples (n, channels). Safe in an audio callback: it only copies.

        Raises:
            ValueError: if the block is longer than the ring.
        """
        n = len(block)
        if n > self.capacity:
            raise ValueError(f"a block of {n} samples does not fit a ring of {self.capacity}")
        self.claimed = self.written + n
        start = self.written % self.capacity
        head = min(n, self.capacity - start)
        self.samples[start : start + head] = block[:head]
        if head < n:
            self.samples[: n - head] = block[head:]
        self.written_at = monotonic()
        self.written += n


class RingReader:
    """Reads one channel of a ring, at its own position. It blocks neither the writer nor other readers.

    Args:
        ring: the ring.
        channel: number of a channel, or "mix" for the mean of all.

    Raises:
        DataError: if the ring does not have the channel.
    """

    def __init__(self, ring: SampleRing, channel: Channel = "mix") -> None:
        self.ring, self.channel = ring, channel
        self.read = 0  # absolute index of the next sample to read
        require_channel(channel, ring.samples.shape[1])

    @property
    def written(self) -> int:
        """Number of samples written so far."""
        return self.ring.written

    @property
    def written_at(self) -> float:
        """time.monotonic() at the latest write."""
        return self.ring.written_at

    @property
    def available(self) -> int:
        """Number of samples written and not yet read, including those already overwritten."""
        return self.ring.written - self.read

    @property
    def free(self) -> int:
        """Number of samples that can be written now without overwriting unread ones of this reader."""
        return self.ring.capacity - self.available

    def take(self, max_count: int) -> Taken:
        """Reads the next samples, at most `max_count`, as a copy; none if there are none.

        After an overrun it continues with the newest half of the ring, so that it is not overrun again at once.
        """
        lost = 0
        if self.ring.claimed - self.read > self.ring.capacity:
            lost = self._skip_overrun()
        first = self.read
        n = min(max_count, self.ring.written - first)
        start = first % self.ring.capacity
        head = min(n, self.ring.capacity - start)
        samples = np.empty(n, np.float32)
        samples[:head] = select_channel(self.ring.samples[start : start + head], self.channel)
        samples[head:] = select_channel(self.ring.samples[: n - head], self.channel)
        if self.ring.claimed - first > self.ring.capacity:  # overwritten while they were copied
            lost += self._skip_overrun()
            return Taken(samples[:0], self.read, lost)
        self.read = first + n
        return Taken(samples, first, lost)

    def skip(self) -> int:
        """Skips all samples written so far; returns their number."""
        skipped = self.ring.written - self.read
        self.read += skipped
        return skipped

    def _skip_overrun(self) -> int:
        # Never a sample that is being overwritten, even if the writer's block is longer than half the ring.
        index = max(self.ring.written - self.ring.capacity // 2, self.ring.claimed - self.ring.capacity)
        skipped = index - self.read
        self.read = index
        return skipped
