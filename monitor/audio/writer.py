"""Conversion of samples to the 16-bit integers of sound files, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.core.types import FloatArray

FORMATS = {".wav": "WAV", ".flac": "FLAC"}  # that recordings are written in, by suffix


def as_int16(samples: FloatArray) -> NDArray[np.int16]:
    """Converts samples of full scale 1 to 16-bit integers; exact for samples that came from 16-bit integers."""
    scaled: NDArray[np.int16] = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    return scaled


def from_int16(samples: NDArray[np.int16]) -> FloatArray:
    """Converts 16-bit integers to samples of full scale 1, exactly."""
    return samples.astype(np.float32) / np.float32(32768.0)
