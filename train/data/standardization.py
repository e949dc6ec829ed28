"""Computes the mean and the standard deviation of each band over the training frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.config.schema import Config
from monitor.core.types import FloatArray
from monitor.features.normalization import Normalization
from train.data.feature_cache import Frames

BLOCK = 4096  # frames read at once: enough for fast reading from disk, few enough to mix blocks of many recordings


def standardization(recordings: Sequence[Frames], config: Config) -> tuple[FloatArray, FloatArray]:
    """The mean and the standard deviation of each band over all frames, in the scale of `features.scale`.

    Returns:
        mean (n_mels,) and standard deviation (n_mels,); zeros and ones if `features.standardize` is off.
    """
    n_mels = config.features.n_mels
    if not config.features.standardize:
        return np.zeros(n_mels, np.float32), np.ones(n_mels, np.float32)
    scaled = Normalization(config.features).scaled
    count, total, squares = 0, np.zeros(n_mels), np.zeros(n_mels)
    # Sums are taken of deviations from the first block's mean, to avoid cancellation in the variance.
    pivot = scaled(np.array(recordings[0].power[:BLOCK])).mean(axis=0, dtype=np.float64)
    for frames in recordings:
        for start in range(0, len(frames.power), BLOCK):
            values = scaled(np.array(frames.power[start : start + BLOCK])) - pivot
            count += len(values)
            total += values.sum(axis=0)
            squares += np.square(values).sum(axis=0)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0.0))
    # A constant band has a standard deviation of 0: it is not scaled, to avoid a division by zero.
    deviation = np.where(deviation > 1e-6, deviation, 1.0)
    return (mean + pivot).astype(np.float32), deviation.astype(np.float32)
