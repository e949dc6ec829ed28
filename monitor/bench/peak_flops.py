"""Section "machine": the peak speed of matrix products on this processor, and the number of streams it would allow."""

from __future__ import annotations

from collections.abc import Callable

import torch

from monitor.bench.timing import Section, time_all
from monitor.config.schema import Config
from monitor.model.device import native_bfloat16
from monitor.model.folded_inference import window_operations

SIZE = 2048  # of the square matrices


def measure(config: Config) -> Section:
    """Measures GFLOP/s of a matrix product in float32 and bfloat16: an upper bound for the number of streams."""
    left, right = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
    low_left, low_right = left.bfloat16(), right.bfloat16()
    candidates: dict[str, Callable[[], object]] = {"float32": lambda: left @ right}
    if native_bfloat16("cpu"):
        candidates["bfloat16"] = lambda: low_left @ low_right
    timings = time_all(candidates)
    flop = window_operations(config)
    rate = 1 / config.features.hop_s
    figures: dict[str, object] = {"threads": torch.get_num_threads(), "window_mflop": flop / 1e6}
    lines = [f"{torch.get_num_threads()} threads; a window is {flop / 1e6:.2f} MFLOP, a stream {rate:.0f} a second"]
    for name in candidates:
        flops = 2 * SIZE**3 / timings.seconds(name)
        figures[name] = {"gflops": flops / 1e9, "streams_at_most": int(flops / (flop * rate))}
        lines.append(
            f"{name:9} {flops / 1e9:7.0f} GFLOP/s in a {SIZE}³ product: {flops / (flop * rate):6.0f} streams at most"
        )
    return Section(figures, lines)


def streams_at_most(config: Config, precision: str) -> float:
    """The number of streams that the peak speed of matrix products in "float32" or "bfloat16" would allow."""
    left, right = (torch.randn(SIZE, SIZE).to(getattr(torch, precision)) for _ in range(2))
    flops = 2 * SIZE**3 / time_all({precision: lambda: left @ right}).seconds(precision)
    return flops * config.features.hop_s / window_operations(config)
