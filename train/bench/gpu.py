"""Section "gpu": many streams on a GPU, computed only and through the whole program, and training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch

from monitor.bench.capacity import Capacity, capacity
from monitor.bench.targets import Target
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
from monitor.runtime.stream_input import LIVE_CHUNK_S
from monitor.streaming.stream_batch import StreamBatch
from train.bench.steps import operations
from train.bench.training import random_recordings
from train.data.window_dataset import WindowDataset
from train.fitting.loop import Trainer

COUNTS, STREAMS_AIM = (1000, 10_000, 30_000), 30_000  # streams computed
WHOLE_COUNTS, WHOLE_AIM = (1000, 10_000), 10_000  # streams through the whole program
WHOLE_S = 5.0  # measured for each of these numbers
FILES, BATCHES, WINDOWS_AIM = 2500, (512, 8192), 1_000_000
SIZE = 8192  # size of the square matrices
SETTLE = 5  # turns before the measurement, because scores begin after two seconds of sound


def measure(config: Config) -> Section:
    """Measures how many streams the GPU can process in real time, and the speed of training, by batch size."""
    if not torch.cuda.is_available():
        return Section({}, ["there is no GPU here that torch can use"])
    return measure_on(torch.device("cuda"), config)


def measure_on(device: torch.device, config: Config) -> Section:
    """As `measure`, on any device, so that it can be tested where there is no GPU."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"
    precision = "bfloat16" if native_bfloat16(device) else "float32"
    peak = _peak(device, torch.bfloat16 if precision == "bfloat16" else torch.float32)
    total = Section(
        {"device": name, "peak_tflops": peak / 1e12},
        [f"{name}, {precision}: {peak / 1e12:,.0f} TFLOP/s in a {SIZE}³ product"],
    )
    bundle = untrained_bundle(config)
    for part in (
        _computed(bundle, device, precision, peak),
        _whole_program(bundle, device, precision, peak),
        _training(config, device, precision, peak),
    ):
        total.figures.update(part.figures)
        total.lines.extend(part.lines)
        total.targets.extend(part.targets)
    return total


def _computed(bundle: Bundle, device: torch.device, precision: str, peak: float) -> Section:
    """Streams from samples to scores, with the copies to and from the GPU."""
    section, flop = Section({}, []), _stream_operations(bundle.config)
    for count in COUNTS:
        whole, copies = _turn(bundle, count, device, precision)
        streams = count * LIVE_CHUNK_S / whole
        section.figures[f"streams_{count}"] = {
            "kept_up_with": streams,
            "share_of_peak": streams * flop / peak,
            "share_of_turn_that_copies_take": copies / whole,
        }
        section.lines.append(
            f"{count:6,} at once: {streams:9,.0f} streams, without alarm and history, {streams * flop / peak:.0%} of "
            f"the peak; copies alone take {copies / whole:.0%} of that time"
        )
    most = max(figure["kept_up_with"] for figure in section.figures.values())
    section.targets.append(Target("streams computed on the GPU", most, STREAMS_AIM, "streams"))
    return section


def _whole_program(bundle: Bundle, device: torch.device, precision: str, peak: float) -> Section:
    """Streams from rings of simulated devices through the engine: samples taken, scores, alarm, history, snapshots."""
    section, flop = Section({}, []), _stream_operations(bundle.config)
    found: list[Capacity] = capacity(bundle, WHOLE_COUNTS, WHOLE_S, precision, device.type)
    for one in found:
        section.figures[f"whole_program_{one.count}"] = asdict(one)
        section.lines.append(
            f"{one.count:6,} at once: {one.kept_up_with:9,.0f} streams through the whole program, "
            f"{one.kept_up_with * flop / peak:.0%} of the peak; {one.cpu_s / one.computing_s:.1f} processors at work"
        )
    most = max(one.kept_up_with for one in found)
    section.targets.append(Target("streams through the whole program with the GPU", most, WHOLE_AIM, "streams"))
    return section


def _training(config: Config, device: torch.device, precision: str, peak: float) -> Section:
    """Epochs of training with windows in the GPU's memory."""
    section = Section({}, [])
    normalization = Normalization(config.features, backend=TorchBackend(device))
    windows = WindowDataset(random_recordings(config, FILES), normalization, config, device)
    for batch in BATCHES:
        settings = config.train.model_copy(update={"batch_size": batch, "precision": precision})
        trainer = Trainer(config.model_copy(update={"train": settings}), 10**9, device)
        timings = time_all({"epoch": _synchronized(lambda trainer=trainer: trainer.epoch(1, windows), device)})  # type: ignore[misc]
        speed = len(windows) / timings.seconds("epoch")
        share = operations(trainer.model) * speed / peak
        section.figures[f"training_{batch}"] = {"windows_per_second": speed, "share_of_peak": share}
        section.lines.append(f"training, batch {batch:5,}: {speed:11,.0f} windows/s, {share:.0%} of the peak")
        section.targets.append(Target(f"training on the GPU, {batch:,} windows a step", speed, WINDOWS_AIM, "a second"))
    return section


def _stream_operations(config: Config) -> float:
    """The floating-point operations of the network a second, of a stream."""
    return window_operations(config) / config.features.hop_s


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

    found: dict[str, FloatArray] = {}
    for _ in range(SETTLE):
        turn()
    pairs = [(torch.from_numpy(on_host).to(device), on_host) for on_host in found.values()]
    timings = time_all({"turn": turn, "copies": _synchronized(copy, device)})
    return timings.seconds("turn"), timings.seconds("copies")


def _synchronized(run: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """A function that calls `run`, and waits until a GPU has finished."""

    def run_and_wait() -> None:
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run_and_wait
