"""Random numbers of training steps. On a processor, drawing them value by value takes a fifth of a step's time."""

from __future__ import annotations

import torch
from torch import Tensor

POOL = 2**22  # random places in the pool of noise, at least
VALUES_A_DRAW = 4  # of 16 bits, which a mask takes from each draw of 64 bits


class NoisePool:
    """White noise for training steps, with mean 0 and variance 1.

    On a processor the first steps after `renew` get newly drawn numbers. When the pool is full, further steps get
    pieces of it from random places: they cost no time, and no window has the same noise twice but by rare chance.
    A GPU draws new numbers for every step, in less time than it would take to copy them.

    Args:
        batch: windows in a step, at most.
        window_size: numbers in a window.
        device: where to draw.
    """

    def __init__(self, batch: int, window_size: int, device: torch.device) -> None:
        self._window_size, self._device = window_size, device
        # Of whole steps, and so large that there are POOL places to begin a step at.
        steps = 1 + -(-POOL // (batch * window_size)) if device.type != "cuda" else 0
        self._values = torch.empty(steps * batch * window_size)
        self._drawn = 0

    def renew(self) -> None:
        """Forgets the numbers, so that what follows depends only on the state of torch's generator."""
        self._drawn = 0

    def take(self, windows: int) -> Tensor:
        """Noise for a step (windows, window_size), which must not be changed."""
        if self._device.type == "cuda":
            return torch.randn(windows, self._window_size, device=self._device)
        count = windows * self._window_size
        if self._drawn + count <= len(self._values):
            piece = self._values[self._drawn : self._drawn + count].normal_()
            self._drawn += count
        else:
            start = int(torch.randint(self._drawn - count + 1, ()))
            piece = self._values[start : start + count]
        return piece.view(windows, self._window_size)


def dropout_mask(rows: int, features: int, keep: float, like: Tensor) -> Tensor:
    """A mask (rows, features) of ones with probability `keep`, else zeros, with the data type and device of `like`.

    On a processor the probability is a multiple of 1 / 65,536, because four values share a draw of 64 bits.
    """
    if like.device.type == "cuda":
        return torch.empty(rows, features, dtype=like.dtype, device=like.device).bernoulli_(keep)
    count = rows * features
    draws = torch.empty(-(-count // VALUES_A_DRAW), dtype=torch.int64).random_(-(2**63), None)
    uniform = draws.view(torch.int16)[:count].view(rows, features)  # from -32768 to 32767
    ones = uniform <= round(keep * 2**16) - 2**15 - 1
    return ones.view(torch.uint8).to(like.dtype)  # ten times as fast as from bool
