"""Measures the speed of training, compared with bare training steps, a DataLoader, and windows read from disk."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from monitor.bench.targets import Target
from monitor.bench.timing import Section, time_all
from monitor.config.schema import Config
from monitor.core.atomic_io import write_atomically
from monitor.core.free_memory import keep_freed_memory
from monitor.features.normalization import Normalization
from monitor.model.cuda_transfer import TorchBackend
from monitor.model.device import native_bfloat16
from train.bench import steps
from train.data.feature_cache import Frames
from train.data.feature_store import StoredFrames, encoded
from train.data.window_dataset import WindowDataset
from train.fitting.loop import Trainer

FRAMES_A_FILE, FILES = 640, 25
LARGE_H = 540  # hours of the ToyADMOS data set, for which the time of an epoch is extrapolated
ROUNDS = 3
STEP_BATCHES = (512, 2048)  # windows in a step


def measure(config: Config) -> Section:
    """Compares an epoch with bare steps and with a DataLoader, bfloat16 with float32, and memory with disk."""
    keep_freed_memory()  # as `monitor train` does
    recordings = random_recordings(config, FILES)
    dataset = WindowDataset(recordings, _normalization(config), config)
    figures: dict[str, object] = {"windows": len(dataset)}
    lines: list[str] = []
    precisions = ["float32", *(["bfloat16"] if native_bfloat16("cpu") else [])]
    for batch in (100, 512):
        for precision in precisions if batch >= 512 else ("float32",):
            speed, share = _epoch_beside_steps(config, dataset, batch, precision)
            figures[f"epoch_{batch}_{precision}"] = {"windows_per_second": speed, "share_of_bare_step": share}
            lines.append(
                f"epoch, batch {batch:4}, {precision:8} {speed:8,.0f} windows/s: {share:6.1%} of the bare step "
                "(aim: 95 %)"
            )
    figures["loader"] = loader = _beside_loader(config, dataset, recordings)
    lines.append(
        f"DataLoader, batch 100          {loader['windows_per_second']:8,.0f} windows/s; ours "
        f"{loader['over_loader_100']:.2f} times as fast (aim: 1.3), at batch 512 {loader['over_loader_512']:.2f} (1.7)"
    )
    targets: list[Target] = []
    for batch in STEP_BATCHES:
        trainers = {precision: _trainer(config, batch, precision) for precision in precisions}
        found, timings = steps.compare(trainers, _resident_batch(dataset, batch))
        figures |= {f"step_{batch}_{precision}": asdict(step) for precision, step in found.items()}
        lines += [f"step, batch {batch:5}, {precision:8} {step}" for precision, step in found.items()]
        if "bfloat16" in trainers:
            gain = timings.ratio("float32", "bfloat16")
            figures[f"bfloat16_over_float32_{batch}"] = gain
            targets.append(Target(f"steps in bfloat16, {batch:,} windows in each", gain, 2.0, "times float32"))
    speed, ratio = _from_disk(config, dataset, recordings)
    epoch_h = LARGE_H * 3600 / config.features.hop_s / speed / 3600
    figures["from_disk"] = {"windows_per_second": speed, "share_of_memory": ratio, "epoch_of_540_hours_h": epoch_h}
    lines.append(
        f"windows read from disk in portions: {ratio:6.1%} of the speed from memory; an epoch over {LARGE_H} hours "
        f"of sound takes {epoch_h:.1f} hours"
    )
    return Section(figures, lines, targets)


def _normalization(config: Config) -> Normalization:
    return Normalization(config.features, backend=TorchBackend("cpu"))


def _trainer(config: Config, batch: int, precision: str) -> Trainer:
    settings = config.train.model_copy(update={"batch_size": batch, "precision": precision})
    # With a large number of windows, the trainer does not reduce the batch size.
    return Trainer(config.model_copy(update={"train": settings}), 10**9, torch.device("cpu"))


def _resident_batch(dataset: WindowDataset, batch: int) -> Tensor:
    """Random windows (batch, window_size) in memory."""
    [portion] = dataset.portions(dataset.plan())
    return portion.gather(torch.randperm(len(portion))[:batch])


def _epoch_beside_steps(config: Config, dataset: WindowDataset, batch: int, precision: str) -> tuple[float, float]:
    """The windows a second of an epoch, and its speed relative to as many steps on a batch in memory."""
    trainer = _trainer(config, batch, precision)
    windows, rest = _resident_batch(dataset, batch), _resident_batch(dataset, len(dataset) % batch)

    def bare() -> None:
        for _ in range(len(dataset) // batch):
            trainer.step(windows)
        if len(rest) > 1:
            trainer.step(rest)

    timings = time_all({"epoch": lambda: trainer.epoch(1, dataset), "bare": bare})
    return len(dataset) / timings.seconds("epoch"), timings.ratio("bare", "epoch")


class _ArticlesDataset(Dataset[Tensor]):
    """The article's Dataset, which cuts each window from the frames when it is requested.

    The article converts the whole array to a tensor for each item, which would take minutes; here it is converted once.
    """

    def __init__(self, frames: Tensor, size: int) -> None:
        self._frames, self._size = frames, size

    def __len__(self) -> int:
        return len(self._frames) - self._size + 1

    def __getitem__(self, number: int) -> Tensor:
        return self._frames[number : number + self._size].flatten()


def _beside_loader(config: Config, dataset: WindowDataset, recordings: list[Frames]) -> dict[str, float]:
    """The windows a second with a DataLoader of batch size 100, and the speed of own epochs relative to it."""
    trainer, larger = _trainer(config, 100, "float32"), _trainer(config, 512, "auto")
    power = np.concatenate([np.array(recording.power) for recording in recordings])
    frames = torch.from_numpy(Normalization(config.features)(power))
    data = _ArticlesDataset(frames, config.features.window_frames)
    loader = DataLoader(data, batch_size=100, shuffle=True)

    def loaded() -> None:
        for windows in loader:
            trainer.step(windows)

    ours = {"100": lambda: trainer.epoch(1, dataset), "512": lambda: larger.epoch(1, dataset)}
    timings = time_all({"loader": loaded, **ours}, rounds=ROUNDS)
    ratios = {f"over_loader_{batch}": timings.ratio("loader", batch) for batch in ours}
    return {"windows_per_second": len(data) / timings.seconds("loader"), **ratios}


def _from_disk(config: Config, dataset: WindowDataset, recordings: list[Frames]) -> tuple[float, float]:
    """The windows a second of an epoch that reads frames from files in portions, and its speed relative to memory.

    The files have just been written and are still in the system's cache, so the disk itself is not measured.
    """
    trainer = _trainer(config, 512, "auto")
    n_mels = config.features.n_mels
    little_memory = config.train.model_copy(update={"memory_gb": 1e-6})
    with tempfile.TemporaryDirectory() as folder:
        stored: list[Frames] = []
        for recording in recordings:
            file = Path(folder) / f"{recording.path}.mel"
            codes = encoded(np.array(recording.power))
            write_atomically(file, codes.tobytes(), durable=False)
            stored.append(replace(recording, power=StoredFrames(file, 0, (len(codes), n_mels))))
        on_disk = WindowDataset(stored, _normalization(config), config.model_copy(update={"train": little_memory}))
        timings = time_all({"memory": lambda: trainer.epoch(1, dataset), "disk": lambda: trainer.epoch(1, on_disk)})
    return len(dataset) / timings.seconds("disk"), timings.ratio("memory", "disk")


def random_recordings(config: Config, count: int) -> list[Frames]:
    """Frames of recordings of 6.4 s, with random values."""
    generator = np.random.default_rng(0)
    shape = (FRAMES_A_FILE, config.features.n_mels)
    return [
        Frames(Path(f"{number}"), generator.exponential(1.0, shape).astype(np.float32), str(number))
        for number in range(count)
    ]
