"""An untrained model for benchmarks: it takes as long to compute as a trained one."""

from __future__ import annotations

import numpy as np

from monitor.bundle.bundle import Bundle, placeholder_references
from monitor.bundle.bundle_io import with_model_id
from monitor.bundle.threshold import THRESHOLDS, Threshold
from monitor.config.schema import Config
from monitor.model.folded_inference import weight_shapes


def untrained_bundle(config: Config) -> Bundle:
    """Creates a bundle with random weights, of the size that the settings require."""
    random, n_mels = np.random.default_rng(0), config.features.n_mels
    weights = {
        name: np.array(0, np.int64) if kind == "I64" else _random_weights(random, name, shape)
        for name, (shape, kind) in weight_shapes(config).items()
    }
    threshold = Threshold(
        value=1e9, method="normal", recordings=1, seconds=1.0, expected=1.0, note="none: a model for measuring"
    )
    return with_model_id(
        Bundle(
            config, weights, np.full(n_mels, -40.0, np.float32), np.full(n_mels, 10.0, np.float32),
            np.ones(n_mels, np.float32), placeholder_references(config), dict.fromkeys(THRESHOLDS, threshold),
            np.linspace(0, 10, 1000),
        )
    )  # fmt: skip


def _random_weights(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("running_var") or (name.startswith("bn") and name.endswith(".weight")):
        return np.ones(shape, np.float32)
    scale = 1 / np.sqrt(shape[-1]) if len(shape) == 2 else 0.0
    return (scale * random.standard_normal(shape)).astype(np.float32)
