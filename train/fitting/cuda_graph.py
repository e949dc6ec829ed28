"""A training step recorded as a CUDA graph: it takes a GPU less time than launching its hundred kernels one by one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3  # steps that are taken one by one first: by then libraries have chosen their ways, and memory is there


class Recorded:
    """A step on a GPU for one process: recorded once, then replayed.

    What is recorded has fixed addresses. So the windows have to be in `buffer`, and what changes from step to step, the
    learning rate among it, has to be a tensor on the GPU. A batch of another size, the last of an epoch, is taken as
    any step is.
    """

    def __init__(self, step: Callable[[Tensor], Tensor], buffer: Tensor) -> None:
        self._step, self._buffer = step, buffer
        self._taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._loss = buffer.new_zeros(())

    def __call__(self, windows: Tensor) -> Tensor:
        """The step on windows (b, window_size); its loss is there until the next one."""
        if len(windows) < len(self._buffer):
            return self._step(windows)
        self._taken += 1
        if self._taken <= WARM_UP:
            return self._aside(windows)
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            # Only this thread's calls must fit in: another one may be reading the next portion.
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._loss = self._step(self._buffer)
        self._graph.replay()
        return self._loss

    def _aside(self, windows: Tensor) -> Tensor:
        """A step on a stream that is not the default one, as recording is going to be."""
        present = torch.cuda.current_stream(windows.device)
        aside = torch.cuda.Stream(windows.device)  # type: ignore[no-untyped-call]
        aside.wait_stream(present)
        with torch.cuda.stream(aside):
            loss = self._step(windows)
        present.wait_stream(aside)
        return loss
