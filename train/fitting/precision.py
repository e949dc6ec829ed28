"""Chooses the batch size and the precision of training steps."""

from __future__ import annotations

import torch

from monitor.config.schema import Train
from monitor.model.device import native_bfloat16

MIN_STEPS = 32  # in an epoch: with fewer, a model of little data is not converged after the default number of epochs
MIN_BATCH = 16  # windows: with fewer, the statistics of batch norm are too noisy
MIN_BFLOAT16_BATCH = 512  # windows: steps have fewer where there is little sound, and training is short in float32, too


def windows_per_step(train: Train, windows: int) -> int:
    """The number of windows in a training step.

    It is `train.batch_size`, or 1/32 of all `windows` if that is less, so that an epoch has 32 steps; at least 16.
    """
    return min(train.batch_size, max(MIN_BATCH, windows // MIN_STEPS))


def step_dtype(train: Train, batch: int, device: torch.device) -> torch.dtype:
    """The data type of the matrix products in a training step of `batch` windows, as `train.precision` says.

    `auto` is bfloat16 if the device multiplies it natively and the batch is large enough to be faster with it.
    """
    if train.precision == "auto":
        return torch.bfloat16 if batch >= MIN_BFLOAT16_BATCH and native_bfloat16(device) else torch.float32
    return torch.bfloat16 if train.precision == "bfloat16" else torch.float32
