"""Attribution: the frequency ranges that contribute to an anomaly score, each with new or missing sound."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from monitor.core.events import Band
from monitor.core.types import BoolArray, DoubleArray, FloatArray

MAX_RANGES = 4
MIN_SHARE = 0.05  # of the score: smaller ranges are not reported
TINY = 1e-300


def contributing_ranges(share: DoubleArray, direction: DoubleArray, band_hz: FloatArray) -> tuple[Band, ...]:
    """The frequency ranges that contribute to a score, the largest share first; at most `MAX_RANGES`.

    Neighbouring mel bands with the same direction make one range, as long as the share of each is significant.

    Args:
        share: (n_mels,) share of each band, as `monitor.scoring.scorer.Scorer.shares` returns it; negative shares count
            as 0.
        direction: (n_mels,) > 0 for bands with more sound than normal, < 0 for bands with less.
        band_hz: (n_mels,) centre of each band.
    """
    shares, new = np.maximum(share, 0.0), direction > 0
    shares = shares / max(float(shares.sum()), TINY)
    ranges = [
        Band(*_edges(band_hz, first, last), float(shares[first : last + 1].sum()), "new" if new[first] else "missing")
        for first, last in _ranges(shares, new)
    ]
    reported = [band for band in sorted(ranges, key=lambda band: -band.share) if band.share >= MIN_SHARE]
    return tuple(reported[:MAX_RANGES])


def signed_contributions(share: DoubleArray, direction: DoubleArray, score: DoubleArray) -> FloatArray:
    """The contribution of each band to scores, in units of the score; negative for bands with missing sound.

    The absolute values add up to the score. All are 0 if there is no score yet (NaN), or if no share is positive.

    Args:
        share: (…, n_mels), as in `contributing_ranges`.
        direction: (…, n_mels), as in `contributing_ranges`.
        score: (…).

    Returns:
        contributions (…, n_mels).
    """
    positive = np.nan_to_num(np.maximum(share, 0.0))
    scale = np.nan_to_num(score, posinf=0.0) / np.maximum(positive.sum(axis=-1), TINY)
    positive *= scale[..., None]
    signed: FloatArray = np.where(direction < 0, -positive, positive).astype(np.float32)
    return signed


def _ranges(shares: DoubleArray, new: BoolArray) -> Iterator[tuple[int, int]]:
    """The first and the last band of each run of bands with a significant share and the same direction."""
    significant = shares >= 0.25 / len(shares)  # a quarter of the mean share
    first = 0
    for i in range(1, len(shares) + 1):
        if i == len(shares) or significant[i] != significant[first] or new[i] != new[first]:
            if significant[first]:
                yield first, i - 1
            first = i


def _edges(band_hz: FloatArray, first: int, last: int) -> tuple[float, float]:
    """The limits of a range in Hz: half-way to the centres of the neighbouring bands."""
    padded = np.concatenate(([0.0], band_hz, [2 * band_hz[-1] - band_hz[-2]])).astype(np.float64)
    return float(padded[first : first + 2].mean()), float(padded[last + 1 : last + 3].mean())
