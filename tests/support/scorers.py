"""Small models with random reference distributions, and rows of statistics for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.scoring.gaussian import Reference
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.score_parts import SCORE_KINDS, STATISTICS
from monitor.scoring.scorer import Scorer
from support.builders import small_bundle, small_config

KINDS = list(SCORE_KINDS)
WIDTH = 4 * (len(STATISTICS) - 1) + 1  # of rows with all statistics of four bands
LAYOUT = RowLayout(4, len(STATISTICS))
FITTED = [kind for kind in KINDS if SCORE_KINDS[kind]]  # those that have reference distributions
MACHINES = {  # what the model of a machine can have beside the usual
    "modes": {"modes": 3},
    "peaks": {"peaks": True},
    "rhythm": {"rhythm": True},
    "all": {"modes": 2, "rhythm": True, "peaks": True},
}


def random_bundle(kind: str, *, n_mels: int = 4, seed: int = 0, **machine: Any) -> Bundle:
    """A model with few bands and random numbers."""
    return small_bundle(small_config(f"features.n_mels={n_mels}", f"score.kind={kind}"), seed=seed, **machine)


def random_rows(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


def machine_rows(bundle: Bundle, *shape: int, seed: int = 0) -> np.ndarray:
    """Random mean rows (…, mean_width), with shares of the modes that add up to 1, and in some no intervals."""
    layout, random = bundle.layout, np.random.default_rng(seed)
    rows = random.random((*shape, layout.mean_width))
    if layout.modes:
        rows[..., layout.mode_columns] = random.dirichlet(np.full(layout.modes, 0.5), shape)
    if layout.peaks:
        rows[..., layout.peak_columns] *= random.uniform(0, 8, (*shape, 1))
    if layout.rhythm:
        intervals = rows[..., layout.impulse_column] * (random.random(shape) < 0.7)
        rows[..., layout.impulse_column] = intervals
        rows[..., layout.surprise_column] = intervals * random.uniform(0, 5, shape)
    return rows


def with_references(bundle: Bundle, references: dict[str, Reference]) -> Scorer:
    return Scorer(bundle.config, references, bundle.usual_band_error)


def uncorrelated(bundle: Bundle) -> dict[str, Reference]:
    """The reference distributions of a model with unit covariance."""
    return {
        part: Reference(one.centre, np.eye(len(one.centre)), one.log_distance)
        for part, one in bundle.references.items()
    }
