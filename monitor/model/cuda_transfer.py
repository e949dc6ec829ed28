"""The torch array backend, which copies between host and GPU while the GPU computes."""

from __future__ import annotations

from typing import Any

import array_api_compat.torch as torch_namespace
import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

_TYPES = {np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64}


class TorchBackend:
    """An `ArrayBackend` (`monitor.core.array_backend`) for torch tensors on any torch device.

    On a CUDA GPU uploads and downloads each have a CUDA stream and use pinned host memory, so that the next input is
    uploaded and the last result downloaded while the GPU computes. Only `synchronize` blocks, until the downloads end.

    Args:
        device: where tensors are.
    """

    xp = torch_namespace

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.in_host_memory = self.device.type == "cpu"
        on_gpu = self.device.type == "cuda"
        self._upload_stream = torch.cuda.Stream(self.device) if on_gpu else None  # type: ignore[no-untyped-call]
        self._download_stream = torch.cuda.Stream(self.device) if on_gpu else None  # type: ignore[no-untyped-call]

    def upload(self, values: NDArray[Any]) -> Tensor:
        """Copies host values to the device. Work that is queued from now on sees the complete copy."""
        host = torch.from_numpy(np.ascontiguousarray(values))
        if self._upload_stream is None:
            return host.to(self.device, copy=not self.in_host_memory)
        pinned, compute_stream = host.pin_memory(), torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._upload_stream):
            uploaded = pinned.to(self.device, non_blocking=True)
        compute_stream.wait_stream(self._upload_stream)
        uploaded.record_stream(compute_stream)  # otherwise its memory could be reused while it is still read
        return uploaded

    def host_buffer(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Allocates an uninitialized host array, in pinned memory if the device is a CUDA GPU."""
        pinned = self._upload_stream is not None
        return torch.empty(shape, dtype=_TYPES[np.dtype(dtype)], pin_memory=pinned).numpy()

    def device_buffer(self, host: NDArray[Any]) -> Tensor:
        """An uninitialized tensor of the shape and type of the contiguous `host`, or `host`'s own memory."""
        if self.in_host_memory:
            return torch.from_numpy(host)
        return torch.empty(host.shape, dtype=_TYPES[host.dtype], device=self.device)

    def download(self, computed: Tensor, host: NDArray[Any]) -> None:
        """Starts to copy the device buffer of `host` into `host`. The copy is complete after `synchronize`."""
        target = torch.from_numpy(host)
        if self._download_stream is None:
            if not self.in_host_memory:
                target.copy_(computed)
            return
        self._download_stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._download_stream):
            target.copy_(computed, non_blocking=True)
        computed.record_stream(self._download_stream)  # as in `upload`

    def synchronize(self) -> None:
        """Waits until all downloads are complete."""
        if self._download_stream is not None:
            self._download_stream.synchronize()
