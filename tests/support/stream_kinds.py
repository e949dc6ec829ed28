"""Models of all kinds of settings and machines, and the scores of their streams as they are defined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.model.network import ON_CPU, Compute
from monitor.streaming.hops import HopCutter
from monitor.streaming.portion import Portion, joined
from monitor.streaming.stream_batch import StreamBatch
from support.builders import noise, pieces, small_bundle, small_config
from support.oracle import Expected

COUNT = 5  # streams of a batch
SETTINGS = (
    (),
    ("score.kind=error", "score.window_s=0"),
    ("score.kind=mahalanobis", "score.window_s=0.17"),
    ("features.hop_length=256",),
    ("features.n_fft=1024", "features.window_frames=6", "score.kind=spectrum"),
    ("features.hop_length=512", "features.window_frames=2"),
    ("features.scale=power",),
)
# What the machines with these settings have.
MACHINES = {0: {"modes": 3, "rhythm": True, "peaks": True}, 3: {"rhythm": True}, 4: {"modes": 2, "peaks": True}}
BUNDLES = [
    small_bundle(small_config(*overrides), seed=number, **MACHINES.get(number, {}))
    for number, overrides in enumerate(SETTINGS)
]


def assert_equal(found: Portion, expected: Portion, *, tolerance: float = 1e-5) -> None:
    """Equal except for rounding, because sums may be computed in another order."""
    for name in Portion._fields:
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert ours.shape == theirs.shape, name
        largest = np.abs(np.nan_to_num(theirs)).max(initial=0.0)
        within = 0.0 if name in ("score", "mean_square") else tolerance * largest
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=within, equal_nan=True, err_msg=name)


def assert_as_defined(found: Portion, expected: Expected) -> None:
    """Compares float32 results with float64 ones; the tolerances are for float32 decibels that are squared twice."""
    for name in Expected._fields:
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert ours.shape == theirs.shape, name
        largest = np.abs(np.nan_to_num(theirs)).max(initial=0.0)
        within = 1e-9 if name == "score" else 1e-5 * largest
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=within, equal_nan=True, err_msg=name)


def sound(bundle: Bundle, stream: int, step: int, hops: int, *, rest: int = 0) -> np.ndarray:
    """Noise whose level differs between steps and between streams."""
    samples = hops * bundle.config.features.hop_length + rest
    return noise(samples, seed=100 * step + stream, amplitude=10.0 ** -((step + stream) % 4))


def together(portions: Sequence[Portion]) -> Portion:
    """Concatenates consecutive portions of one stream."""
    whole = portions[0]
    for portion in portions[1:]:
        whole = joined(whole, portion)
    return whole


def scored(bundle: Bundle, samples: np.ndarray, cuts: Sequence[int], *, compute: Compute = ON_CPU) -> Portion:
    """All results of one stream of samples (n,) that arrive in pieces of any length."""
    batch, cutter = StreamBatch(bundle, compute=compute), HopCutter(bundle.config.features.hop_length)
    portions = []
    for part in pieces(len(samples), cuts):
        portions += batch.push(cutter.push(samples[part])[None], [0]).portions()
    return together([*portions, batch.flush(0, cutter.remainder)])
