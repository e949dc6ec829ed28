"""The layers of the network for a few or many windows, at the processor's full speed."""

from __future__ import annotations

import functools

import numpy as np
from threadpoolctl import threadpool_info

from monitor.core.types import DoubleArray, FloatArray
from monitor.model.folded_inference import FoldedLayer

# OpenBLAS rearranges both matrices of a product before it multiplies, which takes longer than the product itself where
# one of them has few rows. On processors with AVX-512 it has kernels that multiply small matrices as they are: products
# of at most SMALL multiply-adds. So a product is divided into such, of COLUMNS columns and all inputs: then each of ten
# rows takes as long as each of a thousand.
SMALL_KERNELS = {"SkylakeX", "Cooperlake", "SapphireRapids"}
SMALL = 10**6
COLUMNS = 64


class Layer:
    """A linear layer, with a ReLU if it has one."""

    def __init__(self, layer: FoldedLayer) -> None:
        self._layer, self._weight = layer, in_columns(layer.weight)

    def __call__(self, rows: FloatArray) -> FloatArray:
        """(B, inputs) -> (B, outputs), new memory."""
        if len(rows) == 1:  # a matrix by a vector, which is never rearranged
            outputs: FloatArray = rows @ self._layer.weight
        else:
            outputs = np.empty((len(rows), len(self._layer.bias)), np.float32)
            multiply(rows, self._weight, outputs)
        outputs += self._layer.bias
        if self._layer.relu:
            np.maximum(outputs, 0, out=outputs)
        return outputs


def in_columns(weight: FloatArray | DoubleArray) -> FloatArray:
    """A weight (…, inputs, outputs) as `multiply` takes it: (…, blocks, inputs, columns)."""
    *before, inputs, outputs = weight.shape
    columns = COLUMNS if outputs % COLUMNS == 0 and has_small_kernels() else outputs
    blocks = weight.reshape(*before, inputs, outputs // columns, columns)
    return np.ascontiguousarray(blocks.swapaxes(-2, -3), np.float32)


def multiply(rows: FloatArray, weight: FloatArray, product: FloatArray) -> None:
    """Writes rows (B, inputs) @ weight (blocks, inputs, columns) into product (B, blocks · columns).

    With one block, product may be a part of the columns of an array.
    """
    (blocks, inputs, columns), count = weight.shape, len(rows)
    by_block = product.reshape(count, blocks, columns).swapaxes(0, 1)
    at_once = max(1, SMALL // (inputs * columns)) if has_small_kernels() else max(1, count)
    parts = -(-count // at_once)
    for part in range(parts):
        some = slice(count * part // parts, count * (part + 1) // parts)
        np.matmul(rows[some], weight, out=by_block[:, some])


@functools.cache
def has_small_kernels() -> bool:
    """Whether numpy multiplies small matrices as they are."""
    return any(library.get("architecture") in SMALL_KERNELS for library in threadpool_info())
