"""The level of a sound, and its part in a frequency band."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from support.builders import RATE


def level(sound: NDArray[np.floating]) -> float:
    """Returns the RMS level in dBFS."""
    return 10 * math.log10(np.mean(np.square(sound, dtype=np.float64)))


def between(sound: NDArray[np.floating], low: float, high: float) -> NDArray[np.floating]:
    """Returns the part of a sound between two frequencies, cut in the spectrum, which is sharper than a filter."""
    spectrum = np.fft.rfft(sound)
    at = np.fft.rfftfreq(len(sound), 1 / RATE)
    return np.fft.irfft(np.where((at > low) & (at < high), spectrum, 0))
