"""A lock-free ring buffer of samples between the thread of a source and the engine's thread."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
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
        self._column = channel if channel != "mix" else 0 if channels == 1 else None  # None: the mean of all

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

    def take_with(self, others: Sequence[RingReader], count: int, out: FloatArray) -> bool:
        """Reads the next `count` samples of this reader and of others of the same ring at the same position.

        Args:
            others: these readers.
            count: at most as many as are available.
            out: (1 + len(others), count), written: a row for each reader.

        Returns:
            whether they were read. If not, some were overwritten; nothing is changed, and `take` says what is lost.
        """
        ring, first = self.ring, self.read
        start, stop = first % ring.capacity, (first + count) % ring.capacity or ring.capacity
        if ring.claimed - first > ring.capacity:
            return False
        columns = [self._column, *(other._column for other in others)]
        if start < stop:
            _copy_columns(ring.samples[start:stop], columns, out)
        else:
            head = ring.capacity - start
            _copy_columns(ring.samples[start:], columns, out[:, :head])
            _copy_columns(ring.samples[:stop], columns, out[:, head:])
        if ring.claimed - first > ring.capacity:  # overwritten while they were copied
            return False
        self.read = first + count
        for other in others:
            other.read = first + count
        return True

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


def _copy_columns(block: FloatArray, columns: Sequence[int | None], out: FloatArray) -> None:
    """Copies columns of samples (n, channels), for None the mean of all, into the rows of `out` (len(columns), n)."""
    if len(columns) == 1 and columns[0] is not None:
        out[0] = block[:, columns[0]]
    elif columns == list(range(block.shape[1])):
        out[:] = block.T  # at once
    else:
        for row, column in zip(out, columns, strict=True):
            row[:] = select_channel(block, "mix" if column is None else column)
