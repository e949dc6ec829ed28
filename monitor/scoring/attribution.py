"""What is said about a score: which frequencies carry it, and where its threshold comes from."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.snapshot import Band, FloatArray
from monitor.core.text import counted

MOST_BANDS = 4
LEAST_SHARE = 0.05


def explain(share: Tensor, more: Tensor, band_hz: FloatArray) -> tuple[Band, ...]:
    """The ranges of frequencies that carry a score, the largest share first.

    Neighbouring bands with the same sign are one range, as long as each has a part in it that is worth naming.

    Args:
        share: of each band (n_mels,), as `monitor.scoring.scorer.Scorer.shares` gives it; negative ones carry nothing.
        more: (n_mels,) above 0 where there is more of the band than in normal sound.
        band_hz: (n_mels,) centre of each band.
    """
    shares, signs = share.clamp_min(0).double().numpy(), (more > 0).numpy()
    shares = shares / max(float(shares.sum()), 1e-300)
    found = [
        Band(*_edges(band_hz, first, last), float(shares[first : last + 1].sum()), "new" if signs[first] else "missing")
        for first, last in _ranges(shares, signs)
    ]
    worth = [band for band in sorted(found, key=lambda band: -band.share) if band.share >= LEAST_SHARE]
    return tuple(worth[:MOST_BANDS])


def band_scores(share: Tensor, more: Tensor, score: float) -> FloatArray:
    """What each band adds to a score, in its units: (n_mels,), negative where sound is missing rather than new.

    Without their signs they add up to the score; all are 0 where there is no score yet, or no band carries it.

    Args:
        share, more: (n_mels,), as in `explain`.
    """
    carried = share.clamp_min(0).nan_to_num().double()
    carried = carried * (score if math.isfinite(score) else 0.0) / carried.sum().clamp_min(1e-300)
    signed: FloatArray = torch.where(more < 0, -carried, carried).float().numpy()
    return signed


def _ranges(shares: NDArray[np.float64], signs: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    worth = shares >= 0.25 / len(shares)
    first = 0
    for i in range(1, len(shares) + 1):
        if i == len(shares) or worth[i] != worth[first] or signs[i] != signs[first]:
            if worth[first]:
                yield first, i - 1
            first = i


def _edges(band_hz: FloatArray, first: int, last: int) -> tuple[float, float]:
    """Half-way to the neighbouring bands."""
    padded = np.concatenate(([0.0], band_hz, [2 * band_hz[-1] - band_hz[-2]])).astype(np.float64)
    return float(padded[first : first + 2].mean()), float(padded[last + 1 : last + 3].mean())


def threshold_note(bundle: Bundle, config: Config, today: datetime.date | None = None) -> str:
    """Where the threshold of the score comes from, and how old it is."""
    if config.alarm.threshold is not None:
        return "set by hand"
    threshold = bundle.thresholds["score"]
    try:
        days = ((today or datetime.date.today()) - datetime.date.fromisoformat(threshold.date)).days
    except ValueError:
        return threshold.note
    return f"{threshold.note}, {'today' if days <= 0 else counted(days, 'day') + ' ago'}"
