"""The choice of the device that the autoencoder is computed on, and what it can do."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.core.errors import ConfigError

if TYPE_CHECKING:
    import torch


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
    """As `choose_device`, but without importing torch if there is no GPU: listening on a processor does not need it.

    "auto" is the processor, too, if torch is not installed.
    """
    if requested == "cpu" or (requested == "auto" and "torch" not in sys.modules and not _worth_importing_torch()):
        return "cpu"
    return choose_device(requested)


def _worth_importing_torch() -> bool:
    return gpu_driver_loaded() and importlib.util.find_spec("torch") is not None


def gpu_driver_loaded() -> bool:
    """Whether the system has a driver for a GPU that torch might be able to use. Always true on Windows."""
    if sys.platform == "linux":
        return Path("/proc/driver/nvidia/version").exists() or Path("/dev/kfd").exists() or Path("/dev/dxg").exists()
    return sys.platform == "win32"


def native_bfloat16(device: torch.device | str) -> bool:
    """Whether the device has instructions to multiply bfloat16, instead of converting it to float32 first."""
    import torch

    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
