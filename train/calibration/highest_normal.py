"""The score that hardly any normal recording exceeds: one above it is an anomaly as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.core.types import DoubleArray
from train.calibration.highest_scores import Place
from train.data.sessions import recording_sessions

RARE = 50  # one normal recording in so many may be above
MIN_RECORDINGS = 20  # independent ones: with fewer, the highest of them says little about the next one
INDEPENDENT_S = 60.0  # of one recording, or of its pieces, that count as one: sound of the same minute is alike


def highest_normal(scores: DoubleArray, independent: int) -> float | None:
    """The score that at most one normal recording in RARE exceeds, but at least the highest of those given.

    The next recording is above the highest of n with probability 1 / (n + 1), whatever their distribution. Where that
    is more than 1 / RARE, the highest is extrapolated: the logarithms of the upper half of the scores are taken to be
    exponentially distributed above their median.

    Args:
        scores: (n,) of normal recordings of about the same length.
        independent: how many of them are independent.

    Returns:
        None if too few are independent.
    """
    independent = min(independent, len(scores))
    if independent < MIN_RECORDINGS:
        return None
    logs = np.log(np.maximum(scores, 1e-12))
    above = logs - np.median(logs)
    scale = float(above[above > 0].mean()) if (above > 0).any() else 0.0
    return float(np.exp(logs.max() + scale * max(0.0, np.log(RARE / (independent + 1)))))


def independent_recordings(places: Sequence[Place], seconds: DoubleArray) -> int:
    """How many of recordings and pieces of recordings are independent.

    Args:
        places: of each.
        seconds: (n,) their durations.
    """
    groups = recording_sessions([place.path for place in places], seconds.tolist()).groups
    lasting = np.bincount(groups, seconds) // INDEPENDENT_S
    return int(np.clip(lasting, 1, np.bincount(groups)).sum()) if len(groups) else 0
