"""Inference of the trained autoencoder with numpy, in float32 on the processor, without importing torch."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence

import numpy as np

from monitor.config.schema import Features
from monitor.core.array_backend import sliding_rows
from monitor.core.types import FloatArray
from monitor.model.folded_inference import FoldedLayer
from monitor.model.numpy_layer import Layer
from monitor.model.overlapping_windows import OverlappingWindows, operations
from monitor.model.time_transform import TimeTransform
from monitor.model.window_errors import write_errors

WINDOWS_AT_ONCE = 256  # that are reconstructed together: more would not fit into the processor's cache
# Windows in a block of overlapping ones, relative to the frames of a window: for short, middle and long portions. Long
# blocks take the fewest operations, and the most memory.
BLOCKS = (0.25, 0.6, 1.25)
# Overlapping windows are computed as such where that takes at most this share of the operations of reconstructions,
# because there is more to do beside the products; measured on a processor with AVX-512.
LARGEST_SHARE = 0.72
# Numbers in the transformed weights of both layers: those of very large windows would fill the memory.
MAX_WEIGHTS = 2**25


class NumpyNetwork:
    """A network in numpy.

    It has two ways to compute the same. A few windows are reconstructed; many windows of a stream, which overlap, take
    fewer operations (`monitor.model.overlapping_windows`). The second way needs frames whose values are of similar
    size, because the rounding of large ones affects the others: decibels in standard deviations, not power.

    Args:
        layers: as `monitor.model.folded_inference.folded_layers` returns them.
        features: settings of the model's frames.
    """

    def __init__(self, layers: Sequence[FoldedLayer], features: Features) -> None:
        self._folded, self._layers = layers, [Layer(one) for one in layers]
        self._sizes = tuple((layer.weight.shape[0], layer.weight.shape[1]) for layer in layers)
        self._window_frames = features.window_frames
        may_overlap = features.scale == "log" and features.standardize
        blocks = {max(1, round(share * self._window_frames)) for share in BLOCKS} if may_overlap else ()
        transforms = [TimeTransform(self._window_frames, block) for block in sorted(blocks)]
        most_points = MAX_WEIGHTS / (2 * features.n_mels * self._sizes[0][1])
        usable = [one for one in transforms if one.points <= most_points]
        # Called for every portion of sound. The memory of its results ends with the network.
        self._fastest = functools.lru_cache(1024)(functools.partial(fastest, self._sizes, usable))
        self._overlapping: dict[int, OverlappingWindows] = {}  # by the block; made when they are needed
        self._making = threading.Lock()

    def __call__(self, frames: FloatArray, residual: FloatArray, error: FloatArray) -> None:
        """See `monitor.model.network.Network`."""
        streams, count, _ = residual.shape
        transform = self._fastest(streams, count) if error.shape[-1] == 1 else None
        if transform is None:
            self._reconstruct(frames, residual, error)
            return
        self._overlapping_by(transform)(frames, residual, error)

    def operations(self, streams: int, count: int) -> float:
        """The floating-point operations of all products for one of `count` windows of each of `streams` streams."""
        transform = self._fastest(streams, count)
        return plain_operations(self._sizes) if transform is None else operations(self._sizes, transform, count)

    def _overlapping_by(self, transform: TimeTransform) -> OverlappingWindows:
        with self._making:  # once, not by each thread, because it takes much memory
            if transform.block not in self._overlapping:
                made = OverlappingWindows(self._folded, self._layers[1:-1], transform)
                self._overlapping[transform.block] = made
            return self._overlapping[transform.block]

    def _reconstruct(self, frames: FloatArray, residual: FloatArray, error: FloatArray) -> None:
        windows = sliding_rows(frames, self._window_frames)
        streams, count, size = windows.shape
        step = max(1, WINDOWS_AT_ONCE // max(1, streams))
        for start in range(0, count, step):
            part = slice(start, start + step)
            x = np.ascontiguousarray(windows[:, part]).reshape(-1, size)  # products of overlapping rows take longer
            for layer in self._layers:
                x = layer(x)
            write_errors(windows[:, part], x, residual[:, part], error[:, part])


def fastest(
    layers: Sequence[tuple[int, int]], transforms: Sequence[TimeTransform], streams: int, count: int
) -> TimeTransform | None:
    """The transform by which `count` windows of each of `streams` streams are computed fastest.

    Args:
        layers: inputs and outputs of each layer.
        transforms: from which to choose.
        streams, count: as above.

    Returns:
        one of the transforms; None if it is faster to reconstruct each window.
    """
    found, least = None, LARGEST_SHARE * plain_operations(layers)
    for transform in transforms if streams and count else ():
        blocks, _ = transform.blocks(count)
        # To read the weights takes about as long as to multiply one block with them.
        cost = operations(layers, transform, count) * (1 + 1 / (streams * blocks))
        if cost <= least:
            found, least = transform, cost
    return found


def plain_operations(layers: Sequence[tuple[int, int]]) -> float:
    """The floating-point operations of all products for the reconstruction of a window, by the sizes of the layers."""
    return 2.0 * sum(inputs * outputs for inputs, outputs in layers)
