"""The autoencoder for many overlapping windows of each stream, with half of the multiplications.

What a score needs is computed without any reconstruction:

- The first layer is a convolution over time (`monitor.model.time_transform`).
- The residual of a band, the mean of x̂ - x over the window, is linear in the last hidden layer h. With
  x̂ = A·h + b it takes the mean of the rows of A that belong to the band.
- The error is |x̂ - x|² / window_size, and |A·h + b - x|² = h·(AᵀA)·h - 2 h·Aᵀ(x - b) + |x - b|². AᵀA is symmetric,
  and Aᵀ(x - b) is another convolution over time.

The terms of the error are as large as the window, so its rounding is about 1e-7 of the window's mean square, where that
of a reconstruction would be about 1e-7 of the error. Windows with a very small error are therefore reconstructed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.core.array_backend import sliding_rows
from monitor.core.types import DoubleArray, FloatArray
from monitor.model.folded_inference import FoldedLayer, reconstruct
from monitor.model.numpy_layer import COLUMNS, Layer, multiply
from monitor.model.time_transform import TimeTransform

WINDOWS_AT_ONCE = 800  # that are computed together: more would not fit into the processor's cache
SMALL_ERROR = 0.01  # relative to the mean square of a window: below that it is reconstructed


class OverlappingWindows:
    """The network for windows that overlap.

    Args:
        layers: as `monitor.model.folded_inference.folded_layers` returns them.
        middle: those between the first and the last, to compute with.
        transform: for the frames of a window.
    """

    def __init__(self, layers: Sequence[FoldedLayer], middle: Sequence[Layer], transform: TimeTransform) -> None:
        self._layers, self._middle, self._transform = layers, middle, transform
        first, last = layers[0], layers[-1]
        size, frames = first.weight.shape[0], transform.window_frames
        n_mels = size // frames
        self._window_frames, self._size = frames, size
        self._first, self._first_bias = self._transform.of_weight(first.weight), first.bias

        decoder, bias = last.weight.astype(np.float64), last.bias.astype(np.float64)  # Aᵀ (hidden, size), b
        mean_decoder, mean_bias = (
            one.reshape(*one.shape[:-1], frames, n_mels).mean(axis=-2).astype(np.float32) for one in (decoder, bias)
        )
        self._residual = Layer(FoldedLayer(mean_decoder, mean_bias, relu=False))
        self._cross = self._transform.of_weight(2 / size * decoder.T)
        self._cross_bias = (-2 / size * (decoder @ bias)).astype(np.float32)
        self._triangle = _lower_triangle(decoder @ decoder.T / size)
        self._bias_by_frame = bias.reshape(frames, n_mels).T.astype(np.float32)
        self._bias_square = float(bias @ bias)
        # The mean over the frames of each window as a matrix product: (block, block + W - 1).
        block = transform.block
        shifted = [np.eye(block, block + frames - 1, shift, np.float32) for shift in range(frames)]
        self._mean: FloatArray = np.mean(shifted, axis=0)

    def __call__(self, frames: FloatArray, residual: FloatArray, error: FloatArray) -> None:
        """As `monitor.model.network.Network`, with the mean error of all bands."""
        streams, count, _ = residual.shape
        parts, windows = self._transform.blocks(count)
        # The last block of a stream may overlap the one before it, and computes some windows once more.
        starts = np.minimum(np.arange(parts) * windows, count - windows)
        stream, start = (one.ravel() for one in np.broadcast_arrays(np.arange(streams)[:, None], starts))
        at_once = max(1, WINDOWS_AT_ONCE // windows)
        for begin in range(0, len(stream), at_once):
            some = slice(begin, begin + at_once)
            row, first = stream[some, None], start[some, None]
            block = frames[row, first + np.arange(windows + self._window_frames - 1)]
            own = row, first + np.arange(windows)
            residual[own], error[own] = self._compute(block, windows)

    def _compute(self, frames: FloatArray, windows: int) -> tuple[FloatArray, FloatArray]:
        """The residual (R, k, n_mels) and the error (R, k, 1) of blocks of frames (R, W - 1 + k, n_mels)."""
        blocks, count, bands = frames.shape
        points = self._transform.of_frames(frames)
        hidden = self._transform.layer(points, self._first, self._first_bias, windows).reshape(blocks * windows, -1)
        np.maximum(hidden, 0, out=hidden)
        for layer in self._middle:
            hidden = layer(hidden)

        residual = self._residual(hidden).reshape(blocks, windows, bands)
        residual -= np.matmul(self._mean[:windows, :count], frames)

        terms = np.empty_like(hidden)
        for first, part in self._triangle:
            multiply(hidden[:, first:], part, terms[:, first : first + part.shape[-1]])
        terms -= self._transform.layer(points, self._cross, self._cross_bias, windows).reshape(hidden.shape)
        error: FloatArray = np.einsum("bh,bh->b", terms, hidden).reshape(blocks, windows)
        square = self._square(frames, windows)
        error += square
        small = error < SMALL_ERROR * square
        if small.any():
            selected = sliding_rows(frames, self._window_frames)[small]
            error[small] = np.square(reconstruct(self._layers, selected) - selected).mean(axis=1)
        return residual, error[..., None]

    def _square(self, frames: FloatArray, windows: int) -> FloatArray:
        """|x - b|² / window_size of each window: (R, k)."""
        # Of each frame, as if it were frame 0, 1, … of a window; a window is a diagonal of that.
        of_frames = np.matmul(frames, self._bias_by_frame)
        of_frames *= -2
        of_frames += np.einsum("rnm,rnm->rn", frames, frames)[..., None]
        block, row, column = of_frames.strides
        shape = (len(frames), windows, self._window_frames)
        diagonals = np.lib.stride_tricks.as_strided(of_frames, shape, (block, row, row + column))
        squares: FloatArray = np.einsum("rkw->rk", diagonals)
        squares += np.float32(self._bias_square)
        squares /= self._size
        return squares


def operations(layers: Sequence[tuple[int, int]], transform: TimeTransform, count: int) -> float:
    """The floating-point operations of all products for one of `count` windows of a stream.

    Args:
        layers: inputs and outputs of each layer.
        transform: for the frames of a window.
        count: number of windows.
    """
    (size, _), *middle, (hidden, _) = layers
    (_, windows), frames = transform.blocks(count), transform.window_frames
    bands, in_block = size // frames, windows + frames - 1
    of_block = (
        transform.points * in_block * bands  # the transform of the frames
        + 2 * transform.points * hidden * (bands + windows)  # two convolutions: products, and inverse transforms
        + in_block * bands * (windows + frames)  # mean of the frames, and their products with the last bias
    )
    triangle = sum(min(COLUMNS, hidden - first) * (hidden - first) for first in range(0, hidden, COLUMNS))
    of_window = sum(inputs * outputs for inputs, outputs in middle) + hidden * bands + triangle
    return 2.0 * (of_block / windows + of_window)


def _lower_triangle(symmetric: DoubleArray) -> list[tuple[int, FloatArray]]:
    """A matrix T with h·T·h = h·S·h for a symmetric matrix S, without most of what is above its diagonal.

    Returns:
        blocks of columns, each with the number of its first column, and the rows from there on (1, rows, columns).
    """
    blocks = []
    for first in range(0, len(symmetric), COLUMNS):
        columns = symmetric[first:, first : first + COLUMNS].copy()
        columns[COLUMNS:] *= 2
        blocks.append((first, columns[None].astype(np.float32)))
    return blocks
