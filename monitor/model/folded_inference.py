"""The layers of a trained autoencoder with each batch norm folded into the following linear layer, as numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.config.schema import Config
from monitor.core.types import FloatArray

BATCH_NORM_EPSILON = 1e-5  # torch's default, which `monitor.model.autoencoder` uses
LAYERS = (  # each linear layer, and the batch norm after its ReLU
    ("dense_enc1", "bn1"), ("dense_enc2", "bn2"), ("dense_enc3", None),
    ("dense_dec1", "bn4"), ("dense_dec2", "bn5"), ("dense_dec3", None),
)  # fmt: skip


class FoldedLayer(NamedTuple):
    """A linear layer x @ weight + bias, followed by a ReLU if `relu`."""

    weight: FloatArray  # (inputs, outputs)
    bias: FloatArray  # (outputs,)
    relu: bool


def folded_layers(weights: Mapping[str, NDArray[np.generic]]) -> list[FoldedLayer]:
    """Folds the batch norms of an autoencoder's state_dict into the linear layers that follow them.

    In evaluation mode a batch norm is y = s·x + t for each unit. The next linear layer W·y + b is then
    (W·diag(s))·x + (W·t + b). The result differs only by rounding, by about 1e-6 of the reconstruction.

    Args:
        weights: the state_dict of `monitor.model.autoencoder.Autoencoder`, as numpy arrays.
    """
    layers: list[FoldedLayer] = []
    scale, shift = None, None
    for linear, norm in LAYERS:
        weight = np.asarray(weights[f"{linear}.weight"], np.float64)
        bias = np.asarray(weights[f"{linear}.bias"], np.float64)
        if scale is not None and shift is not None:
            weight, bias = weight * scale, bias + weight @ shift
        layers.append(FoldedLayer(np.ascontiguousarray(weight.T, np.float32), bias.astype(np.float32), bool(norm)))
        scale, shift = None, None
        if norm is not None:
            gamma, beta, mean, variance = (
                np.asarray(weights[f"{norm}.{name}"], np.float64)
                for name in ("weight", "bias", "running_mean", "running_var")
            )
            scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
            shift = beta - mean * scale
    return layers


def reconstruct(layers: Sequence[FoldedLayer], windows: FloatArray) -> FloatArray:
    """The autoencoder itself: windows (B, window_size) -> reconstructions (B, window_size), new memory."""
    x = windows
    for weight, bias, relu in layers:
        x = x @ weight
        x += bias
        if relu:
            np.maximum(x, 0, out=x)
    return x


def weight_shapes(config: Config) -> dict[str, tuple[tuple[int, ...], str]]:
    """The shape and the safetensors type of every tensor in the state_dict of an autoencoder with these settings."""
    outer, inner = config.model.hidden
    sizes = [
        config.features.window_size,
        outer,
        inner,
        config.model.bottleneck,
        inner,
        outer,
        config.features.window_size,
    ]
    shapes: dict[str, tuple[tuple[int, ...], str]] = {}
    for (linear, norm), inputs, outputs in zip(LAYERS, sizes[:-1], sizes[1:], strict=True):
        shapes |= {f"{linear}.weight": ((outputs, inputs), "F32"), f"{linear}.bias": ((outputs,), "F32")}
        if norm is not None:
            shapes |= {f"{norm}.{n}": ((outputs,), "F32") for n in ("weight", "bias", "running_mean", "running_var")}
            shapes[f"{norm}.num_batches_tracked"] = ((), "I64")
    return shapes


def window_operations(config: Config) -> int:
    """The floating-point operations of all matrix products for one window."""
    return sum(2 * shape[0] * shape[1] for shape, _ in weight_shapes(config).values() if len(shape) == 2)
