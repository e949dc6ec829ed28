"""Rolling means of the rows of many streams, computed without subtraction (van Herk's algorithm)."""

from __future__ import annotations

import math

import numpy as np

from monitor.core.array_backend import NUMPY, ArrayBackend
from monitor.core.types import Array, IndexArray

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
        # Two more slots: slot `length` is the suffix sum behind the last row, always 0; slot `length + 1` takes rows of
        # the next block, which are written to their own slots later, and is never read.
        self._slots = backend.upload(np.zeros((streams, length + 2, width), np.float32))
        self._prefix = backend.upload(np.zeros((streams, width), np.float32))  # sum of the current block's rows
        # Rows in the current block of each stream. If all streams began at 0, all would complete their blocks in the
        # same push, which would then take too long. So they begin evenly spread. Streams with neighbouring numbers
        # complete their blocks together, and are neighbours in memory.
        self._block_position = np.arange(streams, dtype=np.int64) * length // max(1, streams)
        self._blocks_at_once = BLOCKS_AT_ONCE if backend.in_host_memory else max(1, streams)

    def push(self, rows: Array, streams: IndexArray, means: Array) -> None:
        """Adds the next rows of some streams, and computes the mean of the last `length` rows at each of them.

        Args:
            rows: (n, k, width) float32.
            streams: (n,) numbers of the streams, all different.
            means: (n, k, width) float32, written. Undefined until a stream has had `length` rows.
        """
        if self._length == 1:
            means[:] = rows
            return
        for start in range(0, rows.shape[1], self._length):
            part = slice(start, start + self._length)
            self._push(rows[:, part], streams, means[:, part])

    def _push(self, rows: Array, streams: IndexArray, means: Array) -> None:
        """As `push`, for at most `length` rows of each stream, so that no stream completes two blocks."""
        upload, length, xp = self._backend.upload, self._length, self._backend.xp
        count, width = rows.shape[1:]
        flat = self._slots.reshape((-1, width))
        first = streams[:, None] * (length + 2)
        position = self._block_position[streams][:, None] + np.arange(count)

        # The suffix sums of the previous block are read before the new rows overwrite them.
        suffix_slots = upload((first + np.minimum(position + 1, length)).ravel())
        suffix_sums = xp.take(flat, suffix_slots, axis=0).reshape(rows.shape)
        flat[upload((first + np.where(position < length, position, length + 1)).ravel())] = rows.reshape((-1, width))

        self._sum_complete_blocks(streams[position[:, -1] >= length - 1])
        number, step = np.nonzero(position >= length)  # rows of the next block
        if len(number):
            slot = first[number, 0] + position[number, step] - length
            number, step, next_slot = upload(number), upload(step), upload(slot + 1)
            suffix_sums[number, step] = flat[next_slot]
            flat[upload(slot)] = rows[number, step]

        indices = upload(streams)
        total = self._prefix[indices]
        starts_block = position == length
        any_starts, starts_block = starts_block.any(axis=0), upload(starts_block)
        for row in range(count):
            if any_starts[row]:
                total = xp.where(starts_block[:, row, None], xp.zeros_like(total), total)
            means[:, row] = total + rows[:, row]
            total = means[:, row]
        completed = upload(position[:, -1] == length - 1)
        self._prefix[indices] = xp.where(completed[:, None], xp.zeros_like(total), total)
        self._block_position[streams] = (position[:, -1] + 1) % length
        means += suffix_sums
        means *= 1 / length

    def _sum_complete_blocks(self, streams: IndexArray) -> None:
        """Replaces the complete blocks of these streams by their suffix sums, consecutive streams together."""
        numbers = np.sort(streams)
        done = 0
        while done < len(numbers):
            run = 1
            while (
                run < self._blocks_at_once and done + run < len(numbers) and numbers[done + run] == numbers[done] + run
            ):
                run += 1
            first = int(numbers[done])
            replace_by_suffix_sums(self._slots[first : first + run, : self._length])
            done += run


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
