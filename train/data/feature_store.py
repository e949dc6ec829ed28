"""Files of power mel frames: decibels as 16-bit integers, read on demand.

The range of float16 (up to 65504) is too small for powers, and decibels in float16 have steps of 0.06 dB at -100 dB.
16-bit integers with steps of 0.005 dB have the same small error everywhere, 0.0025 dB or 0.06 %, and need half the
space of float32.

A file is open only while it is read: memory maps of a hundred thousand recordings would exceed the system's limit.
"""

from __future__ import annotations

import functools
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.errors import DataError
from monitor.core.types import FloatArray

STEP_DB, LOWEST_DB = 0.005, -150.0  # code 0 is a power of 0, code 1 is LOWEST_DB, code 65535 is 177.67 dB
HIGHEST = 65535  # the highest code
MAGIC = b"melcode1"
FOOTER = struct.Struct("<8sQIdd")  # magic, frames, bands, peak, clipped share


def encoded(power: FloatArray) -> NDArray[np.uint16]:
    """Encodes powers of any shape. Powers below -150 dB become 0, powers above 177.67 dB become 177.67 dB."""
    with np.errstate(divide="ignore"):
        steps = np.log10(power)
    steps *= 10 / STEP_DB
    steps += 1 - LOWEST_DB / STEP_DB
    np.rint(steps, out=steps)
    return np.clip(steps, 0, HIGHEST, out=steps).astype(np.uint16)


def decoded(codes: NDArray[np.uint16]) -> FloatArray:
    """The powers of codes of any shape."""
    return np.take(_powers(), codes)


@functools.cache
def _powers() -> FloatArray:
    powers = 10 ** ((LOWEST_DB + STEP_DB * (np.arange(HIGHEST + 1) - 1)) / 10)
    powers[0] = 0.0
    return powers.astype(np.float32)


@dataclass(frozen=True, slots=True)
class StoredFrames:
    """Consecutive frames in a file, which numpy reads on demand as an array (frames, n_mels) of float32 powers."""

    path: Path
    start: int  # number of the first frame in the file
    shape: tuple[int, int]  # (frames, n_mels)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> StoredFrames:
        """A slice of the frames, which is not read yet."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError("frames in a file are read one after another")
        return StoredFrames(self.path, self.start + start, (max(0, stop - start), self.shape[1]))

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
class Stored:
    """The content of a file: the frames of a recording, and the peak and clipping of its samples."""

    power: StoredFrames
    peak: float  # largest absolute sample
    clipped_share: float  # share of clipped samples


def footer(frames: int, n_mels: int, peak: float, clipped_share: float) -> bytes:
    """The last bytes of a file of frames; a file without them is incomplete."""
    return FOOTER.pack(MAGIC, frames, n_mels, peak, clipped_share)


def open_stored(path: Path, n_mels: int) -> Stored | None:
    """Opens a file of frames; returns None if it is missing, incomplete, or has another number of bands."""
    try:
        with path.open("rb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - FOOTER.size))
            magic, frames, bands, peak, clipped_share = FOOTER.unpack(file.read(FOOTER.size))
    except (OSError, struct.error):
        return None
    if magic != MAGIC or bands != n_mels or size != 2 * frames * n_mels + FOOTER.size:
        return None
    return Stored(StoredFrames(path, 0, (frames, n_mels)), peak, clipped_share)
