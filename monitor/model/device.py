"""What the products of a model are computed in while it listens."""

from __future__ import annotations

import torch

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
WORTH_CASTING = 64  # streams of one model: with fewer there is time enough, and nothing to be gained by rounding


def listening_precision(wanted: str, streams: int, device: torch.device | str) -> str:
    """The name of what the windows of so many streams of a model are computed in: `listening.precision`.

    `auto` is bfloat16 where the processor multiplies it natively and there are many streams.
    """
    if wanted != "auto":
        return wanted
    return "bfloat16" if streams >= WORTH_CASTING and native_bfloat16(torch.device(device)) else "float32"


def native_bfloat16(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 itself instead of converting it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
