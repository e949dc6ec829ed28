"""The training windows: all of them in memory if they fit, else loaded from disk in large portions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from monitor.config.schema import Config
from monitor.core.array_backend import sliding_rows
from monitor.core.types import FloatArray
from monitor.features.normalization import Normalization
from train.data.feature_cache import Frames
from train.data.standardization import BLOCK

MIN_BLOCKS = 16  # blocks in a portion, however little memory there is, so that its windows are different enough
MAX_ROWS = 2**22  # frames in a portion (1 GB): a thousand blocks are mixed, and the first portion is loaded soon
GPU_SHARE = 0.5  # share of the free GPU memory that windows may use


@dataclass(frozen=True, slots=True)
class _Block:
    """Consecutive windows of one recording: those centred on the frames `start` to `stop` - 1."""

    frames: Frames
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, size: int, into: FloatArray) -> None:
        """Reads the powers of all frames in the block's windows, with the article's padding at the recording's ends.

        Args:
            size: frames in a window.
            into: (len(self) + size - 1, n_mels), receives the powers.
        """
        total, half = len(self.frames.power), size // 2
        low, high = self.start - half, self.stop + half - 1
        power = np.array(self.frames.power[max(0, low) : min(high, total)])
        before, behind = max(0, -low), max(0, high - total)
        into[before : before + len(power)] = power
        if before:
            into[:before] = power[:before][::-1]
        if behind:
            into[-behind:] = power[-half:][::-1][:behind]


class WindowPortion:
    """Windows in host or device memory, which can be gathered in any order.

    Only the frames are stored, one after another: a window is a contiguous view of them.

    Args:
        frames: (rows, n_mels) normalised frames of all blocks, each block with those that its windows overlap.
        blocks: the blocks in `frames`.
        size: frames in a window.
    """

    def __init__(self, frames: Tensor, blocks: Sequence[_Block], size: int) -> None:
        self._windows = sliding_rows(frames[None], size)[0]
        lengths = [len(block) for block in blocks]
        offsets = np.concatenate(([0], np.cumsum(np.array(lengths) + size - 1)[:-1]))
        starts = [torch.arange(offset, offset + n) for offset, n in zip(offsets.tolist(), lengths, strict=True)]
        self._starts = torch.cat(starts).to(frames.device)

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def device(self) -> torch.device:
        """The device that holds the windows."""
        device: torch.device = self._windows.device
        return device

    def gather(self, index: Tensor, out: Tensor | None = None) -> Tensor:
        """Gathers normalised windows.

        Args:
            index: (B,) numbers of the windows, on `device`.
            out: (B, size · n_mels), receives the windows if given.

        Returns:
            windows (B, size · n_mels).
        """
        return torch.index_select(self._windows, 0, self._starts[index], out=out)


class WindowDataset:
    """All windows of recordings, one for each frame, with the article's padding at the ends of each recording.

    If all frames fit in memory (`train.memory_gb`, and half of the free memory of a GPU), they are loaded once, as one
    portion. Otherwise each epoch loads blocks of frames in a new random order, as many at a time as fit, and windows
    are shuffled within such a portion: the disk is read in blocks of up to a megabyte, and each portion mixes many
    recordings.
    """

    def __init__(
        self,
        recordings: Sequence[Frames],
        normalization: Normalization,
        config: Config,
        device: torch.device | str = "cpu",
        *,
        sharers: int = 1,
        max_windows: int | None = None,
    ) -> None:
        """Plans the blocks; frames are read later.

        Args:
            recordings: the recordings.
            normalization: computes on `device`.
            config: settings of the features and of the memory.
            device: where the windows are stored.
            sharers: number of processes on this machine that share the memory.
            max_windows: use evenly spaced blocks with about this many windows altogether; None: all windows.
        """
        self._size, self._n_mels = config.features.window_frames, config.features.n_mels
        self._device = torch.device(device)
        self._normalization = normalization
        on_gpu = self._device.type == "cuda"
        self._copy_stream = torch.cuda.Stream(self._device) if on_gpu else None  # type: ignore[no-untyped-call]
        blocks = [
            _Block(frames, start, min(start + BLOCK, len(frames.power)))
            for frames in recordings
            for start in range(0, len(frames.power), BLOCK)
        ]
        if max_windows is not None:
            blocks = blocks[:: max(1, sum(map(len, blocks)) // max_windows)]
        self._blocks = blocks
        self._count = sum(map(len, blocks))
        memory = config.train.memory_gb * 1e9 / sharers
        if on_gpu:
            memory = min(memory, GPU_SHARE * torch.cuda.mem_get_info(self._device)[0])
        rows = int(memory / (4 * self._n_mels))
        self.resident = self._count + len(blocks) * (self._size - 1) <= rows
        self._rows = min(rows // 2, MAX_ROWS)  # of a portion: while one is trained on, the next is loaded
        self._whole: WindowPortion | None = None

    def __len__(self) -> int:
        return self._count

    def plan(self) -> list[list[int]]:
        """Assigns blocks to the portions of an epoch; if there are several portions, at random by torch's generator.

        Returns:
            the numbers of the blocks in each portion.
        """
        if self.resident:
            return [list(range(len(self._blocks)))]
        plan: list[list[int]] = []
        rows = 0
        for number in torch.randperm(len(self._blocks)).tolist():
            needed = len(self._blocks[number]) + self._size - 1
            if not plan or (rows + needed > self._rows and len(plan[-1]) >= MIN_BLOCKS):
                plan.append([])
                rows = 0
            plan[-1].append(number)
            rows += needed
        return plan

    def windows(self, numbers: Sequence[int]) -> int:
        """The number of windows in the blocks of these numbers."""
        return sum(len(self._blocks[number]) for number in numbers)

    def portions(self, plan: Sequence[Sequence[int]]) -> Iterator[WindowPortion]:
        """Loads the portions of a plan one after another; the next one is loaded while one is in use."""
        if self.resident:
            if self._whole is None:
                blocks = [self._blocks[number] for number in plan[0]]
                self._whole = self._portion(self._read(blocks, self._buffer(blocks)), blocks)
            yield self._whole
            return
        parts = [[self._blocks[number] for number in numbers] for numbers in plan]
        buffers = [self._buffer(max(parts, key=_rows_of(self._size))) for _ in parts[:2]]
        with ThreadPoolExecutor(1) as reader:
            loading = reader.submit(self._read, parts[0], buffers[0])
            for number, blocks in enumerate(parts):
                frames = loading.result()
                if number + 1 < len(parts):
                    loading = reader.submit(self._read, parts[number + 1], buffers[(number + 1) % 2])
                yield self._portion(frames, blocks)

    def _buffer(self, blocks: Sequence[_Block]) -> Tensor:
        rows = _rows_of(self._size)(blocks)
        return torch.empty(rows, self._n_mels, pin_memory=self._copy_stream is not None)

    def _read(self, blocks: Sequence[_Block], buffer: Tensor) -> Tensor:
        # This thread uses numpy and file reads only: torch would start a second set of computing threads for it.
        into, offset = buffer.numpy(), 0
        for block in blocks:
            rows = len(block) + self._size - 1
            block.read(self._size, into[offset : offset + rows])
            offset += rows
        return self._upload(buffer[:offset])

    def _upload(self, power: Tensor) -> Tensor:
        """Copies powers to the device; to a GPU on a separate CUDA stream, so that training continues meanwhile."""
        if self._copy_stream is None:
            return power
        with torch.cuda.stream(self._copy_stream):
            on_device = power.to(self._device, non_blocking=True)
        # The training stream still uses this memory when Python has released the tensor.
        on_device.record_stream(torch.cuda.current_stream(self._device))
        self._copy_stream.synchronize()  # then the buffer can be filled again
        return on_device

    def _portion(self, frames: Tensor, blocks: Sequence[_Block]) -> WindowPortion:
        for chunk in torch.split(frames, 16 * BLOCK):
            chunk.copy_(self._normalization(chunk))
        return WindowPortion(frames, blocks, self._size)


def _rows_of(size: int) -> Callable[[Sequence[_Block]], int]:
    """A function that counts the frames of blocks, including those before and after that their windows overlap."""
    return lambda blocks: sum(len(block) + size - 1 for block in blocks)
