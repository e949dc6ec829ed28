"""Inference of the trained autoencoder with numpy or torch: windows in, reconstructions out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.core.array_backend import NUMPY, ArrayBackend
from monitor.core.types import Array, FloatArray
from monitor.model.folded_inference import FoldedLayer, folded_layers

if TYPE_CHECKING:
    import torch


class Network(Protocol):
    """A trained autoencoder for inference. Several threads may call it at the same time."""

    def __call__(self, windows: Array) -> Array:
        """Windows (B, window_size) float32 -> reconstructions, a new array of the same shape and array library."""


class NumpyNetwork:
    """A network in numpy, in float32 on the processor: as fast as torch, without importing it."""

    def __init__(self, layers: Sequence[FoldedLayer]) -> None:
        self._layers = layers

    def __call__(self, windows: FloatArray) -> FloatArray:
        """See `Network`."""
        x = windows
        for weight, bias, relu in self._layers:
            x = x @ weight
            x += bias
            if relu:
                np.maximum(x, 0, out=x)
        return x


class TorchNetwork:
    """A network in torch: on a GPU, or in bfloat16 on a processor.

    It takes numpy arrays (on a processor) or tensors, and returns the same. Weights and activations have the given
    precision; reconstructions are float32. bfloat16 changes a reconstruction by about 1e-2 of its largest value.

    Args:
        layers: as `monitor.model.folded_inference.folded_layers` returns them.
        device: where to compute.
        precision: "float32" or "bfloat16".
    """

    def __init__(self, layers: Sequence[FoldedLayer], device: torch.device | str, precision: str) -> None:
        import torch

        self._torch = torch
        self._type = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self._layers = [
            # Stored as (outputs, inputs) and transposed as a view: faster for few windows than (inputs, outputs).
            (
                torch.from_numpy(weight).T.contiguous().to(device, self._type).T,
                torch.from_numpy(bias).to(device, self._type),
                relu,
            )
            for weight, bias, relu in layers
        ]

    def __call__(self, windows: Array) -> Array:
        """See `Network`."""
        torch = self._torch
        from_numpy = isinstance(windows, np.ndarray)
        x = (torch.from_numpy(windows) if from_numpy else windows).to(self._type)
        for weight, bias, relu in self._layers:
            x = torch.addmm(bias, x, weight)
            if relu:
                x = x.relu_()
        x = x.float()
        return x.numpy() if from_numpy else x


@dataclass(frozen=True, slots=True)
class Compute:
    """Where streams are computed: the array backend, and the device and precision of the network."""

    backend: ArrayBackend = NUMPY
    device: torch.device | str = "cpu"
    precision: str = "float32"  # or "bfloat16"

    @classmethod
    def on(cls, device: torch.device | str = "cpu", precision: str = "float32") -> Compute:
        """The computation on a device: numpy on a processor (but torch for a bfloat16 network), torch on a GPU."""
        if str(device) == "cpu":
            return cls(NUMPY, device, precision)
        from monitor.model.cuda_transfer import TorchBackend

        return cls(TorchBackend(device), device, precision)

    def network(self, weights: Mapping[str, NDArray[Any]]) -> Network:
        """The network for a bundle's weights (the state_dict as numpy arrays)."""
        layers = folded_layers(weights)
        if self.backend is NUMPY and self.precision == "float32":
            return NumpyNetwork(layers)
        return TorchNetwork(layers, self.device, self.precision)


ON_CPU = Compute()
