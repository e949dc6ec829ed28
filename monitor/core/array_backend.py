"""Array backends: one interface for numpy arrays in host memory and torch tensors on a GPU.

Code that runs on both is written against the array API standard (https://data-apis.org/array-api) and takes its
functions from `namespace(x)`. This module has the interface, the numpy backend, and the few array operations that the
standard lacks. The torch backend is `monitor.model.cuda_transfer.TorchBackend`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from monitor.core.types import Array, IndexArray


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
        values, count = np.ascontiguousarray(values), max(0, (values.shape[1] - size) // step + 1)
        strides = (values.strides[0], step * values.itemsize, values.itemsize)
        return _view(values, (len(values), count, size), strides)
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
        return _view(rows, shape, rows.strides)
    rows = rows.contiguous()
    return rows.as_strided(shape, (rows.stride(0), width, 1), rows.storage_offset())


def _view(values: NDArray[Any], shape: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[Any]:
    """A read-only view of a contiguous array: as `numpy.lib.stride_tricks.as_strided`, in a tenth of its time."""
    view: NDArray[Any] = np.ndarray(shape, values.dtype, values, 0, strides)
    view.flags.writeable = False
    return view


def sliding_maxima(values: Array, size: int, out: Array | None = None) -> Array:
    """The maximum of each run of `size` consecutive values, as described at `_sliding_extremes`."""
    xp = namespace(values)
    return _sliding_extremes(xp.max, xp.maximum, values, size, out)


def sliding_minima(values: Array, size: int, out: Array | None = None) -> Array:
    """The minimum of each run of `size` consecutive values, as described at `_sliding_extremes`."""
    xp = namespace(values)
    return _sliding_extremes(xp.min, xp.minimum, values, size, out)


def _sliding_extremes(
    of_all: Callable[..., Array], of_two: Callable[..., Array], values: Array, size: int, out: Array | None
) -> Array:
    """The extreme of each run of `size` consecutive values.

    The extreme of 2, 4, 8, … values is that of two overlapping halves, so many runs take log2(size) steps.

    Args:
        of_all: the extreme along an axis.
        of_two: the extremes of two arrays.
        values: (n, t, …).
        size: values in a run, at least 1.
        out: (n, t - size + 1, …) written; None allocates an array.

    Returns:
        (n, t - size + 1, …): `out`, or else it may be `values`.
    """
    covered = 1
    if values.shape[1] == size:
        values, covered = of_all(values, axis=1, keepdims=True), size
    while covered < size:
        step = min(covered, size - covered)
        values = of_two(values[:, step:], values[:, : values.shape[1] - step])
        covered += step
    if out is None:
        return values
    out[...] = values
    return out


def run_or_numbers(numbers: IndexArray | slice) -> IndexArray | slice:
    """A slice in place of ascending consecutive numbers (n,): indexing with a slice copies nothing."""
    if isinstance(numbers, slice) or not len(numbers):
        return numbers
    first, last = int(numbers[0]), int(numbers[-1])
    is_run = last - first == len(numbers) - 1 and (len(numbers) <= 2 or bool((np.diff(numbers) == 1).all()))
    return slice(first, last + 1) if is_run else numbers


def numbers_of(run_or_numbers: IndexArray | slice) -> IndexArray:
    """The numbers (n,) that `run_or_numbers` was made of."""
    return np.arange(run_or_numbers.start, run_or_numbers.stop) if isinstance(run_or_numbers, slice) else run_or_numbers


def on_device(run_or_numbers: IndexArray | slice, backend: ArrayBackend) -> Array | slice:
    """What indexes arrays on the device of `backend` by a slice or by numbers (n,) in host memory."""
    return run_or_numbers if isinstance(run_or_numbers, slice) else backend.upload(run_or_numbers)


def mean_over_frames(by_frame: Array) -> Array:
    """The mean over the W frames of each window: (…, W, M) -> (…, M)."""
    if isinstance(by_frame, np.ndarray):  # a matrix product is several times as fast as mean
        frames = by_frame.shape[-2]
        return (np.full((1, frames), 1 / frames, np.float32) @ by_frame)[..., 0, :]
    return by_frame.mean(dim=-2)


def mean_square(values: Array) -> Array:
    """The mean of the squares of the last axis: (…, M) -> (…)."""
    if isinstance(values, np.ndarray):  # no array of squares is made
        return np.vecdot(values, values) * np.float32(1 / values.shape[-1])
    return values.square().mean(dim=-1)


def as_real_pairs(spectra: Array) -> Array:
    """Complex64 values (…, b) as a view of interleaved real and imaginary float32 parts: (…, 2 · b)."""
    if isinstance(spectra, np.ndarray):
        return spectra.view(np.float32)
    import torch

    return torch.view_as_real(spectra).flatten(-2)
