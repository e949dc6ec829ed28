"""Inference of the trained autoencoder with torch: on a GPU, or in bfloat16 on a processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from monitor.core.array_backend import sliding_rows
from monitor.core.errors import ConfigError
from monitor.core.types import Array
from monitor.model.folded_inference import FoldedLayer
from monitor.model.window_errors import write_errors

if TYPE_CHECKING:
    import torch

# Windows that are computed at once: more would not fit into a processor's cache, fewer would not keep a GPU busy.
WINDOWS_AT_ONCE, GPU_WINDOWS_AT_ONCE = 256, 2**15


class TorchNetwork:
    """A network in torch. It takes numpy arrays (on a processor) or tensors.

    Weights and activations have the given precision; results are float32. bfloat16 changes a reconstruction by about
    1e-2 of its largest value.

    Args:
        layers: as `monitor.model.folded_inference.folded_layers` returns them.
        device: where to compute.
        precision: "float32" or "bfloat16".

    Raises:
        ConfigError: if torch is not installed.
    """

    def __init__(self, layers: Sequence[FoldedLayer], device: torch.device | str, precision: str) -> None:
        try:
            import torch
        except ImportError:
            raise ConfigError(
                f"The precision {precision} needs PyTorch, which is not installed: set listening.precision to auto."
            ) from None
        self._torch = torch
        self._type = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self._window_size = layers[0].weight.shape[0]
        self._at_once = WINDOWS_AT_ONCE if torch.device(device).type == "cpu" else GPU_WINDOWS_AT_ONCE
        self._layers = [
            # Stored as (outputs, inputs) and transposed as a view: faster for few windows than (inputs, outputs).
            (
                torch.from_numpy(weight).T.contiguous().to(device, self._type).T,
                torch.from_numpy(bias).to(device, self._type),
                relu,
            )
            for weight, bias, relu in layers
        ]

    def __call__(self, frames: Array, residual: Array, error: Array) -> None:
        """See `monitor.model.network.Network`."""
        frames, residual, error = (
            self._torch.from_numpy(one) if isinstance(one, np.ndarray) else one for one in (frames, residual, error)
        )
        windows = sliding_rows(frames, self._window_size // frames.shape[2])
        streams, count, _ = windows.shape
        step = max(1, self._at_once // max(1, streams))
        for start in range(0, count, step):
            part = slice(start, start + step)
            # If there is one window of each stream, the reshaped tensor is a view: nothing is copied.
            reconstructions = self._reconstruct(windows[:, part].reshape(-1, self._window_size))
            write_errors(windows[:, part], reconstructions, residual[:, part], error[:, part])

    def _reconstruct(self, windows: torch.Tensor) -> torch.Tensor:
        """Windows (B, window_size) float32 -> reconstructions (B, window_size) float32, new memory."""
        x = windows.to(self._type)
        for weight, bias, relu in self._layers:
            x = self._torch.addmm(bias, x, weight)
            if relu:
                x = x.relu_()
        return x.float()
