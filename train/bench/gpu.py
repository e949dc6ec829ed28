"""The section of `monitor bench` on a GPU: streams computed at once, copies there and back included, and training."""

from __future__ import annotations

from collections.abc import Callable

import torch

from monitor.bench.latency import untrained_bundle
from monitor.bench.peak_flops import window_operations
from monitor.bench.timing import Section, race
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.features.mel import Scale
from monitor.streaming.stream_batch import Lanes
from monitor.model.device import native_bfloat16
from monitor.runtime.monitored_stream import LIVE_CHUNK_S
from monitor.model.cuda_transfer import Transfers
from train.bench.training import invented
from train.fitting.loop import Trainer
from train.data.window_dataset import WorkSet

COUNTS, STREAMS_AIM = (1000, 10_000, 30_000), 30_000
FILES, BATCHES, WINDOWS_AIM = 2500, (512, 8192), 1_000_000
SIZE = 8192  # of the square matrices
SETTLE = 5  # turns that do not count: the first scores are two seconds late


def measure(config: Config) -> Section:
    """Streams that the GPU keeps up with, by how many there are, and windows a second of an epoch, by batch."""
    if not torch.cuda.is_available():
        return Section({}, ["there is no GPU here that torch can use"])
    device = torch.device("cuda")
    work = WorkSet(invented(config, FILES), Scale(config.features), config, device)
    precision = "bfloat16" if native_bfloat16(device) else "float32"
    bundle, flop = untrained_bundle(config), window_operations(config)
    peak = _peak(device, torch.bfloat16 if precision == "bfloat16" else torch.float32)
    figures: dict[str, object] = {"device": torch.cuda.get_device_name(device), "peak_tflops": peak / 1e12}
    lines = [f"{torch.cuda.get_device_name(device)}, {precision}: {peak / 1e12:,.0f} TFLOP/s in a {SIZE}³ product"]
    for count in COUNTS:
        whole, copies = _turn(bundle, count, device, precision)
        streams = count * LIVE_CHUNK_S / whole
        figures[f"streams_{count}"] = {"kept_up_with": streams, "share_of_turn_that_copies_take": copies / whole}
        lines.append(
            f"{count:6,} at once: {streams:9,.0f} streams, without alarm and history (aim: {STREAMS_AIM:,}), "
            f"{streams * flop / config.features.hop_s / peak:.0%} of the peak; copies alone take {copies / whole:.0%} "
            "of that time"
        )
    for batch in BATCHES:
        settings = config.train.model_copy(update={"batch_size": batch, "precision": precision})
        trainer = Trainer(config.model_copy(update={"train": settings}), 10**9, device)
        timings = race({"epoch": _waited(lambda trainer=trainer: trainer.epoch(1, work), device)})  # type: ignore[misc]
        speed = len(work) / timings.seconds("epoch")
        figures[f"training_{batch}"] = {"windows_per_second": speed, "share_of_peak": 3 * flop * speed / peak}
        lines.append(
            f"training, batch {batch:5,}: {speed:11,.0f} windows/s (aim: {WINDOWS_AIM:,}), "
            f"{3 * flop * speed / peak:.0%} of the peak"
        )
    return Section(figures, lines)


def _peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large product."""
    left = torch.randn(SIZE, SIZE, device=device, dtype=dtype)
    timings = race({"product": _waited(lambda: left @ left, device)})
    return 2 * SIZE**3 / timings.seconds("product")


def _turn(bundle: Bundle, count: int, device: torch.device, precision: str) -> tuple[float, float]:
    """Seconds for half a second of sound of every stream, from the CPU and back; and for the copies alone."""
    features = bundle.config.features
    lanes, transfers, which = Lanes(bundle, count, device, precision), Transfers(device), torch.arange(count)
    samples = 0.03 * torch.randn(count, round(LIVE_CHUNK_S / features.hop_s) * features.hop_length)

    def turn() -> None:
        heard = lanes.push(samples, which)
        found.update(frames=heard.frames, rows=heard.scores.rows, rolling=heard.scores.rolling)

    def copy() -> None:
        transfers.up(samples)
        for there, here in pairs:
            transfers.down(there, here)
        transfers.finish()
        torch.cuda.synchronize(device)

    found: dict[str, torch.Tensor] = {}
    for _ in range(SETTLE):
        turn()
    pairs = [(here.to(device), here) for here in found.values()]
    timings = race({"turn": turn, "copies": copy})
    return timings.seconds("turn"), timings.seconds("copies")


def _waited(run: Callable[[], object], device: torch.device) -> Callable[[], object]:
    def done() -> None:
        run()
        torch.cuda.synchronize(device)

    return done
