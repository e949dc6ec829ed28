"""The section of `monitor bench` on a GPU: many streams at once, including the copies to and from it, and training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from monitor.bench.timing import Section, time_all
from monitor.bench.untrained import untrained_bundle
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.types import FloatArray
from monitor.features.normalization import Normalization
from monitor.model.cuda_transfer import TorchBackend
from monitor.model.device import native_bfloat16
from monitor.model.folded_inference import window_operations
from monitor.model.network import Compute
from monitor.runtime.monitored_stream import LIVE_CHUNK_S
from monitor.streaming.stream_batch import StreamBatch
from train.bench.training import random_recordings
from train.data.window_dataset import WindowDataset
from train.fitting.loop import Trainer

COUNTS, STREAMS_AIM = (1000, 10_000, 30_000), 30_000
FILES, BATCHES, WINDOWS_AIM = 2500, (512, 8192), 1_000_000
SIZE = 8192  # size of the square matrices
SETTLE = 5  # turns before the measurement, because scores begin after two seconds of sound


def measure(config: Config) -> Section:
    """Measures how many streams the GPU can process in real time, and the speed of training, by batch size."""
    if not torch.cuda.is_available():
        return Section({}, ["there is no GPU here that torch can use"])
    device = torch.device("cuda")
    normalization = Normalization(config.features, backend=TorchBackend(device))
    windows = WindowDataset(random_recordings(config, FILES), normalization, config, device)
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
        timings = time_all({"epoch": _synchronized(lambda trainer=trainer: trainer.epoch(1, windows), device)})  # type: ignore[misc]
        speed = len(windows) / timings.seconds("epoch")
        figures[f"training_{batch}"] = {"windows_per_second": speed, "share_of_peak": 3 * flop * speed / peak}
        lines.append(
            f"training, batch {batch:5,}: {speed:11,.0f} windows/s (aim: {WINDOWS_AIM:,}), "
            f"{3 * flop * speed / peak:.0%} of the peak"
        )
    return Section(figures, lines)


def _peak(device: torch.device, dtype: torch.dtype) -> float:
    """The floating-point operations a second of a large matrix product."""
    left = torch.randn(SIZE, SIZE, device=device, dtype=dtype)
    timings = time_all({"product": _synchronized(lambda: left @ left, device)})
    return 2 * SIZE**3 / timings.seconds("product")


def _turn(bundle: Bundle, count: int, device: torch.device, precision: str) -> tuple[float, float]:
    """The seconds to process LIVE_CHUNK_S of sound of all streams, including copies; and the seconds of the copies."""
    features = bundle.config.features
    batch, backend = StreamBatch(bundle, count, compute=Compute.on(device, precision)), TorchBackend(device)
    streams = np.arange(count)
    samples_each = round(LIVE_CHUNK_S / features.hop_s) * features.hop_length
    samples = 0.03 * np.random.default_rng(0).standard_normal((count, samples_each), np.float32)

    def turn() -> None:
        result = batch.push(samples, streams)
        found.update(frames=result.frames, rows=result.rows, means=result.means)

    def copy() -> None:
        backend.upload(samples)
        for on_device, on_host in pairs:
            backend.download(on_device, on_host)
        backend.synchronize()
        torch.cuda.synchronize(device)

    found: dict[str, FloatArray] = {}
    for _ in range(SETTLE):
        turn()
    pairs = [(torch.from_numpy(on_host).to(device), on_host) for on_host in found.values()]
    timings = time_all({"turn": turn, "copies": copy})
    return timings.seconds("turn"), timings.seconds("copies")


def _synchronized(run: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """A function that calls `run`, and waits until the GPU has finished."""

    def run_and_wait() -> None:
        run()
        torch.cuda.synchronize(device)

    return run_and_wait
