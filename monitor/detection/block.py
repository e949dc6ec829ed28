"""Results of several streams with equal numbers of frames and of windows, and those that wait for a decision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.types import DoubleArray, FloatArray, IndexArray
from monitor.scoring.row_layout import RowLayout
from monitor.streaming.portion import BatchResult, Portion


@dataclass(frozen=True, slots=True)
class Block:
    """The next t frames and k windows of n streams."""

    frames: FloatArray  # (n, t, n_mels) power mel frames
    mean_square: DoubleArray  # (n, t) mean square of the samples in each frame
    error: FloatArray  # (n, k) reconstruction error of each window
    means: FloatArray  # (n, k, mean_width) rolling means of window statistics
    score: DoubleArray  # (n, k) anomaly scores
    layout: RowLayout
    rows: FloatArray | None = None  # (n, k, row_width) the window statistics; not of results that have waited

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The arrays of what is evaluated, in the order of the fields."""
        return self.frames, self.mean_square, self.error, self.means, self.score

    @property
    def size(self) -> int:
        """The larger one of t and k."""
        return max(int(self.frames.shape[1]), int(self.score.shape[1]))

    @classmethod
    def of(cls, arrays: Iterable[NDArray[Any]], layout: RowLayout, rows: FloatArray | None = None) -> Block:
        """A block of arrays in the order of the fields."""
        frames, mean_square, error, means, score = arrays
        return cls(frames, mean_square, error, means, score, layout, rows)

    @classmethod
    def of_portion(cls, portion: Portion, layout: RowLayout) -> Block:
        """The results of one stream."""
        arrays = (portion.frames, portion.mean_square, portion.error, portion.means, portion.score)
        return cls.of((one[None] for one in arrays), layout, portion.rows[None])

    @classmethod
    def of_result(cls, result: BatchResult, streams: IndexArray) -> Iterator[tuple[IndexArray, Block]]:
        """The valid results of a push of n streams (n,): blocks, and the numbers of their streams."""
        count, of_frames = result.score.shape[1], (result.frames, result.mean_square)
        of_rows = (result.layout.reconstruction_error(result.rows), result.means, result.score)
        valid = set(zip(result.valid_frames.tolist(), result.valid_rows.tolist(), strict=True))
        if valid == {(count, count)}:
            yield streams, cls.of((*of_frames, *of_rows), result.layout, result.rows)
            return
        for frames, rows in sorted(valid):
            which = np.flatnonzero((result.valid_frames == frames) & (result.valid_rows == rows))
            arrays = [one[which, count - frames :] for one in of_frames]
            arrays += [one[which, count - rows :] for one in of_rows]
            yield streams[which], cls.of(arrays, result.layout, result.rows[which, count - rows :])

    @classmethod
    def joined(cls, blocks: Sequence[Block], indices: IndexArray) -> Block:
        """Consecutive results of the same streams.

        Args:
            blocks: p blocks.
            indices: (n, p) where each stream is in each block.
        """
        pieces = [block.some(which) for block, which in zip(blocks, indices.T, strict=True)]
        if len(pieces) == 1:
            return pieces[0]
        arrays = zip(*(piece.arrays for piece in pieces), strict=True)
        return cls.of((np.concatenate(one, axis=1) for one in arrays), blocks[0].layout)

    @classmethod
    def stacked(cls, blocks: Sequence[Block]) -> Block:
        """Several streams with equal numbers of frames and windows."""
        if len(blocks) == 1:
            return blocks[0]
        return cls.of(map(np.concatenate, zip(*(block.arrays for block in blocks), strict=True)), blocks[0].layout)

    def some(self, which: IndexArray) -> Block:
        """What is evaluated of streams `which` (m,) of the block."""
        if len(which) == len(self.score) and np.array_equal(which, np.arange(len(which))):
            return self
        return Block.of((one[which] for one in self.arrays), self.layout)


@dataclass(slots=True)
class _Queue:
    """What waits of one stream."""

    left: int  # windows until the next decision is due
    blocks: list[Block] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)  # of the stream in each block


class Waiting:
    """Results of streams that no decision was due on yet. They are not copied until they are taken.

    Args:
        until_decision: returns the number of windows of a stream up to and including its next decision.
        most: pushes of a stream that wait at most, because they occupy memory.
    """

    def __init__(self, until_decision: Callable[[int], int], most: int) -> None:
        self._until_decision, self._most = until_decision, most
        self._queues: dict[int, _Queue] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, streams: Iterable[tuple[int, int]], block: Block) -> list[int]:
        """Adds results of streams, of which `streams` has the numbers, and the indices in the block.

        Returns:
            the numbers of those whose results have to be taken now.
        """
        queues, windows, due = self._queues, int(block.score.shape[1]), []
        for number, index in streams:
            queue = queues.get(number)
            if queue is None:
                queue = queues[number] = _Queue(self._until_decision(number))
            queue.blocks.append(block)
            queue.indices.append(index)
            queue.left -= windows
            if queue.left <= 0 or len(queue.blocks) >= self._most:
                due.append(number)
        return due

    def left(self, stream: int) -> int:
        """The number of windows of a stream up to and including its next decision, after those that wait."""
        queue = self._queues.get(stream)
        return self._until_decision(stream) if queue is None else queue.left

    def drop(self, stream: int) -> None:
        """Removes what waits of a stream."""
        self._queues.pop(stream, None)

    def take(self, streams: IndexArray) -> Iterator[tuple[IndexArray, Block]]:
        """Removes all that waits of streams (n,), and returns it: blocks, and the numbers of their streams."""
        # Streams that have been pushed together all the time are joined together.
        together: dict[tuple[int, ...], list[tuple[int, _Queue]]] = defaultdict(list)
        for stream in streams.tolist():
            if (queue := self._queues.pop(stream, None)) is not None:
                together[tuple(map(id, queue.blocks))].append((stream, queue))
        found: dict[tuple[int, int], list[tuple[list[int], Block]]] = defaultdict(list)
        for some in together.values():
            block = Block.joined(some[0][1].blocks, np.array([queue.indices for _, queue in some]))
            sizes = block.frames.shape[1], block.score.shape[1]
            found[sizes].append(([stream for stream, _ in some], block))
        for blocks in found.values():
            numbers = [stream for some, _ in blocks for stream in some]
            yield np.array(numbers), Block.stacked([block for _, block in blocks])
