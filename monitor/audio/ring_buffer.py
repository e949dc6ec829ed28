"""A lock-free ring buffer of samples between the thread of a source and the engine's thread."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from queue import Empty, SimpleQueue
from time import monotonic

import numpy as np

from monitor.audio.resampling import require_channel, select_channel
from monitor.config.setting_types import Channel
from monitor.core.types import FloatArray

NEVER = sys.maxsize


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
        self._awaited = NEVER  # `written` from which on a thread is woken that waits for samples
        self._wake: SimpleQueue[None] = SimpleQueue()

    def write(self, block: FloatArray) -> None:
        """Appends a block of samples (n, channels). Safe in an audio callback: it copies, and never waits.

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
        if self.written >= self._awaited:
            self._awaited = NEVER
            self._wake.put(None)

    def wait(self, written: int, timeout_s: float) -> None:
        """Waits until so many samples have been written, or for `timeout_s`; sometimes shorter. For one thread only."""
        self._awaited = written
        if self.written < written:  # otherwise they came before it was known that they are awaited
            with contextlib.suppress(Empty):
                self._wake.get(timeout=timeout_s)
        self._awaited = NEVER


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
        channels = ring.samples.shape[1]
        require_channel(channel, channels)
        self.column = channel if channel != "mix" else 0 if channels == 1 else None  # None: the mean of all

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

    def next(self, count: int) -> FloatArray:
        """The next samples (count,), of which as many have to be available: a view of the ring if possible.

        They may be overwritten at any time: only `advance` says, after they were copied, whether they were.
        """
        ring = self.ring
        start, stop = self.read % ring.capacity, self.read % ring.capacity + count
        if stop <= ring.capacity:
            return self._select(ring.samples[start:stop])
        return np.concatenate((self._select(ring.samples[start:]), self._select(ring.samples[: stop - ring.capacity])))

    def advance(self, count: int) -> bool:
        """Takes note that the next samples were read, unless some were overwritten: `take` says what is lost.

        Returns:
            whether none was.
        """
        if self.ring.claimed - self.read > self.ring.capacity:
            return False
        self.read += count
        return True

    def skip(self) -> int:
        """Skips all samples written so far; returns their number."""
        skipped = self.ring.written - self.read
        self.read += skipped
        return skipped

    def _select(self, block: FloatArray) -> FloatArray:
        # As `select_channel`, but faster: it is done for each stream in each turn.
        return block[:, self.column] if self.column is not None else select_channel(block, self.channel)

    def _skip_overrun(self) -> int:
        # Never a sample that is being overwritten, even if the writer's block is longer than half the ring.
        index = max(self.ring.written - self.ring.capacity // 2, self.ring.claimed - self.ring.capacity)
        skipped = index - self.read
        self.read = index
        return skipped


def read_rows(readers: Sequence[RingReader], out: FloatArray) -> list[bool]:
    """Reads the next samples of n readers, each of which has at least m available.

    Args:
        readers: the readers. Neighbours may share a ring.
        out: (n, m), contiguous, written: a row for each reader.

    Returns:
        of which readers they were read; of the others some were overwritten, and nothing is changed.
    """
    count, rings = out.shape[1], [reader.ring for reader in readers]
    starts = [0, *(i for i in range(1, len(rings)) if rings[i] is not rings[i - 1]), len(rings)]
    if len(starts) > len(rings):  # each has a ring of its own
        np.concatenate([reader.next(count) for reader in readers], out=out.reshape(-1))
    else:
        for start, stop in pairwise(starts):
            _copy_rows(readers[start:stop], out[start:stop])
    return [reader.advance(count) for reader in readers]


def _copy_rows(readers: Sequence[RingReader], out: FloatArray) -> None:
    """Copies the next samples of readers of one ring into the rows of `out` (n, m)."""
    ring, position, count = readers[0].ring, readers[0].read, out.shape[1]
    start = position % ring.capacity
    columns = [reader.column for reader in readers if reader.read == position]
    if columns == list(range(ring.samples.shape[1])) and start + count <= ring.capacity and len(columns) == len(out):
        out[:] = ring.samples[start : start + count].T  # at once
        return
    for row, reader in zip(out, readers, strict=True):
        row[:] = reader.next(count)
