"""The sound level of a frame, computed from its mel bands."""

from __future__ import annotations

import numpy as np

from monitor.config.schema import Features
from monitor.core.types import DoubleArray, FloatArray
from monitor.features.mel import mel_filters

SILENCE = 1e-20  # mean square, -200 dBFS
OFFSET_BINS = 2  # bins of a Hann spectrum that a constant offset is in


class FrameLevel:
    """Computes the mean square of the samples in a power mel frame, between fmin and fmax.

    Triangular filters of height 1 add up to 1 at every frequency between the first and the last centre. The mel filters
    have equal area instead, so the bands are weighted to equal height; their sum is then the power of the spectrum.
    For a one-sided spectrum with a Hann window, that power is n_fft² · 3 / 16 times the mean square of the samples
    (Parseval's theorem).

    A constant offset of the samples, which many sound cards have, is in the lowest two bins because of the Hann window.
    Bands that contain one of these are left out.

    Args:
        features: settings of the mel bands.
        with_offset: keep the lowest bands, as models of older formats do.
    """

    def __init__(self, features: Features, *, with_offset: bool = False) -> None:
        bins = features.n_fft // 2 + 1
        filters = mel_filters(features, bins)
        area = filters.sum(axis=0, dtype=np.float64)
        height = mel_filters(features, bins, equal_area=False).sum(axis=0, dtype=np.float64)
        parseval = features.n_fft**2 * 3 / 16
        weights = np.divide(height, area * parseval, out=np.zeros_like(area), where=area > 0)
        if not with_offset:
            weights *= filters[:OFFSET_BINS].sum(axis=0) == 0
        self._weights = weights.astype(np.float32)

    def mean_square(self, power: FloatArray) -> DoubleArray:
        """Power mel frames (…, n_mels) -> mean squares (…), at least `SILENCE`."""
        squares: DoubleArray = np.maximum((power @ self._weights).astype(np.float64), SILENCE)
        return squares

    def dbfs(self, power: FloatArray) -> DoubleArray:
        """Power mel frames (…, n_mels) -> levels (…) in dBFS, at least -200 (silence)."""
        levels: DoubleArray = 10 * np.log10(self.mean_square(power))
        return levels
