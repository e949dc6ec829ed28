"""The windows to train on, ready to be gathered: all of them where they fit in memory, in large portions where not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from monitor.config.schema import Config
from monitor.features.mel import Scale, overlapping_windows
from monitor.core.snapshot import FloatArray
from train.data.feature_store import FrameFile
from train.data.feature_cache import Frames

BLOCK = 4096  # frames that are read at once: long enough for a disk, short enough to mix
LEAST_BLOCKS = 16  # of a portion, however little memory there is: windows of fewer would be too much alike
MOST_ROWS = 2**22  # frames of a portion, a gigabyte: thousands of places are mixed, and the first is read soon
GPU_SHARE = 0.5  # of the free memory of a GPU, for windows


def standardization(recordings: Sequence[Frames], config: Config) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each band over all frames, in the scale of the settings: both (n_mels,) float32.

    Zeros and ones where `features.standardize` is off.
    """
    n_mels = config.features.n_mels
    if not config.features.standardize:
        return torch.zeros(n_mels), torch.ones(n_mels)
    scale = Scale(config.features)
    count, total, squares = 0, torch.zeros(n_mels, dtype=torch.float64), torch.zeros(n_mels, dtype=torch.float64)
    # About the first recording's mean, so that the squares do not cancel.
    pivot = scale.unstandardized(_tensor(recordings[0].power[:BLOCK])).double().mean(dim=0)
    for frames in recordings:
        for start in range(0, len(frames.power), BLOCK):
            values = scale.unstandardized(_tensor(frames.power[start : start + BLOCK])).double() - pivot
            count += len(values)
            total += values.sum(dim=0)
            squares += values.square().sum(dim=0)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
    # A band without any sound has no deviation: leave it as it is instead of dividing by zero.
    deviation = torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))
    return (mean + pivot).float(), deviation.float()


@dataclass(frozen=True, slots=True)
class _Block:
    """A run of windows of one recording: those of frames `start` to `stop`."""

    frames: Frames
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, size: int, into: FloatArray) -> None:
        """The power of all frames in windows of `size`, with the article's padding: into (len + size - 1, n_mels)."""
        total, half = len(self.frames.power), size // 2
        low, high = self.start - half, self.stop + half - 1
        power = np.array(self.frames.power[max(0, low) : min(high, total)])
        before, behind = max(0, -low), max(0, high - total)
        into[before : before + len(power)] = power
        if before:
            into[:before] = power[:before][::-1]
        if behind:
            into[-behind:] = power[-half:][::-1][:behind]


class Portion:
    """Windows that are in memory, of the processor or of the GPU, and can be gathered in any order.

    Frames lie one after another, and a window is a contiguous run of them, so none is stored.
    """

    def __init__(self, frames: Tensor, blocks: Sequence[_Block], size: int) -> None:
        self._windows = overlapping_windows(frames[None], size)[0]
        lengths = [len(block) for block in blocks]
        offsets = np.concatenate(([0], np.cumsum(np.array(lengths) + size - 1)[:-1]))
        starts = [torch.arange(offset, offset + n) for offset, n in zip(offsets.tolist(), lengths, strict=True)]
        self._starts = torch.cat(starts).to(frames.device)

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def device(self) -> torch.device:
        """Where the windows are."""
        return self._windows.device

    def gather(self, index: Tensor, out: Tensor | None = None) -> Tensor:
        """The windows of the given numbers (B,), scaled: (B, W · n_mels); into `out` where there is one."""
        return torch.index_select(self._windows, 0, self._starts[index], out=out)


class WorkSet:
    """All windows of some recordings, one per frame, with the article's padding at each recording's ends.

    Where the frames fit in memory (`train.memory_gb`, and half of what a GPU has left) they are one portion, read
    once. Where not, every epoch reads blocks of frames in a new order, as many at a time as fit, and windows are
    mixed among those: a disk is read in runs of a megabyte, and a portion holds thousands of places in the set.
    """

    def __init__(
        self,
        recordings: Sequence[Frames],
        scale: Scale,
        config: Config,
        device: torch.device | str = "cpu",
        *,
        sharers: int = 1,
        most: int | None = None,
    ) -> None:
        """Reads nothing yet.

        Args:
            sharers: processes on this machine that share the memory.
            most: take evenly spaced blocks, about so many windows in all; None takes every window.
        """
        self._size, self._n_mels = config.features.window_frames, config.features.n_mels
        self._device = torch.device(device)
        self._scale = scale.to(self._device)
        on_gpu = self._device.type == "cuda"
        self._sending = torch.cuda.Stream(self._device) if on_gpu else None  # type: ignore[no-untyped-call]
        blocks = [
            _Block(frames, start, min(start + BLOCK, len(frames.power)))
            for frames in recordings
            for start in range(0, len(frames.power), BLOCK)
        ]
        if most is not None:
            blocks = blocks[:: max(1, sum(map(len, blocks)) // most)]
        self._blocks = blocks
        self._count = sum(map(len, blocks))
        room = config.train.memory_gb * 1e9 / sharers
        if on_gpu:
            room = min(room, GPU_SHARE * torch.cuda.mem_get_info(self._device)[0])
        rows = int(room / (4 * self._n_mels))
        self.resident = self._count + len(blocks) * (self._size - 1) <= rows
        self._rows = min(rows // 2, MOST_ROWS)  # of a portion: while one is trained on, the next is read
        self._whole: Portion | None = None

    def __len__(self) -> int:
        return self._count

    def plan(self) -> list[list[int]]:
        """Which blocks make up each portion of an epoch, drawn from torch's generator where there are several."""
        if self.resident:
            return [list(range(len(self._blocks)))]
        plan: list[list[int]] = []
        rows = 0
        for number in torch.randperm(len(self._blocks)).tolist():
            needed = len(self._blocks[number]) + self._size - 1
            if not plan or (rows + needed > self._rows and len(plan[-1]) >= LEAST_BLOCKS):
                plan.append([])
                rows = 0
            plan[-1].append(number)
            rows += needed
        return plan

    def windows(self, numbers: Sequence[int]) -> int:
        """How many windows these blocks have."""
        return sum(len(self._blocks[number]) for number in numbers)

    def portions(self, plan: Sequence[Sequence[int]]) -> Iterator[Portion]:
        """The portions of a plan, one after another; the next is read while one is used."""
        if self.resident:
            if self._whole is None:
                blocks = [self._blocks[number] for number in plan[0]]
                self._whole = self._portion(self._read(blocks, self._buffer(blocks)), blocks)
            yield self._whole
            return
        parts = [[self._blocks[number] for number in numbers] for numbers in plan]
        buffers = [self._buffer(max(parts, key=_rows_of(self._size))) for _ in parts[:2]]
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self._read, parts[0], buffers[0])
            for number, blocks in enumerate(parts):
                frames = coming.result()
                if number + 1 < len(parts):
                    coming = reader.submit(self._read, parts[number + 1], buffers[(number + 1) % 2])
                yield self._portion(frames, blocks)

    def _buffer(self, blocks: Sequence[_Block]) -> Tensor:
        rows = _rows_of(self._size)(blocks)
        return torch.empty(rows, self._n_mels, pin_memory=self._sending is not None)

    def _read(self, blocks: Sequence[_Block], buffer: Tensor) -> Tensor:
        # Only numpy here, and the reading of files: torch would bring a second set of threads to the processors.
        into, offset = buffer.numpy(), 0
        for block in blocks:
            rows = len(block) + self._size - 1
            block.read(self._size, into[offset : offset + rows])
            offset += rows
        return self._sent(buffer[:offset])

    def _sent(self, power: Tensor) -> Tensor:
        """Power on the device: on a GPU by a stream of its own, while what is there already is trained on."""
        if self._sending is None:
            return power
        with torch.cuda.stream(self._sending):
            there = power.to(self._device, non_blocking=True)
        # Training reads it until after the next one has come.
        there.record_stream(torch.cuda.current_stream(self._device))
        self._sending.synchronize()  # the buffer is free for others
        return there

    def _portion(self, frames: Tensor, blocks: Sequence[_Block]) -> Portion:
        for chunk in torch.split(frames, 16 * BLOCK):
            chunk.copy_(self._scale(chunk))
        return Portion(frames, blocks, self._size)


def _rows_of(size: int) -> Callable[[Sequence[_Block]], int]:
    """How many frames blocks take up, with those of neighbours that their windows need."""
    return lambda blocks: sum(len(block) + size - 1 for block in blocks)


def _tensor(array: FloatArray | FrameFile) -> Tensor:
    return torch.from_numpy(np.array(array))  # a copy: torch does not take read-only maps
