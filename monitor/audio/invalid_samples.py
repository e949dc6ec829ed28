"""Replaces samples that are no numbers, because a single one would make all later scores invalid."""

from __future__ import annotations

import numpy as np

from monitor.core.types import FloatArray

MAX_AMPLITUDE = 1e6  # times full scale; larger samples could overflow float32 where they are squared and summed


def replace_invalid(samples: FloatArray) -> tuple[FloatArray, int]:
    """Replaces NaN, infinite and absurdly large samples by zeros.

    Args:
        samples: of any shape.

    Returns:
        the samples, unchanged if all are valid, otherwise a copy; and the number of samples replaced.
    """
    if not samples.size or np.abs(samples).max() <= MAX_AMPLITUDE:  # the maximum is NaN if a sample is
        return samples, 0
    valid = np.abs(samples) <= MAX_AMPLITUDE
    return np.where(valid, samples, np.float32(0.0)), int(samples.size - np.count_nonzero(valid))
