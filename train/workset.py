"""The windows to train on, ready to be gathered: resident in memory where they fit, memory-mapped where not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from monitor.config import Config
from monitor.features import Scale, overlapping_windows
from train.frames import Frames


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
    pivot = scale.unstandardized(_tensor(recordings[0].power)).double().mean(dim=0)
    for frames in recordings:
        values = scale.unstandardized(_tensor(frames.power)).double() - pivot
        count += len(values)
        total += values.sum(dim=0)
        squares += values.square().sum(dim=0)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
    # A band without any sound has no deviation: leave it as it is instead of dividing by zero.
    deviation = torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))
    return (mean + pivot).float(), deviation.float()


class WorkSet:
    """All windows of some recordings, one per frame, with the article's padding at each recording's ends.

    The padded frames lie one after another; a window is a contiguous run of them, so a batch is gathered without
    any window being stored.
    """

    def __init__(self, recordings: Sequence[Frames], scale: Scale, config: Config, spill: Path) -> None:
        size = config.features.window_frames
        half = size // 2
        total = sum(len(frames.power) + size - 1 for frames in recordings)
        shape = (total, config.features.n_mels)
        self.resident = total * shape[1] * 4 <= config.train.memory_gb * 1e9
        if self.resident:
            self._spill = None
            padded = np.empty(shape, np.float32)
        else:
            self._spill = spill
            spill.parent.mkdir(parents=True, exist_ok=True)
            padded = np.memmap(spill, np.float32, "w+", shape=shape)
        self._scale = scale
        starts: list[Tensor] = []
        offset = 0
        for frames in recordings:
            power = frames.power
            count = len(power)
            rows = padded[offset : offset + count + size - 1]
            rows[:half], rows[half : half + count] = power[:half][::-1], power
            rows[half + count :] = power[-half:][::-1][: half - 1]
            starts.append(torch.arange(offset, offset + count))
            offset += len(rows)
        self.starts = torch.cat(starts)
        frames_tensor = torch.from_numpy(padded)
        if self.resident:
            for chunk in torch.split(frames_tensor, 65536):
                chunk.copy_(scale(chunk))
        self._windows = overlapping_windows(frames_tensor[None], size)[0]
        self._n_mels = config.features.n_mels

    def __len__(self) -> int:
        return len(self.starts)

    def gather(self, index: Tensor) -> Tensor:
        """The windows of the given numbers (B,), scaled: (B, W · n_mels)."""
        windows = self._windows[self.starts[index]]
        if self.resident:
            return windows
        return self._scale(windows.view(len(index), -1, self._n_mels)).flatten(1)

    def close(self) -> None:
        """Removes what was written to disk."""
        if self._spill is not None:
            self._spill.unlink(missing_ok=True)


def _tensor(array: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Tensor:
    return torch.from_numpy(np.array(array))  # a copy: torch does not take read-only maps
