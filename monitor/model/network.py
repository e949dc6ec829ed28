"""Inference of the trained autoencoder: mel frames in, residuals and reconstruction errors out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from monitor.config.schema import Features
from monitor.core.array_backend import NUMPY, ArrayBackend
from monitor.core.errors import ConfigError
from monitor.core.types import Array
from monitor.model.folded_inference import folded_layers
from monitor.model.int8_network import Int8Network
from monitor.model.numpy_network import NumpyNetwork
from monitor.model.torch_network import TorchNetwork

if TYPE_CHECKING:
    import torch


class Network(Protocol):
    """A trained autoencoder for inference. Several threads may call it at the same time."""

    def __call__(self, frames: Array, residual: Array, error: Array) -> None:
        """Computes the residual and the reconstruction error of each window of W frames.

        With the window x and its reconstruction x̂, the residual of a band is the mean of x̂ - x over the W frames, and
        its error is the mean of (x̂ - x)². All arrays are float32 and of the same array library.

        Args:
            frames: (n, W - 1 + k, n_mels) normalized frames of n streams: k windows of each. They are not changed.
            residual: (n, k, n_mels), written.
            error: (n, k, n_mels) of each band, or (n, k, 1) its mean over the bands, which takes fewer operations;
                written.
        """


@dataclass(frozen=True, slots=True)
class Compute:
    """Where streams are computed: the array backend, and the device and precision of the network."""

    backend: ArrayBackend = NUMPY
    device: torch.device | str = "cpu"
    precision: str = "float32"  # or "bfloat16", "int8"

    @classmethod
    def on(cls, device: torch.device | str = "cpu", precision: str = "float32") -> Compute:
        """The computation on a device: numpy on a processor, but a bfloat16 network in torch; torch on a GPU.

        Raises:
            ConfigError: if int8 is to be computed on a GPU.
        """
        if str(device) == "cpu":
            return cls(NUMPY, device, precision)
        if precision == "int8":
            raise ConfigError(
                "listening.precision int8 is computed on a processor only: set it to auto, or train.device to cpu."
            )
        from monitor.model.cuda_transfer import TorchBackend

        return cls(TorchBackend(device), device, precision)

    def network(self, weights: Mapping[str, NDArray[Any]], features: Features) -> Network:
        """The network of a model.

        Args:
            weights: the autoencoder's state_dict as numpy arrays.
            features: settings of the model's frames.

        Raises:
            ConfigError: if the library that computes this precision is not installed.
        """
        layers = folded_layers(weights)
        if self.precision == "int8":
            return Int8Network(layers, features.n_mels)
        if self.backend is NUMPY and self.precision == "float32":
            return NumpyNetwork(layers, features)
        return TorchNetwork(layers, self.device, self.precision)


ON_CPU = Compute()
