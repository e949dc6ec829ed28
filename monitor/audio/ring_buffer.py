"""SampleRing: where the thread that hears hands samples to the thread that computes, for one stream or several."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

import numpy as np

from monitor.core.snapshot import FloatArray


@dataclass(frozen=True, slots=True)
class Taken:
    """Samples out of the ring: `samples` (n, channels) begin at absolute sample index `first`.

    `lost` samples just before them were overwritten before they could be read.
    """

    samples: FloatArray
    first: int
    lost: int


class SampleRing:
    """A preallocated ring of samples for one writer, without a lock. It has one reader; `RingReader` is a further one.

    Time is the absolute sample index: the number of samples written before. The writer never waits; what it
    overruns is counted and told to the reader. It relies on an int attribute being replaced in one step, which
    Python promises: `claimed` moves before the copy and `written` after it, so that the reader can tell whether
    what it copied was being overwritten meanwhile.
    """

    def __init__(self, capacity: int, channels: int = 1) -> None:
        self.capacity = capacity
        self.claimed = 0
        self.written = 0
        self.written_at = 0.0  # the monotonic clock at the newest write
        self.samples = np.zeros((capacity, channels), np.float32)
        self._reader = RingReader(self)

    def write(self, block: FloatArray) -> None:
        """Appends a block of (n, channels) samples. Safe in an audio callback: it only copies.

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

    @property
    def free(self) -> int:
        """Samples that can be written now without overrunning the reader."""
        return self.capacity - (self.written - self.read)

    @property
    def read(self) -> int:
        """Samples that have been read, or left unread for good."""
        return self._reader.read

    @property
    def available(self) -> int:
        """As `RingReader.available`."""
        return self._reader.available

    def take(self, most: int) -> Taken:
        """As `RingReader.take`."""
        return self._reader.take(most)

    def skip(self) -> int:
        """As `RingReader.skip`."""
        return self._reader.skip()


class RingReader:
    """One reader's place in a ring. Several read the same ring, each at its own pace; none of them holds up another."""

    def __init__(self, ring: SampleRing) -> None:
        self.ring = ring
        self.read = 0

    @property
    def written(self) -> int:
        """Samples written so far."""
        return self.ring.written

    @property
    def written_at(self) -> float:
        """The monotonic clock at the newest write."""
        return self.ring.written_at

    @property
    def available(self) -> int:
        """Samples written and not yet read, those already overwritten included."""
        return self.ring.written - self.read

    def take(self, most: int) -> Taken:
        """The next samples, at most `most` of them, as a copy; none if there are none.

        After an overrun it goes on with the newest half ring, so that the writer does not overrun it again at once.
        """
        lost = 0
        if self.ring.claimed - self.read > self.ring.capacity:
            lost = self._skip()
        first = self.read
        n = min(most, self.ring.written - first)
        start = first % self.ring.capacity
        head = min(n, self.ring.capacity - start)
        samples = np.concatenate((self.ring.samples[start : start + head], self.ring.samples[: n - head]))
        if self.ring.claimed - first > self.ring.capacity:  # overrun while we copied
            lost += self._skip()
            return Taken(samples[:0], self.read, lost)
        self.read = first + n
        return Taken(samples, first, lost)

    def skip(self) -> int:
        """Leaves all that has been written unread; returns how many samples that were."""
        skipped = self.ring.written - self.read
        self.read += skipped
        return skipped

    def _skip(self) -> int:
        # Never back into what is being overwritten, however long the block that the writer is at.
        index = max(self.ring.written - self.ring.capacity // 2, self.ring.claimed - self.ring.capacity)
        skipped = index - self.read
        self.read = index
        return skipped


Readable = SampleRing | RingReader
