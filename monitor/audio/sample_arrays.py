"""Arrays of samples that come from other Python code: to mono float32 with full scale 1, with checks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.audio.resampling import require_channel, select_channel
from monitor.config.setting_types import MAX_CHANNELS, SAMPLE_RATES, Channel
from monitor.core.arguments import is_number
from monitor.core.errors import DataError
from monitor.core.text import shortened
from monitor.core.types import FloatArray

MAX_AMPLITUDE = 100.0  # times full scale: larger floats are integers that were not scaled


def mono_samples(samples: NDArray[Any], channel: Channel) -> FloatArray:
    """Converts samples to mono float32 with full scale 1.

    Args:
        samples: (n,) or (n, channels), floats with full scale 1 or integers of any size.
        channel: number of a channel, or "mix" for the mean of all channels.

    Returns:
        samples (n,).

    Raises:
        DataError: if the array has another shape or no real numbers, if there is no such channel, or if numbers are not
            finite or far beyond full scale.
    """
    mono = mono_block(samples, channel)
    if not np.isfinite(mono).all():
        count = int(np.count_nonzero(~np.isfinite(mono)))
        first = int(np.flatnonzero(~np.isfinite(mono))[0])
        raise DataError(f"{count} of {len(mono)} samples are not finite, the first of them number {first}.")
    if len(mono) and float(np.abs(mono).max()) > MAX_AMPLITUDE:
        raise DataError(
            f"samples go up to {float(np.abs(mono).max()):.4g}, where 1 is full scale: 16-bit integers that were "
            "converted to floats must be divided by 32768."
        )
    return mono


def mono_block(samples: NDArray[Any], channel: Channel) -> FloatArray:
    """As `mono_samples`, whatever the floats are: where sound goes on, what is not finite is counted and replaced.

    Raises:
        DataError: if the array has another shape or no real numbers, or if there is no such channel.
    """
    try:
        array = np.asarray(samples)
    except ValueError:  # lists of different lengths
        raise DataError("samples must be an array (n,) or (n, channels), not lists of different lengths.") from None
    if array.ndim not in (1, 2) or (array.ndim == 2 and not 1 <= array.shape[1] <= MAX_CHANNELS):
        advice = " Transpose it with .T." if array.ndim == 2 else ""
        raise DataError(f"samples must be an array (n,) or (n, channels), not one of the shape {array.shape}.{advice}")
    block = _full_scale_1(array if array.ndim == 2 else array[:, None])
    try:
        require_channel(channel, block.shape[1])
    except DataError as error:
        raise DataError(f"{error}.") from None
    return select_channel(block, channel)


def require_rate(sample_rate: int) -> int:
    """Returns a sample rate as an int.

    Raises:
        DataError: if it is not a whole number within SAMPLE_RATES.
    """
    low, high = SAMPLE_RATES
    if not is_number(sample_rate) or not low <= sample_rate <= high or int(sample_rate) != sample_rate:
        shown = shortened(repr(sample_rate))
        raise DataError(f"sample_rate must be a whole number from {low} to {high} Hz, not {shown}.")
    return int(sample_rate)


def _full_scale_1(array: NDArray[Any]) -> FloatArray:
    """The samples as float32 of full scale 1."""
    kind = array.dtype.kind
    if kind == "f":
        with np.errstate(over="ignore"):  # larger numbers become infinite
            return array.astype(np.float32, copy=False)
    if kind == "i":
        return (array / -float(np.iinfo(array.dtype).min)).astype(np.float32)
    if kind == "u":
        half = (int(np.iinfo(array.dtype).max) + 1) / 2  # silence, as in 8-bit wav files
        return ((array.astype(np.float64) - half) / half).astype(np.float32)
    raise DataError(f"samples must be real numbers, not {array.dtype}.")
