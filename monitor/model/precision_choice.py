"""The choice of the precision that the network is computed in: while listening by a short measurement at the start."""

from __future__ import annotations

import functools
import logging
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from monitor.config.schema import Config, Features, Model
from monitor.core.array_backend import to_numpy
from monitor.core.errors import ConfigError
from monitor.core.thread_pool import ThreadPool, single_threaded_blas
from monitor.model.device import native_bfloat16
from monitor.model.folded_inference import weight_shapes, window_operations
from monitor.model.network import Compute

if TYPE_CHECKING:
    import torch

# Floating-point operations a second: so few that another precision would save less than 5 % of a processor.
FEW_OPERATIONS = 5e9
CLEARLY_FASTER = 0.8  # of the time in float32, which rounds least
# The portions that are measured: streams at most, on a processor and on a GPU, and hops of each.
STREAMS, GPU_STREAMS, HOPS = 64, 4096, 10
MEASURED_S = 0.05  # of each precision at least

log = logging.getLogger(__name__)


def listening_precision(
    requested: str, config: Config, streams: int, device: torch.device | str, *, in_all: int | None = None
) -> str:
    """The precision of the network while listening: "float32", "bfloat16" or "int8".

    "auto" is the one that is fastest here, if there are so many streams that it matters, otherwise float32. References
    and limits that were made in one precision hold in the others (`monitor bench --only precision`).

    Args:
        requested: as `listening.precision`.
        config: settings of the model.
        streams: number of streams that are computed together.
        device: where the network is computed.
        in_all: number of streams of all models; None: there are no others.
    """
    if requested != "auto":
        return requested
    windows = (in_all or streams) / config.features.hop_s
    if windows * window_operations(config) < FEW_OPERATIONS:
        return "float32"
    most = STREAMS if str(device) == "cpu" else GPU_STREAMS
    candidates = _candidates(config.features, device)
    return _fastest(config.features, config.model, min(streams, most), str(device), candidates)


def calibration_precision(requested: str, before: str = "float32") -> str:
    """The precision that references and limits are made in, and that a model is evaluated in.

    Args:
        requested: as `listening.precision`; with "auto" it does not change.
        before: that of the model so far.
    """
    return before if requested == "auto" else requested


def _candidates(features: Features, device: torch.device | str) -> tuple[str, ...]:
    """The precisions that may be the fastest, and give the scores of float32 but for a few percent.

    int8 does so if all bands are of similar size: as decibels in standard deviations. For its bfloat16, torch is not
    imported on a processor.
    """
    on_processor = str(device) == "cpu"
    found = ["float32"]
    if on_processor and features.scale == "log" and features.standardize:
        found.append("int8")
    if (not on_processor or "torch" in sys.modules) and native_bfloat16(device):
        found.append("bfloat16")
    return tuple(found)


@functools.cache
def _fastest(features: Features, model: Model, streams: int, device: str, candidates: tuple[str, ...]) -> str:
    """The candidate that is clearly faster than float32 here, or float32. Measured once, and logged."""
    config = Config(features=features, model=model)
    measured: dict[str, float] = {}
    for precision in candidates:
        try:
            measured[precision] = seconds_per_window(config, Compute.on(device, precision), streams)
        except ConfigError:  # its library is not installed
            continue
    fastest = min(measured, key=measured.__getitem__)
    chosen = fastest if measured[fastest] < CLEARLY_FASTER * measured["float32"] else "float32"
    log.info(
        "The network is computed in %s: measured were %s a window.",
        chosen,
        ", ".join(f"{name} {1e6 * seconds:.1f} µs" for name, seconds in measured.items()),
    )
    return chosen


def seconds_per_window(config: Config, compute: Compute, streams: int) -> float:
    """The time that a window takes on one thread, or on a GPU, in a network of this size with random weights.

    On a processor it is processor time, so that other programs do not matter.

    Args:
        config: settings of the model.
        compute: device and precision.
        streams: number of streams, of which `HOPS` windows each are computed together.

    Raises:
        ConfigError: if the library that computes this precision is not installed.
    """
    features, backend = config.features, compute.backend
    random = np.random.default_rng(0)
    weights = {
        name: np.ones(shape) if name.endswith("running_var") else random.normal(0, 0.05, shape)
        for name, (shape, _) in weight_shapes(config).items()
    }
    network = compute.network(weights, features)
    shape = (streams, features.window_frames - 1 + HOPS, features.n_mels)
    frames = backend.upload(random.standard_normal(shape, np.float32))
    residual, error = (backend.upload(np.empty((streams, HOPS, width), np.float32)) for width in (features.n_mels, 1))
    clock = time.thread_time if backend.in_host_memory else time.perf_counter

    def compute_once() -> None:
        network(frames, residual, error)
        to_numpy(error[:1, :1])  # waits for a GPU

    def measure() -> float:
        compute_once()  # in which libraries make ready
        began, rounds, passed = clock(), 0, 0.0
        while passed < MEASURED_S:
            compute_once()
            rounds, passed = rounds + 1, clock() - began
        return passed / (rounds * streams * HOPS)

    pool = ThreadPool(1)  # as where streams are computed, with one thread for a matrix product
    try:
        with single_threaded_blas():
            return pool.submit(lambda _: measure(), None)()
    finally:
        pool.close()
