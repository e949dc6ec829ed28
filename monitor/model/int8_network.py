"""Inference of the trained autoencoder in int8 on a processor, with onnxruntime.

The inputs of a layer are rounded to whole numbers of 7 bits, with a scale for each window, and its weights to 8 bits,
with a scale for each unit. Their products and sums are exact, so a window gives the same result on every processor and
with every batch, but for the rounding of float32. Instructions for such products (VNNI and AMX of x86 processors, dot
products of ARM) make them four times as fast as those of float32; without them they are as exact, because two products
of 7 and 8 bits fit into the 16 bits that older x86 processors add them in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.array_backend import sliding_rows
from monitor.core.errors import ConfigError
from monitor.core.types import FloatArray
from monitor.model.folded_inference import FoldedLayer
from monitor.model.onnx_graph import OnnxGraph

WINDOWS_AT_ONCE = 128  # that are computed together: more would not fit into the processor's cache
LARGEST_WEIGHT = 127
# Inputs that can be negative are stored as 1 … 64 … 127, others as 0 … 127.
ZERO, LARGEST_SIGNED, LARGEST_POSITIVE = 64, 63, 127
SMALLEST = np.float32(1e-30)  # taken for the largest input of a window if that is smaller, to divide by it


class Int8Network:
    """A network in onnxruntime, in int8. Residuals and errors are float32.

    Args:
        layers: as `monitor.model.folded_inference.folded_layers` returns them.
        n_mels: number of bands.

    Raises:
        ConfigError: if onnxruntime is not installed.
    """

    def __init__(self, layers: Sequence[FoldedLayer], n_mels: int) -> None:
        onnxruntime = required_library()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # windows are divided between threads by the caller
        options.log_severity_level = 3  # errors only
        self._session = onnxruntime.InferenceSession(
            error_graph(rounded_layers(layers), n_mels), options, providers=["CPUExecutionProvider"]
        )
        self._n_mels, self._window_size = n_mels, len(layers[0].weight)

    def __call__(self, frames: FloatArray, residual: FloatArray, error: FloatArray) -> None:
        """See `monitor.model.network.Network`."""
        bands = self._n_mels
        windows = sliding_rows(frames, self._window_size // bands)
        streams, count, size = windows.shape
        step = max(1, WINDOWS_AT_ONCE // max(1, streams))
        for start in range(0, count, step):
            part = slice(start, start + step)
            some = np.ascontiguousarray(windows[:, part].reshape(-1, size))
            [found] = self._session.run(None, {"windows": some})
            found = found.reshape(streams, -1, 2 * bands)
            residual[:, part] = found[..., :bands]
            band_error = found[..., bands:]
            error[:, part] = band_error if error.shape[-1] == bands else band_error.mean(axis=-1, keepdims=True)


def required_library() -> Any:
    """The module onnxruntime, imported only where it is used.

    Raises:
        ConfigError: if it is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(
            "The precision int8 needs the library onnxruntime: pip install 'acoustic-monitor[int8]', or set "
            "listening.precision to float32."
        ) from None
    return onnxruntime


class RoundedLayer(NamedTuple):
    """A linear layer x @ (weight · scale) + bias, followed by a ReLU if `relu`."""

    weight: NDArray[np.int8]  # (inputs, outputs)
    scale: FloatArray  # (outputs,)
    bias: FloatArray  # (outputs,)
    relu: bool


def rounded_layers(layers: Sequence[FoldedLayer]) -> list[RoundedLayer]:
    """Rounds the weights of a network.

    Biases are corrected so that the window of zeros, the mean of the training sound, gives what it did before. The sums
    of inputs that are never negative would otherwise be wrong by about as much for all sounds.
    """
    rounded: list[RoundedLayer] = []
    usual = np.zeros(len(layers[0].weight), np.float32)  # the inputs of the layer for that window
    for weight, bias, relu in equalized(layers):
        scale = np.abs(weight).max(axis=0) / np.float32(LARGEST_WEIGHT)
        scale[scale == 0] = 1
        whole = np.rint(weight / scale)
        rounded.append(RoundedLayer(whole.astype(np.int8), scale, bias + usual @ (weight - whole * scale), relu))
        usual = usual @ weight + bias
        if relu:
            usual = np.maximum(usual, 0)
    return rounded


def equalized(layers: Sequence[FoldedLayer]) -> list[FoldedLayer]:
    """The same network with each hidden unit scaled so that its largest weight in the next layer is 1.

    All inputs of a layer share the steps that they are rounded to, and so do the weights of an output. Without this, a
    unit that was silent in training would make them coarse: its batch norm gives it weights that are 300 times as large
    as others.
    """
    scaled = list(layers)
    for number in range(len(layers) - 1):
        before, after = scaled[number : number + 2]
        largest = np.abs(after.weight).max(axis=1)
        largest[largest == 0] = 1
        scaled[number] = before._replace(weight=before.weight * largest, bias=before.bias * largest)
        scaled[number + 1] = after._replace(weight=after.weight / largest[:, None])
    return scaled


def error_graph(layers: Sequence[RoundedLayer], n_mels: int) -> bytes:
    """The ONNX model from windows (B, W · n_mels) to residuals and band errors, side by side: (B, 2 · n_mels)."""
    size = len(layers[0].weight)
    graph = OnnxGraph("windows", size)
    x, positive = graph.input, False
    for layer in layers:
        x = graph.node("Add", _product(graph, x, layer, positive=positive), graph.constant(layer.bias))
        positive = layer.relu  # the ReLU itself is the rounding of negative numbers to 0
    difference = graph.node("Sub", x, graph.input)
    by_frame = graph.node("Reshape", difference, graph.constant(np.array([-1, size // n_mels, n_mels], np.int64)))
    residual = graph.node("ReduceMean", by_frame, axes=[1], keepdims=0)
    error = graph.node("ReduceMean", graph.node("Mul", by_frame, by_frame), axes=[1], keepdims=0)
    return graph.model(graph.node("Concat", residual, error, axis=1), 2 * n_mels)


def _product(graph: OnnxGraph, x: str, layer: RoundedLayer, *, positive: bool) -> str:
    """The product of x (B, inputs), rounded, and the weights of a layer: (B, outputs), in float32.

    Args:
        graph: that the operations are added to.
        x: float32 numbers.
        layer: of the network.
        positive: whether negative numbers of x count as 0.
    """
    largest = graph.node("ReduceMax", x, axes=[1], keepdims=0)
    if not positive:
        lowest = graph.node("ReduceMin", x, axes=[1], keepdims=0)
        largest = graph.node("Max", largest, graph.node("Neg", lowest))
    largest = graph.node("Max", largest, graph.constant(SMALLEST))
    levels = LARGEST_POSITIVE if positive else LARGEST_SIGNED
    scale = graph.node("Mul", largest, graph.constant(np.float32(1 / levels)))
    zero = graph.constant(np.uint8(0 if positive else ZERO))
    zeros = graph.node("Expand", zero, graph.node("Shape", scale))
    rounded = graph.node("QuantizeLinear", x, scale, zeros, axis=0)
    sums = graph.node("MatMulInteger", rounded, graph.constant(layer.weight), zero)
    return graph.node("Mul", graph.node("DequantizeLinear", sums, scale, axis=0), graph.constant(layer.scale))
