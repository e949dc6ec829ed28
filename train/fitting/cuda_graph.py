"""Captures a training step as a CUDA graph, which is faster than launching its hundred kernels one by one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3  # steps before the capture, in which libraries choose their algorithms and allocate memory


class GraphedStep:
    """A training step on a GPU that is captured once, then replayed; for training in one process.

    A graph has fixed addresses. So the windows have to be in `buffer`, and values that change from step to step, such
    as the learning rate, have to be tensors on the GPU. A smaller batch, the last of an epoch, runs without the graph.

    Args:
        step: the training step, from windows (b, window_size) to their loss.
        buffer: (batch, window_size) the memory that holds the windows of every full batch.
    """

    def __init__(self, step: Callable[[Tensor], Tensor], buffer: Tensor) -> None:
        self._step, self._buffer = step, buffer
        self._steps = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._loss = buffer.new_zeros(())

    def __call__(self, windows: Tensor) -> Tensor:
        """Runs the step on windows (b, window_size); returns its loss, which the next call overwrites."""
        if len(windows) < len(self._buffer):
            return self._step(windows)
        self._steps += 1
        if self._steps <= WARM_UP:
            return self._on_side_stream(windows)
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            # thread_local: another thread may load the next portion, with CUDA calls that a capture does not allow.
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._loss = self._step(self._buffer)
        self._graph.replay()
        return self._loss

    def _on_side_stream(self, windows: Tensor) -> Tensor:
        """Runs the step on a CUDA stream other than the default one, as the capture will."""
        current = torch.cuda.current_stream(windows.device)
        side = torch.cuda.Stream(windows.device)  # type: ignore[no-untyped-call]
        side.wait_stream(current)
        with torch.cuda.stream(side):
            loss = self._step(windows)
        current.wait_stream(side)
        return loss
