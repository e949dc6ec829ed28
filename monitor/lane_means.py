"""The rolling mean of many streams that are not in step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

GOLDEN = (math.sqrt(5) - 1) / 2


class LaneMeans:
    """`monitor.scoring.RollingMean` of lanes that each have their own place in their block of `length` rows.

    Each row is divided by `length` when it comes. One array holds both blocks of a lane: the sum of the block before
    from row j on is not needed any more when row j comes, which takes its place. It never subtracts, so a loud moment
    leaves nothing behind, and no lane has to be reset: in a mean of `length` rows is nothing from before them.
    """

    def __init__(self, length: int, width: int, lanes: int, device: torch.device | str = "cpu") -> None:
        self._length = length
        # The slot behind the last is what the block before adds to a complete one: always 0.
        self._slots = torch.zeros(lanes, length + 1, width, dtype=torch.float64, device=device)
        # Of the rows of this block.
        self._prefix = torch.zeros(lanes, width, dtype=torch.float64, device=device)
        # Where each lane is in its block. Lanes in step would all complete theirs in the same push, which would be
        # late: they are spread evenly, however few or many they are.
        self._place = (torch.arange(lanes, dtype=torch.float64) * GOLDEN % 1 * length).long()

    def push(self, rows: Tensor, lanes: Tensor, means: Tensor) -> None:
        """Takes rows (n, k, width) of different lanes (n,), and writes for each the mean of the last `length`.

        `means`: (n, k, width) float64. It says nothing where a lane has had fewer than `length` rows.
        """
        device = self._slots.device
        flat = self._slots.view(-1, self._slots.shape[2])
        place, on_device = self._place[lanes], lanes.to(device)
        prefix = self._prefix[on_device]
        slots = (lanes * self._slots.shape[1] + place).to(device)
        left = self._length - place  # rows until the block is complete
        next_full = int(left.min())
        row, suffix = torch.empty_like(prefix), torch.empty_like(prefix)
        for number in range(rows.shape[1]):
            row.copy_(rows[:, number]).mul_(1 / self._length)
            following = slots + 1
            torch.index_select(flat, 0, following, out=suffix)
            torch.add(suffix, prefix.add_(row), out=means[:, number])
            flat.index_copy_(0, slots, row)
            slots = following
            if number + 1 == next_full:
                full = (left == next_full).nonzero()[:, 0]
                for lane in lanes[full].tolist():
                    to_suffixes(self._slots[lane, :-1])
                prefix[full.to(device)] = 0.0
                slots[full.to(device)] -= self._length
                left[full] += self._length
                next_full = int(left.min())
        self._prefix[on_device] = prefix
        self._place[lanes] = (place + rows.shape[1]) % self._length


def to_suffixes(block: Tensor) -> None:
    """Replaces row j of a block (length, width) by the sum of the rows from j on, in place.

    In groups of √length rows, all groups at once, then the sums of whole groups: a few dozen calls, where one by one
    would take `length`, and `cumsum` goes through memory column by column.
    """
    length, width = block.shape
    size = max(1, math.isqrt(length))
    odd = length % size  # rows before the first whole group
    groups = block[odd:].view(-1, size, width)
    for row in range(size - 2, -1, -1):
        groups[:, row].add_(groups[:, row + 1])
    for group in range(len(groups) - 2, -1, -1):
        groups[group].add_(groups[group + 1, 0])
    for row in range(odd - 1, -1, -1):
        block[row].add_(block[row + 1])
