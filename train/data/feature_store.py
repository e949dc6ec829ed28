"""Power mel frames as a file keeps them: decibels in 16 bits, read when they are asked for.

A power spans many decades, which float16 does not (its largest number is 65504), and float16 decibels have steps of
0.06 dB at -100 dB. A 16-bit number of steps of 0.005 dB has the same error everywhere, 0.0025 dB or 0.06 %, far below
what a model can tell apart, in half the room of float32.

A file is opened only while it is read: a set of a hundred thousand recordings would need more memory maps than a
system gives.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monitor.core.errors import DataError
from monitor.core.snapshot import FloatArray

STEP_DB, LOWEST_DB = 0.005, -150.0  # code 1 is LOWEST_DB, code 0 is no power at all, 65535 is 177.67 dB
HIGHEST = 65535
MAGIC = b"melcode1"
FOOTER = struct.Struct("<8sQIdd")  # magic, frames, bands, peak, clipped share


def encoded(power: Tensor) -> NDArray[np.uint16]:
    """Power, any shape, as codes. What is below -150 dB is no power, what is above 177 dB is that."""
    steps = torch.log10(power).mul_(10 / STEP_DB).add_(1 - LOWEST_DB / STEP_DB).round_().clamp_(0, HIGHEST)
    codes: NDArray[np.uint16] = steps.to(torch.int32).numpy().astype(np.uint16)
    return codes


def decoded(codes: NDArray[np.uint16]) -> FloatArray:
    """Codes, any shape, as power."""
    return np.take(_powers(), codes)


@functools.cache
def _powers() -> FloatArray:
    powers = 10 ** ((LOWEST_DB + STEP_DB * (np.arange(HIGHEST + 1) - 1)) / 10)
    powers[0] = 0.0
    return powers.astype(np.float32)


@dataclass(frozen=True, slots=True)
class FrameFile:
    """Some consecutive frames in a file, as an array of (frames, n_mels) float32 power that is read on demand."""

    path: Path
    start: int
    shape: tuple[int, int]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> FrameFile:
        """Consecutive frames of these, not read yet."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError("frames in a file are read one after another")
        return FrameFile(self.path, self.start + start, (max(0, stop - start), self.shape[1]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> FloatArray:
        codes = np.empty(self.shape, np.uint16)
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(self.start * self.shape[1] * 2)
                read = file.readinto(codes.data) if codes.size else 0
        except OSError as error:
            raise DataError(f"{self.path}: kept frames cannot be read: {error.strerror}.") from None
        if read != codes.nbytes:
            raise DataError(f"{self.path}: kept frames have been cut off; begin again, and they are made anew.")
        power = decoded(codes)
        return power if dtype is None else power.astype(dtype, copy=False)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a file holds: frames, and what was noticed of the sound they were made of."""

    power: FrameFile
    peak: float
    clipped_share: float


def footer(frames: int, n_mels: int, peak: float, clipped_share: float) -> bytes:
    """What ends a file of frames; without it the file is not whole."""
    return FOOTER.pack(MAGIC, frames, n_mels, peak, clipped_share)


def opened(path: Path, n_mels: int) -> Kept | None:
    """What is kept in a file; None if there is no such file, or it is not whole."""
    try:
        with path.open("rb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - FOOTER.size))
            magic, frames, bands, peak, clipped_share = FOOTER.unpack(file.read(FOOTER.size))
    except (OSError, struct.error):
        return None
    if magic != MAGIC or bands != n_mels or size != 2 * frames * n_mels + FOOTER.size:
        return None
    return Kept(FrameFile(path, 0, (frames, n_mels)), peak, clipped_share)


def write_quickly(path: Path, pieces: Iterable[bytes], name: str) -> None:
    """Writes a file that can be made again: whole or not at all for readers, without waiting for the disk.

    Args:
        name: of the writer, unlike that of any other who may write the same file now.

    Raises:
        OSError: if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.writelines(pieces)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
