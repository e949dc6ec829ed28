"""The stages of the graph from rows of window statistics to mean rows: rolling means and maxima over `length` rows."""

from __future__ import annotations

import numpy as np

from monitor.integrations.onnx_export.expressions import Graph, Tensor

MEANS_AT_ONCE = 256  # more would multiply by more zeros, fewer would copy more rows


def rolling_mean(graph: Graph, rows: Tensor, count: Tensor, length: int, width: int) -> Tensor:
    """The mean of the last `length` rows at each new row.

    It is a matrix product with a band of ones, for MEANS_AT_ONCE rows at a time. As in
    `monitor.scoring.rolling_mean.RollingMeans` nothing is subtracted, so a large value leaves no rounding error behind.

    Args:
        graph: the graph.
        rows: (length + k, width) the last `length` rows, and the new ones.
        count: k.
        length: rows in a mean.
        width: numbers in a row.

    Returns:
        means (k, width).
    """
    with graph.stage("rolling_mean"):
        blocks = ((count + (MEANS_AT_ONCE - 1)) // MEANS_AT_ONCE).maximum(1)
        size = (count + blocks - 1) // blocks  # means in a block
        in_block = graph.arange(size + length)
        index = (graph.arange(blocks) * size).unsqueeze(1) + in_block
        # The last block can be longer than what is left of the rows: its last means are dropped.
        segments = rows.take(index.minimum(count + (length - 1)))  # (blocks, size + length, width)
        distance = in_block - graph.arange(size).unsqueeze(1)  # mean i of a block is of its rows i + 1 … i + length
        band = ((distance > 0) & (distance < length + 1)).to(np.float32)
        means = (band @ segments) * (1 / length)
        return means.reshape(-1, width).part(0, count)


def rolling_maximum(graph: Graph, values: Tensor, length: int) -> Tensor:
    """The highest of the last `length` values of each column: (length + k, columns) -> (k, columns)."""
    with graph.stage("rolling_maximum"):
        columns_first = values.transpose().unsqueeze(0)
        pooled = graph.node("MaxPool", columns_first, dtype=values.dtype, kernel_shape=[length])
        return pooled.squeeze(0).transpose().part(1)
