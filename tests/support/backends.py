"""Array backends for tests that run without a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from monitor.core.array_backend import NUMPY, ArrayBackend
from monitor.model.cuda_transfer import TorchBackend
from monitor.model.network import Compute


class DeviceBackend(TorchBackend):
    """Imitates a GPU on the processor: tensors have their own memory, and downloads end only at `synchronize`.

    So tests fail if a result is read before it has been downloaded, or overwritten before that.
    """

    def __init__(self) -> None:
        super().__init__("cpu")
        self.in_host_memory = False
        self._downloads: list[tuple[Tensor, NDArray[Any]]] = []

    def host_buffer(self, shape: tuple[int, ...], dtype: Any = np.float32) -> NDArray[Any]:
        buffer = super().host_buffer(shape, dtype)
        buffer[:] = 1e30  # which must not occur in any result
        return buffer

    def download(self, computed: Tensor, host: NDArray[Any]) -> None:
        self._downloads.append((computed, host))

    def synchronize(self) -> None:
        for computed, host in self._downloads:
            super().download(computed, host)
        self._downloads.clear()


def backend(name: str) -> ArrayBackend:
    """A new backend: "numpy", "torch", or "device" for one that imitates a GPU."""
    return {"numpy": lambda: NUMPY, "torch": lambda: TorchBackend("cpu"), "device": DeviceBackend}[name]()


BACKENDS = ("numpy", "torch", "device")


def compute(name: str, precision: str = "float32") -> Compute:
    """The computation on one of these backends."""
    return Compute(backend(name), "cpu", precision)
