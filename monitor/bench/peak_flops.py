"""Section "machine": the peak speed of matrix products on this processor, and the number of streams it would allow."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from monitor.bench.timing import Section, time_all
from monitor.config.schema import Config
from monitor.core.thread_pool import available_processors
from monitor.model.device import native_bfloat16
from monitor.model.folded_inference import window_operations

SIZE = 2048  # of the square matrices


def measure(config: Config) -> Section:
    """Measures GFLOP/s of a matrix product in float32 and bfloat16: an upper bound for the number of streams."""
    candidates = {precision: _product(precision) for precision in measured_precisions()}
    timings = time_all(candidates)
    flop = window_operations(config)
    rate = 1 / config.features.hop_s
    threads = available_processors()
    figures: dict[str, object] = {"threads": threads, "window_mflop": flop / 1e6}
    lines = [f"{threads} threads; a window is {flop / 1e6:.2f} MFLOP, a stream {rate:.0f} a second"]
    for name in candidates:
        flops = 2 * SIZE**3 / timings.seconds(name)
        figures[name] = {"gflops": flops / 1e9, "streams_at_most": int(flops / (flop * rate))}
        lines.append(
            f"{name:9} {flops / 1e9:7.0f} GFLOP/s in a {SIZE}³ product: {flops / (flop * rate):6.0f} streams at most"
        )
    return Section(figures, lines)


def streams_at_most(config: Config, precision: str) -> float:
    """The number of streams that the peak speed of matrix products in "float32" or "bfloat16" would allow."""
    flops = 2 * SIZE**3 / time_all({precision: _product(precision)}).seconds(precision)
    return flops * config.features.hop_s / window_operations(config)


def measured_precisions() -> list[str]:
    """The precisions whose products are measured: bfloat16 where torch is installed and the processor multiplies it."""
    return ["float32", *(["bfloat16"] if find_spec("torch") and native_bfloat16("cpu") else [])]


def _product(precision: str) -> Callable[[], object]:
    """A product of two square matrices in torch, or in numpy where torch is not installed."""
    if find_spec("torch") is None:
        random = np.random.default_rng(0)
        first, second = (random.standard_normal((SIZE, SIZE), np.float32) for _ in range(2))
        return lambda: first @ second
    import torch

    left, right = (torch.randn(SIZE, SIZE).to(getattr(torch, precision)) for _ in range(2))
    return lambda: left @ right
