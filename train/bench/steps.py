"""Measures training steps, by precision: their speed, the share of the products' peak, and what a step consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from monitor.bench.timing import Timings, time_all
from train.fitting.loop import Trainer
from train.fitting.random_numbers import NoisePool, dropout_mask

WINDOWS = 6000  # that are trained on in a run, in at least two steps
PRODUCT = 2048  # size of the square matrices whose product measures the peak speed
PARTS = ("products", "optimiser", "random numbers")

Run = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Step:
    """The speed of a training step. The fields are keys of the JSON output."""

    windows_per_second: float
    share_of_peak: float  # of the speed of a large matrix product in the same precision
    parts: dict[str, float]  # share of the step's time for each of PARTS and for the rest

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {share:.0%}" for name, share in self.parts.items())
        return f"{self.windows_per_second:8,.0f} windows/s, {self.share_of_peak:.0%} of the peak; {parts}"


def compare(trainers: Mapping[str, Trainer], windows: Tensor) -> tuple[dict[str, Step], Timings]:
    """Times steps of trainers, their parts, and a large product, all in turn.

    Args:
        trainers: by name; each with a batch of `len(windows)` windows.
        windows: (batch, window_size) in memory.

    Returns:
        the figures of each trainer's step, and the times, in which a step has the name of its trainer.
    """
    count = max(2, WINDOWS // len(windows))
    candidates: dict[str, Run] = {}
    for name, trainer in trainers.items():
        steps: dict[str, Run] = {name: lambda trainer=trainer: trainer.step(windows)}  # type: ignore[misc]
        steps |= {f"{name}, {part}": run for part, run in _parts(trainer).items()}
        candidates |= {what: _repeated(run, count) for what, run in steps.items()}
        candidates[f"{name}, peak"] = _large_product(trainer.dtype)
    timings = time_all(candidates)
    return {name: _figures(timings, name, trainer, count) for name, trainer in trainers.items()}, timings


def operations(model: nn.Module) -> int:
    """The floating-point operations of all matrix products of a training step, for one window.

    Each layer has a product forward, and two backward: the gradients of its weights and of its input. Nobody needs the
    gradient of the first layer's input.
    """
    each = [2 * layer.in_features * layer.out_features for layer in _layers(model)]
    return 3 * sum(each) - each[0]


def _figures(timings: Timings, name: str, trainer: Trainer, count: int) -> Step:
    speed = count * trainer.batch / timings.seconds(name)
    peak = 2 * PRODUCT**3 / timings.seconds(f"{name}, peak")
    parts = {part: 1 / timings.ratio(name, f"{name}, {part}") for part in PARTS}
    return Step(speed, operations(trainer.model) * speed / peak, parts | {"rest": 1 - sum(parts.values())})


def _parts(trainer: Trainer) -> dict[str, Run]:
    """Functions that compute PARTS of a step."""
    layers, batch = _layers(trainer.model), trainer.batch
    like = torch.empty(0, dtype=trainer.dtype)
    noise = NoisePool(batch, layers[0].in_features, torch.device("cpu"))
    return {
        "products": _products(layers, batch, trainer.dtype),
        "optimiser": trainer.optimizer.step,
        "random numbers": lambda: (noise.take(batch), dropout_mask(batch, layers[-1].in_features, 0.8, like)),
    }


def _products(layers: list[nn.Linear], batch: int, dtype: torch.dtype) -> Run:
    """The matrix products of a step."""
    inputs = [torch.randn(batch, layer.in_features).to(dtype) for layer in layers]
    weights = [layer.weight.detach().to(dtype) for layer in layers]
    gradients = [torch.randn(batch, layer.out_features).to(dtype) for layer in layers]

    def run() -> None:
        for values, weight in zip(inputs, weights, strict=True):
            torch.mm(values, weight.T)
        for number in reversed(range(len(layers))):
            torch.mm(gradients[number].T, inputs[number])
            if number:
                torch.mm(gradients[number], weights[number])

    return run


def _large_product(dtype: torch.dtype) -> Run:
    left = torch.randn(PRODUCT, PRODUCT).to(dtype)
    return lambda: left @ left


def _repeated(run: Run, count: int) -> Run:
    def repeat() -> None:
        for _ in range(count):
            run()

    return repeat


def _layers(model: nn.Module) -> list[nn.Linear]:
    return [layer for layer in model.children() if isinstance(layer, nn.Linear)]
