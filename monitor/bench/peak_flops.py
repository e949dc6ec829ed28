"""What the processor manages: the peak of its matrix products, and the streams that this would allow."""

from __future__ import annotations

from collections.abc import Callable

import torch

from monitor.bench.timing import Section, race
from monitor.config.schema import Config
from monitor.model.autoencoder import Autoencoder
from monitor.model.device import native_bfloat16

SIZE = 2048  # of the square matrices


def measure(config: Config) -> Section:
    """GFLOP/s of a matrix product in float32 and bfloat16, and how many streams fit in them at most."""
    left, right = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
    low_left, low_right = left.bfloat16(), right.bfloat16()
    contestants: dict[str, Callable[[], object]] = {"float32": lambda: left @ right}
    if native_bfloat16(left.device):
        contestants["bfloat16"] = lambda: low_left @ low_right
    timings = race(contestants)
    flop = window_operations(config)
    rate = 1 / config.features.hop_s
    figures: dict[str, object] = {"threads": torch.get_num_threads(), "window_mflop": flop / 1e6}
    lines = [f"{torch.get_num_threads()} threads; a window is {flop / 1e6:.2f} MFLOP, a stream {rate:.0f} a second"]
    for name in contestants:
        speed = 2 * SIZE**3 / timings.seconds(name)
        figures[name] = {"gflops": speed / 1e9, "streams_at_most": int(speed / (flop * rate))}
        lines.append(
            f"{name:9} {speed / 1e9:7.0f} GFLOP/s in a {SIZE}³ product: {speed / (flop * rate):6.0f} streams at most"
        )
    return Section(figures, lines)


def window_operations(config: Config) -> int:
    """Floating-point operations of the model's products on one window."""
    model = Autoencoder.from_config(config)
    return sum(2 * module.weight.numel() for module in model.modules() if isinstance(module, torch.nn.Linear))
