"""Recordings that are arrays of power mel frames (.npy), read on demand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from monitor.core.errors import DataError
from monitor.core.types import FloatArray
from train.data.frames_in_file import FramesInFile

CHECKED_ROWS = 4096  # rows that are checked at once, so that memory does not grow with the array


@dataclass(frozen=True, slots=True)
class ArrayFrames(FramesInFile):
    """Consecutive rows of an array in a .npy file, which is mapped into memory only while it is read."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> FloatArray:
        stored = _mapped(self.path)[self.start : self.start + len(self)]
        if stored.shape != self.shape:
            raise DataError(f"{self.path}: has been changed while it was in use: begin again.")
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            return np.array(stored, np.float32 if dtype is None else dtype, order="C")


def open_array(path: Path, n_mels: int) -> tuple[ArrayFrames, float]:
    """Opens an array, and reads it once to check its values.

    Returns:
        all rows, and the square root of the largest power.

    Raises:
        DataError: if the file is not an array of finite real numbers, not negative, of the shape (frames, n_mels).
    """
    power = _mapped(path)
    if power.dtype.kind not in "fiu":
        raise DataError(f"{path}: power mel frames are real numbers, this array holds {power.dtype}.")
    if power.ndim != 2 or power.shape[1] != n_mels:
        raise DataError(
            f"{path}: an array of power mel frames has the shape (frames, {n_mels}), this one has {power.shape}."
        )
    frames, highest = ArrayFrames(path, 0, (power.shape[0], n_mels)), 0.0
    for start in range(0, len(frames), CHECKED_ROWS):
        values = np.array(frames[start : start + CHECKED_ROWS])
        if not np.isfinite(values).all() or (values < 0).any():
            raise DataError(f"{path}: power mel frames are finite and not negative; these are not (are they in dB?).")
        highest = max(highest, float(values.max()))
    return frames, float(np.sqrt(highest))


def _mapped(path: Path) -> NDArray[Any]:
    try:
        # numpy parses the header as a Python literal, so a damaged one can raise many kinds of exceptions.
        return open_memmap(path, mode="r")
    except Exception as error:  # noqa: BLE001
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: is not an array that can be read: {reason}.") from None
