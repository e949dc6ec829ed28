"""Rolling means of the rows of many streams, computed without subtraction (van Herk's algorithm)."""

from __future__ import annotations

import math

import numpy as np

from monitor.core.array_backend import NUMPY, ArrayBackend, numbers_of, on_device, run_or_numbers
from monitor.core.types import Array, IndexArray

BLOCKS_TOGETHER = 8  # streams with neighbouring numbers that complete their blocks in the same push
BLOCKS_AT_ONCE = 4  # blocks that are summed together on a processor: more would not fit into its cache


class RollingMeans:
    """Computes the mean of the last `length` rows of each of `streams` streams.

    The rows of a stream are divided into blocks of `length` rows. The last `length` rows are always the end of the
    previous block and the beginning of the current one, so their sum is a suffix sum of the previous block plus a
    prefix sum of the current block (van Herk, 1992). As nothing is subtracted, a large value leaves no rounding error
    behind once it has left the mean, and the result depends only on the rows, not on how they are divided into pushes.
    A stream needs no reset, because a mean of `length` rows contains nothing older.

    A stream needs memory for only one block: slot j holds the suffix sum of the previous block from row j on, until row
    j of the current block arrives and takes its place. Values are float32, like the rows, because the computation is
    limited by memory bandwidth.

    Args:
        length: rows in a mean.
        width: numbers in a row.
        streams: number of streams.
        backend: where to compute.
    """

    def __init__(self, length: int, width: int, streams: int = 1, backend: ArrayBackend = NUMPY) -> None:
        self._length, self._backend = length, backend
        # One more slot: the suffix sum behind the last row of a block, always 0.
        self._slots = backend.upload(np.zeros((streams, length + 1, width), np.float32))
        self._prefix = backend.upload(np.zeros((streams, width), np.float32))  # sum of the current block's rows
        # Rows in the current block of each stream. If all streams began at 0, all would complete their blocks in the
        # same push, which would then take too long on a processor. So there they begin evenly spread. A few with
        # neighbouring numbers, which are neighbours in memory, complete their blocks together.
        number = np.arange(streams, dtype=np.int64) // BLOCKS_TOGETHER * BLOCKS_TOGETHER
        self._block_position = number * length // max(1, streams) if backend.in_host_memory else number * 0
        self._blocks_at_once = BLOCKS_AT_ONCE if backend.in_host_memory else max(1, streams)

    def push(self, rows: Array, streams: IndexArray | slice, means: Array) -> None:
        """Adds the next rows of some streams, and computes the mean of the last `length` rows at each of them.

        Args:
            rows: (n, k, width) float32.
            streams: (n,) numbers of the streams, all different, or a slice if they follow one another.
            means: (n, k, width) float32, written. Undefined until a stream has had `length` rows.
        """
        if self._length == 1:
            means[:] = rows
            return
        which = run_or_numbers(streams)
        position, start, count = self._block_position[which], 0, rows.shape[1]
        while start < count:
            # No further than to the next end of a block of any stream.
            stop = min(count, start + self._length - int(position.max()))
            self._push(rows[:, start:stop], which, position, means[:, start:stop])
            position = (position + (stop - start)) % self._length
            start = stop
        self._block_position[which] = position
        means *= 1 / self._length

    def _push(self, rows: Array, streams: IndexArray | slice, position: IndexArray, means: Array) -> None:
        """As `push`, for rows that end no later than the current block of any stream, and without dividing the sums.

        `position` (n,) is the number of rows that each stream has in its current block.
        """
        upload, add, count = self._backend.upload, self._backend.xp.add, rows.shape[1]
        which = on_device(streams, self._backend)
        total = self._prefix[which]
        for step in range(count):
            total = add(total, rows[:, step], out=means[:, step])
        self._prefix[which] = total
        # The suffix sums of the previous block are read before the new rows overwrite them.
        if isinstance(streams, slice) and (position == position[0]).all():
            first = int(position[0])
            means += self._slots[which, first + 1 : first + count + 1]
            self._slots[which, first : first + count] = rows
        else:
            slots = upload(position[:, None] + np.arange(count))
            numbers = upload(numbers_of(streams)[:, None])
            means += self._slots[numbers, slots + 1]
            self._slots[numbers, slots] = rows
        complete = np.flatnonzero(position + count == self._length)
        if len(complete):
            numbers = numbers_of(streams)[complete]
            self._prefix[on_device(run_or_numbers(numbers), self._backend)] = 0.0
            self._sum_complete_blocks(numbers)

    def _sum_complete_blocks(self, streams: IndexArray) -> None:
        """Replaces the complete blocks of these streams by their suffix sums, consecutive streams together."""
        numbers = np.sort(streams)
        for run in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1):
            stop = int(run[-1]) + 1
            for first in range(int(run[0]), stop, self._blocks_at_once):
                last = min(stop, first + self._blocks_at_once)
                replace_by_suffix_sums(self._slots[first:last, : self._length])


def replace_by_suffix_sums(blocks: Array) -> None:
    """Replaces row j of each block (n, length, width) by the sum of rows j, j + 1, … of the block, in place.

    Rows are added within groups of √length rows, in all groups at once, and then the sums of whole groups. That takes
    about 3 · √length array operations instead of `length`. A library's cumulative sum is slower, because it goes
    through the memory of a block column by column.
    """
    length = blocks.shape[1]
    size = max(1, math.isqrt(length))
    remainder = length % size  # rows before the first group
    for row in range(size - 2, -1, -1):
        blocks[:, remainder + row :: size] += blocks[:, remainder + row + 1 :: size]
    for group in range(length - 2 * size, remainder - 1, -size):
        blocks[:, group : group + size] += blocks[:, group + size : group + size + 1]
    for row in range(remainder - 1, -1, -1):
        blocks[:, row] += blocks[:, row + 1]
