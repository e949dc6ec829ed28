"""How many windows a training step takes, and what it computes in."""

from __future__ import annotations

import contextlib

import torch

from monitor.config.schema import Train
from monitor.model.device import native_bfloat16

LEAST_STEPS = 32  # of an epoch: with fewer, little data is left half learnt after the default 20 epochs
LEAST_BATCH = 16  # windows; batch norm's statistics mean nothing with fewer
WORTH_CASTING = 512  # windows: with fewer, casting the weights takes what the products gain


def windows_a_step(train: Train, windows: int) -> int:
    """`train.batch_size`, but no more than a 32nd of the windows there are, so that an epoch has 32 steps."""
    return min(train.batch_size, max(LEAST_BATCH, windows // LEAST_STEPS))


def arithmetic(train: Train, batch: int, device: torch.device) -> torch.dtype:
    """What the products of a training step of `batch` windows are computed in: `train.precision`.

    `auto` is bfloat16 where the processor multiplies it natively and the batch is large enough to gain by it.
    """
    if train.precision == "auto":
        return torch.bfloat16 if batch >= WORTH_CASTING and native_bfloat16(device) else torch.float32
    return torch.bfloat16 if train.precision == "bfloat16" else torch.float32


def casting(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[object]:
    """The context in which a forward pass computes its products in `dtype`; weights stay float32."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)
