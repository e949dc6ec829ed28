"""How many streams of one model this machine keeps up with, at hops and portions as they come from microphones."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from monitor.bench.timing import Section
from monitor.bundle import Bundle
from monitor.lanes import Lanes

COUNTS = (1, 8, 64, 256, 512, 1024, 2000)
SECONDS = 1.0  # for each
PORTION_S = 0.1
SETTLE = 3  # portions that do not count: memory is touched for the first time, and kernels are chosen
LEAST = 5  # portions that are measured, however little time there is


@dataclass(frozen=True, slots=True)
class Capacity:
    """What so many streams cost. A second is one of every stream's sound."""

    count: int
    precision: str
    threads: int
    portions: int  # that were measured
    computing_s: float  # time that the median portion takes, for a second of sound
    cpu_s: float  # of all processors together, for a second of sound: the same however busy the machine is
    kept_up_with: float  # streams, by computing_s
    portion_p99_s: float  # time that 99 % of the portions of PORTION_S are done in


def measure(bundle: Bundle) -> Section:
    """How many streams of a model one thread keeps up with, and how that changes with how many there are."""
    precisions = ["float32"]
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        precisions.append("bfloat16")
    found = {precision: capacity(bundle, COUNTS, SECONDS, precision) for precision in precisions}
    lines = [f"one thread, portions of {1000 * PORTION_S:.0f} ms; streams kept up with, 99 % of portions done in"]
    for i, count in enumerate(COUNTS):
        parts = [
            f"{precision} {found[precision][i].kept_up_with:5.0f}, {1000 * found[precision][i].portion_p99_s:6.1f} ms"
            for precision in precisions
        ]
        lines.append(f"{count:5} at once: {'   '.join(parts)}")
    return Section({name: [asdict(one) for one in every] for name, every in found.items()}, lines)


def capacity(
    bundle: Bundle, counts: Sequence[int], seconds: float, precision: str = "float32", threads: int = 1
) -> list[Capacity]:
    """Measures each of these numbers of streams for `seconds`, as many portions of sound as can be computed in them."""
    return [_measure(bundle, count, seconds, precision, threads) for count in counts]


def _measure(bundle: Bundle, count: int, seconds: float, precision: str, threads: int) -> Capacity:
    features = bundle.config.features
    hops = max(1, round(PORTION_S / features.hop_s))
    samples = 0.03 * torch.randn(count, hops * features.hop_length)
    which = torch.arange(count)
    lanes = Lanes(bundle, count, precision=precision, threads=threads)
    for _ in range(SETTLE):
        lanes.push(samples, which)
    took = np.array(list(_portions(lanes, samples, which, seconds)), dtype=np.float64)
    lanes.close()
    portion_s = hops * features.hop_s
    computing_s = float(np.median(took[:, 0])) / portion_s
    return Capacity(
        count,
        precision,
        threads,
        len(took),
        computing_s,
        float(np.median(took[:, 1])) / portion_s,
        count / computing_s,
        float(np.quantile(took[:, 0], 0.99)),
    )


def _portions(
    lanes: Lanes, samples: torch.Tensor, which: torch.Tensor, seconds: float
) -> Iterator[tuple[float, float]]:
    """Time and processor time in seconds that each portion takes."""
    end, done = time.perf_counter() + seconds, 0
    while done < LEAST or time.perf_counter() < end:
        began, cpu = time.perf_counter(), time.process_time()
        lanes.push(samples, which)
        yield time.perf_counter() - began, time.process_time() - cpu
        done += 1
