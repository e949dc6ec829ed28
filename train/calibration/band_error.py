"""The usual error of each band, by which a model with `score.kind: error` tells where an anomaly is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.core.types import FloatArray
from monitor.model.network import ON_CPU
from train.calibration.observations import Observation

MAX_WINDOWS = 10_000  # that it is measured in, if rows do not have it


def usual_band_error(bundle: Bundle, observed: Sequence[Observation]) -> FloatArray:
    """The mean squared error (n_mels,) of each band on normal recordings.

    With another `score.kind` rows have only the mean of all bands, and nothing needs that of each: it is measured again
    in some of the sound.
    """
    layout = bundle.layout
    if layout.errors == layout.n_mels:
        pieces = np.concatenate([one.pieces for one in observed])[:, layout.error_columns]
        of_rows: FloatArray = pieces.mean(axis=0).astype(np.float32)
        return of_rows
    before, network = bundle.config.features.window_frames - 1, ON_CPU.network(bundle.weights, bundle.config.features)
    normalization = bundle.normalization()
    share = max(1, MAX_WINDOWS // len(observed))
    total, windows = np.zeros(layout.n_mels), 0
    for one in observed:
        power = np.array(one.frames.power[: before + share], np.float32)
        count = len(power) - before
        if count > 0:
            residual, error = np.empty((2, 1, count, layout.n_mels), np.float32)
            network(normalization(power[None]), residual, error)
            total += error[0].sum(axis=0, dtype=np.float64)
            windows += count
    mean: FloatArray = (total / max(1, windows)).astype(np.float32)
    return mean
