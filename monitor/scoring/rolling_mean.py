"""The rolling mean of many streams that are not in step."""

from __future__ import annotations

import torch
from torch import Tensor

from monitor.scoring.scorer import to_suffixes
from monitor.model.cuda_transfer import Transfers

REBUILT = 4  # blocks that are summed together: with more they leave the processor's cache


class LaneMeans:
    """`monitor.scoring.scorer.RollingMean` of lanes that each have their own place in their block of `length` rows.

    One array holds both blocks of a lane: the sum of the block before from row j on is not needed any more when row j
    comes, which takes its place. It never subtracts, so a loud moment leaves nothing behind, and no lane has to be
    reset: in a mean of `length` rows is nothing from before them.
    """

    def __init__(self, length: int, width: int, lanes: int, transfers: Transfers) -> None:
        self._length, self._up = length, transfers.up
        self._rebuilt = lanes if transfers.needed else REBUILT
        # All in single precision, as the rows are: what limits it is memory. Behind the last slot: what the block
        # before adds to a complete one, always 0; and where rows go that have no place yet.
        self._slots = torch.zeros(lanes, length + 2, width, device=transfers.device)
        # Of the rows of this block.
        self._prefix = torch.zeros(lanes, width, device=transfers.device)
        # Where each lane is in its block. Lanes in step would all complete theirs in the same push, which would be
        # late: they are spread evenly. Neighbours complete theirs together, and are neighbours in memory.
        self._place = torch.arange(lanes) * length // max(1, lanes)

    def push(self, rows: Tensor, lanes: Tensor, means: Tensor) -> None:
        """Takes rows (n, k, width) of different lanes (n,), and writes for each the mean of the last `length`.

        `means`: (n, k, width) float32. It says nothing where a lane has had fewer than `length` rows.
        """
        for start in range(0, rows.shape[1], self._length):
            part = slice(start, start + self._length)
            self._push(rows[:, part], lanes, means[:, part])

    def _push(self, rows: Tensor, lanes: Tensor, means: Tensor) -> None:
        """As `push`, of as many rows that no lane completes its block twice."""
        up, length, count = self._up, self._length, rows.shape[1]
        flat = self._slots.view(-1, self._slots.shape[2])
        first = lanes[:, None] * self._slots.shape[1]
        position = self._place[lanes][:, None] + torch.arange(count)
        following = up((first + (position + 1).clamp_max(length)).flatten())
        means.copy_(flat.index_select(0, following).view(rows.shape))
        own = first + torch.where(position < length, position, length + 1)
        flat.index_copy_(0, up(own.flatten()), rows.flatten(0, 1))

        complete = position[:, -1] >= length - 1
        self._rebuild(lanes[complete])
        number, step = (position >= length).nonzero(as_tuple=True)  # rows of the next block
        if len(number):
            place = up(first[number, 0] + position[number, step] - length)
            number, step = up(number), up(step)
            means[number, step] = flat[place + 1]
            flat[place] = rows[number, step]

        on_device = up(lanes)
        prefix = self._prefix[on_device]
        begins = position == length
        beginning, begins = begins.any(dim=0).tolist(), up(begins)[..., None]
        for j in range(count):
            if beginning[j]:
                prefix.masked_fill_(begins[:, j], 0.0)
            prefix.add_(rows[:, j], alpha=1 / length)
            means[:, j].add_(prefix)
        prefix.masked_fill_(up(position[:, -1:] == length - 1), 0.0)
        self._prefix[on_device] = prefix
        self._place[lanes] = (position[:, -1] + 1) % length

    def _rebuild(self, lanes: Tensor) -> None:
        """Turns the complete blocks of these lanes into what they add to the next ones."""
        numbers = sorted(lanes.tolist())
        done = 0
        while done < len(numbers):
            run = 1
            while run < self._rebuilt and done + run < len(numbers) and numbers[done + run] == numbers[done] + run:
                run += 1
            blocks = self._slots[numbers[done] : numbers[done] + run, : self._length]
            to_suffixes(blocks.mul_(1 / self._length))
            done += run
