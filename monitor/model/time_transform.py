"""Linear layers of overlapping windows, as convolutions over time that take fewer products.

A linear layer applied to each window of W frames is a correlation over time, with n_mels inputs and many outputs:
y[t] = Σ_j w[j] · x[t + j], j = 0 … W - 1. For `block` windows that follow one another this takes block · W products of
frames and weights. A discrete Fourier transform of N = block + W - 1 frames turns it into one complex product for each
of N / 2 + 1 frequencies. A complex product is three real ones (Gauss): so there are about 3 N / 2 real points, and at
each of them one matrix product of n_mels numbers.

    points of the frames:   X[p] = Σ_n forward[p, n] · x[n]
    products:               Y[p] = X[p] @ V[p], with V[p] = Σ_j of_weights[p, j] · w[j], computed once
    outputs:                y[t] = Σ_p inverse[t, p] · Y[p]

With W = 20 and blocks of 25 there are 65 points in place of 500 products.
"""

from __future__ import annotations

import numpy as np

from monitor.core.types import DoubleArray, FloatArray
from monitor.model.numpy_layer import in_columns


class TimeTransform:
    """The transforms for blocks of windows.

    Args:
        window_frames: W, frames in a window.
        block: windows in a block, at most.

    Attributes:
        window_frames, block: as above.
        points: number of points.
    """

    def __init__(self, window_frames: int, block: int) -> None:
        self.window_frames, self.block = window_frames, block
        self._size = block + window_frames - 1
        forward, of_weights, inverse = _matrices(self._size)
        self.points = len(forward)
        self._forward, self._inverse = forward.astype(np.float32), inverse[: self.block].astype(np.float32)
        self._of_weights = of_weights[:, :window_frames]

    def blocks(self, count: int) -> tuple[int, int]:
        """The number of blocks that `count` windows are divided into, and the windows in each; some may be in two."""
        blocks = -(-count // self.block)
        return blocks, -(-count // blocks)

    def of_weight(self, weight: FloatArray | DoubleArray) -> FloatArray:
        """The weight (W · n_mels, outputs) of a layer at each point: (points, column blocks, n_mels, columns)."""
        by_frame = np.asarray(weight, np.float64).reshape(self.window_frames, -1)
        blocks = in_columns(weight[: len(weight) // self.window_frames])  # those of one frame
        at_points = np.empty((self.points, *blocks.shape), np.float32)
        for point, of_frames in zip(at_points, self._of_weights, strict=True):  # all in float64 would need much memory
            point[:] = in_columns((of_frames @ by_frame).reshape(-1, weight.shape[1]))
        return at_points

    def of_frames(self, frames: FloatArray) -> FloatArray:
        """The points of blocks of frames (R, W - 1 + k, n_mels) of k ≤ block windows each: (points, R, n_mels)."""
        blocks, count, bands = frames.shape
        points = np.empty((self.points, blocks, bands), np.float32)
        # The frames after the last one are taken as zero: they have no effect on the k windows.
        np.matmul(self._forward[:, :count], frames, out=points.swapaxes(0, 1))
        return points

    def layer(self, frames: FloatArray, weight: FloatArray, bias: FloatArray, windows: int) -> FloatArray:
        """The outputs of a layer without activation.

        Args:
            frames: (points, R, n_mels) points of R blocks of frames.
            weight: from `of_weight`.
            bias: (outputs,).
            windows: k, number of windows in each block.

        Returns:
            (R, k, outputs).
        """
        _, column_blocks, _, columns = weight.shape
        products = np.empty((self.points, frames.shape[1], column_blocks, columns), np.float32)
        np.matmul(frames[:, None], weight, out=products.swapaxes(1, 2))
        products = products.reshape(*frames.shape[:2], -1)
        products[0] += np.float32(self._size) * bias  # point 0 is frequency 0, whose inverse transform is 1 / N
        outputs: FloatArray = np.matmul(self._inverse[:windows], products.swapaxes(0, 1))
        return outputs


def _matrices(size: int) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """The matrices `forward` and `of_weights` (points, size), and `inverse` (size, points).

    At a frequency, with the transform r + i·s of the frames and u + i·v of the weights, the product's real part is
    (r + s)·u - s·(u + v), and its imaginary part (r + s)·u + r·(v - u).
    """
    time = np.arange(size)
    forward, of_weights, inverse = [], [], []
    for frequency in range(size // 2 + 1):
        cosine, sine = (function(2 * np.pi * frequency * time / size) for function in (np.cos, np.sin))
        if frequency in (0, size / 2):  # there all sines are zero
            forward.append(cosine)
            of_weights.append(cosine)
            inverse.append(cosine / size)
        else:
            forward += [cosine - sine, cosine, -sine]
            of_weights += [cosine, sine - cosine, sine + cosine]
            inverse += [2 / size * one for one in (cosine - sine, -sine, -cosine)]
    return np.array(forward), np.array(of_weights), np.array(inverse).T
