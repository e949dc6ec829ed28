"""The choice of the device and the precision that the autoencoder is computed with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.core.errors import ConfigError

if TYPE_CHECKING:
    import torch

BFLOAT16_STREAMS = 64  # of one model: fewer streams are fast enough in float32, which rounds less


def choose_device(requested: str) -> torch.device:
    """The torch device for a setting.

    Args:
        requested: "auto" (a GPU if torch can use one, otherwise the processor), "cpu" or "cuda".

    Raises:
        ConfigError: if "cuda" is requested and torch can use no GPU.
    """
    import torch

    if requested == "cuda" and not torch.cuda.is_available():
        raise ConfigError("There is no GPU here that PyTorch can use: set train.device to cpu or auto.")
    return torch.device("cuda" if requested != "cpu" and torch.cuda.is_available() else "cpu")


def listening_device(requested: str) -> torch.device | str:
    """As `choose_device`, but without importing torch if there is no GPU: listening on a processor does not need it."""
    if requested == "cpu" or (requested == "auto" and "torch" not in sys.modules and not gpu_driver_loaded()):
        return "cpu"
    return choose_device(requested)


def gpu_driver_loaded() -> bool:
    """Whether the system has a driver for a GPU that torch might be able to use. Always true on Windows."""
    if sys.platform == "linux":
        return Path("/proc/driver/nvidia/version").exists() or Path("/dev/kfd").exists() or Path("/dev/dxg").exists()
    return sys.platform == "win32"


def listening_precision(requested: str, streams: int, device: torch.device | str) -> str:
    """The precision of the network while listening: "float32" or "bfloat16".

    Args:
        requested: as `listening.precision`. "auto" is bfloat16 if there are at least `BFLOAT16_STREAMS` streams and the
            device multiplies bfloat16 natively, otherwise float32.
        streams: number of streams of one model.
        device: where the network is computed.
    """
    if requested != "auto":
        return requested
    if streams < BFLOAT16_STREAMS:
        return "float32"
    return "bfloat16" if native_bfloat16(device) else "float32"


def native_bfloat16(device: torch.device | str) -> bool:
    """Whether the device has instructions to multiply bfloat16, instead of converting it to float32 first."""
    import torch

    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
