"""Array backends: one interface for numpy arrays in host memory and torch tensors on a GPU.

Code that runs on both is written against the array API standard (https://data-apis.org/array-api) and takes its
functions from `namespace(x)`. This module has the interface, the numpy backend, and the few array operations that the
standard lacks. The torch backend is `monitor.model.cuda_transfer.TorchBackend`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from monitor.core.types import Array


class ArrayBackend(Protocol):
    """An array library with the memory of one device, and the copies between that memory and host memory."""

    @property
    def xp(self) -> Any:
        """The module with the array API's functions."""

    @property
    def in_host_memory(self) -> bool:
        """Whether the device's memory is host memory, so that nothing needs to be copied."""

    def upload(self, values: NDArray[Any]) -> Array:
        """Copies host values to the device. The returned array can be used at once."""

    def host_buffer(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Allocates an uninitialized host array for `download`."""

    def device_buffer(self, host: NDArray[Any]) -> Array:
        """An uninitialized device array of the shape and type of the contiguous `host`, or `host`'s own memory."""

    def download(self, computed: Array, host: NDArray[Any]) -> None:
        """Starts to copy the device buffer of `host` into `host`. The copy is complete after `synchronize`."""

    def synchronize(self) -> None:
        """Waits until all downloads are complete."""


class NumpyBackend:
    """The backend for numpy arrays in host memory. Nothing is ever copied."""

    xp = np
    in_host_memory = True

    def upload(self, values: NDArray[Any]) -> Array:
        """Returns `values` itself."""
        return values

    def host_buffer(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Allocates an uninitialized array."""
        return np.empty(shape, dtype)

    def device_buffer(self, host: NDArray[Any]) -> Array:
        """Returns `host` itself."""
        return host

    def download(self, computed: Array, host: NDArray[Any]) -> None:
        """Does nothing: `computed` is `host`."""

    def synchronize(self) -> None:
        """Does nothing: there are no downloads to wait for."""


NUMPY: ArrayBackend = NumpyBackend()


def namespace(array: Array) -> Any:
    """The module with the array API's functions for this array.

    For numpy arrays this is numpy itself, which follows the standard since version 2.1: importing array_api_compat
    would take a quarter of a second.
    """
    if isinstance(array, np.ndarray):
        return np
    from array_api_compat import array_namespace

    return array_namespace(array)


def to_numpy(array: Array) -> NDArray[Any]:
    """The array as a numpy array in host memory, copied only if it is on a GPU."""
    return array if isinstance(array, np.ndarray) else array.detach().cpu().numpy()


def sliding_segments(values: Array, size: int, step: int) -> Array:
    """Segments of `size` values, one starting every `step` values, as a view.

    Args:
        values: (N, n).
        size: values in a segment.
        step: values from the start of one segment to the start of the next.

    Returns:
        (N, 1 + (n - size) // step, size).
    """
    if isinstance(values, np.ndarray):
        return np.lib.stride_tricks.sliding_window_view(values, size, axis=1)[:, ::step]
    return values.unfold(1, size, step)


def sliding_rows(rows: Array, size: int) -> Array:
    """All runs of `size` consecutive rows, each flattened, as a read-only view.

    Rows are contiguous in memory, so a run is contiguous too and starts M numbers after the previous one.

    Args:
        rows: (N, T, M).
        size: rows in a run.

    Returns:
        (N, max(0, T - size + 1), size · M).
    """
    streams, total, width = rows.shape
    shape = (streams, max(0, total - size + 1), size * width)
    if isinstance(rows, np.ndarray):
        rows = np.ascontiguousarray(rows)
        strides = (rows.strides[0], rows.strides[1], rows.strides[2])
        return np.lib.stride_tricks.as_strided(rows, shape, strides)
    rows = rows.contiguous()
    return rows.as_strided(shape, (rows.stride(0), width, 1), rows.storage_offset())


def as_real_pairs(spectra: Array) -> Array:
    """Complex64 values (…, b) as a view of interleaved real and imaginary float32 parts: (…, 2 · b)."""
    if isinstance(spectra, np.ndarray):
        return spectra.view(np.float32)
    import torch

    return torch.view_as_real(spectra).flatten(-2)
