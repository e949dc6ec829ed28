"""Copies between the CPU and the device that computes, which go on while it computes."""

from __future__ import annotations

import torch
from torch import Tensor


class Transfers:
    """To a device and back again. Where the device is the CPU nothing is copied.

    On a GPU each direction has a stream of its own, from and to pinned memory: the next portion comes, and the last one
    goes, while one is computed. Nothing waits, but `finish` for what goes back.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.needed = device.type != "cpu"
        on_gpu = device.type == "cuda"
        self._coming = torch.cuda.Stream(device) if on_gpu else None  # type: ignore[no-untyped-call]
        self._going = torch.cuda.Stream(device) if on_gpu else None  # type: ignore[no-untyped-call]

    def up(self, values: Tensor) -> Tensor:
        """Values on the CPU, on the device, for what is computed from now on."""
        if self._coming is None:
            return values.to(self.device, copy=self.needed)
        pinned, present = values.pin_memory(), torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._coming):
            there = pinned.to(self.device, non_blocking=True)
        present.wait_stream(self._coming)
        there.record_stream(present)  # or its memory would be given away while it is still read
        return there

    def home(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """An empty tensor on the CPU, for what comes back."""
        return torch.empty(shape, dtype=dtype, pin_memory=self._coming is not None)

    def room(self, home: Tensor) -> Tensor:
        """Where to compute what `home`, which is contiguous, is to hold: itself, or its like on the device."""
        return torch.empty_like(home, device=self.device, pin_memory=False) if self.needed else home

    def down(self, computed: Tensor, home: Tensor) -> None:
        """What has been computed in the room for `home` goes there."""
        if self._going is None:
            if self.needed:
                home.copy_(computed)
            return
        self._going.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._going):
            home.copy_(computed, non_blocking=True)
        computed.record_stream(self._going)

    def finish(self) -> None:
        """Waits until all that goes back has arrived."""
        if self._going is not None:
            self._going.synchronize()
