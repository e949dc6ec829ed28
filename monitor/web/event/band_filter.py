"""Sound in some frequency bands only, and the gain that makes quiet sound audible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.core.events import Band
from monitor.core.types import DoubleArray, FloatArray

ORDER = 4  # of the Butterworth filter, which is applied forwards and backwards: 48 dB per octave on each side
LOWEST_HZ = 10.0
HIGHEST = 0.49  # of the sample rate
NARROWEST = 0.06  # width of a band as a share of its centre: narrower ones would only ring
PEAK_DBFS = -3.0  # that the louder sound gets
MOST_DB = 60.0  # of amplification: what is quieter is silence


def only_bands(samples: FloatArray, rate: int, bands: Sequence[Band]) -> FloatArray:
    """What is in some frequency bands of a sound, without delay (`scipy.signal.sosfiltfilt`).

    Args:
        samples: (n,).
        rate: their sample rate in Hz.
        bands: frequency bands; those that touch each other are one.

    Returns:
        samples (n,); zeros if no band is below half the sample rate.
    """
    from scipy.signal import butter, sosfiltfilt

    total = np.zeros(len(samples), np.float64)
    for low, high in edges(rate, bands):
        sections = butter(ORDER, (low, high), "bandpass", fs=rate, output="sos")
        # At the ends the sound is continued for three periods of the lowest frequency.
        padding = min(len(samples) - 1, int(3 * rate / low))
        if padding > 0:
            total += sosfiltfilt(sections, samples.astype(np.float64), padlen=padding)
    return total.astype(np.float32)


def edges(rate: int, bands: Sequence[Band]) -> list[tuple[float, float]]:
    """The limits in Hz of the filters for bands, in ascending order; touching bands are one."""
    found: list[tuple[float, float]] = []
    for band in sorted(bands, key=lambda one: one.low_hz):
        centre = (band.low_hz + band.high_hz) / 2
        half = max(band.high_hz - band.low_hz, NARROWEST * centre) / 2
        low, high = max(centre - half, LOWEST_HZ), min(centre + half, HIGHEST * rate)
        if low >= high:
            continue
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found


def common_gain_db(sounds: Sequence[FloatArray | DoubleArray]) -> float:
    """The gain in dB, the same for all sounds, that brings the loudest of them to `PEAK_DBFS`; never below 0.

    The same gain for all keeps which of them is louder. Silence is not amplified.
    """
    peak = max((float(np.abs(sound).max()) for sound in sounds if len(sound)), default=0.0)
    if peak <= 10 ** ((PEAK_DBFS - MOST_DB) / 20):
        return MOST_DB if peak > 0 else 0.0
    return max(0.0, PEAK_DBFS - 20 * float(np.log10(peak)))
