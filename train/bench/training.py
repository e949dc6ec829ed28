"""Training: an epoch beside its bare steps and beside a DataLoader, and windows that are read from disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from monitor.bench.peak_flops import window_operations
from monitor.bench.timing import Section, race
from monitor.config.schema import Config
from monitor.features.mel import Scale
from monitor.model.device import native_bfloat16
from train.fitting.loop import Trainer
from train.data.feature_store import FrameFile, encoded, footer, write_quickly
from train.data.feature_cache import Frames
from train.data.window_dataset import WorkSet

FRAMES_A_FILE, FILES = 640, 25
LARGE_H = 540  # of sound, as ToyADMOS has
ROUNDS = 3


def measure(config: Config) -> Section:
    """An epoch beside its bare steps and beside a DataLoader; bfloat16 beside float32; memory beside disk."""
    recordings = invented(config, FILES)
    work = WorkSet(recordings, Scale(config.features), config)
    figures: dict[str, object] = {"windows": len(work)}
    lines: list[str] = []
    native = native_bfloat16(torch.device("cpu"))
    for batch in (100, 512):
        for precision in ("float32", "bfloat16") if native and batch >= 512 else ("float32",):
            speed, share = _epoch_beside_steps(config, work, batch, precision)
            figures[f"epoch_{batch}_{precision}"] = {"windows_per_second": speed, "share_of_bare_step": share}
            lines.append(
                f"epoch, batch {batch:4}, {precision:8} {speed:8,.0f} windows/s: {share:6.1%} of the bare step "
                "(aim: 95 %)"
            )
    figures["loader"] = loader = _beside_loader(config, work, recordings)
    lines.append(
        f"DataLoader, batch 100          {loader['windows_per_second']:8,.0f} windows/s; ours "
        f"{loader['over_loader_100']:.2f} times as fast (aim: 1.3), at batch 512 {loader['over_loader_512']:.2f} (1.7)"
    )
    for batch in (512, 2048) if native else ():
        figures[f"bfloat16_{batch}"] = gain = _bfloat16_beside_float32(config, work, batch)
        lines.append(
            f"bfloat16, batch {batch:4}           {gain['windows_per_second']:8,.0f} windows/s: "
            f"{gain['over_float32']:5.2f} times float32, {gain['share_of_peak']:.0%} of the matrix product's peak"
        )
    speed, ratio = _from_disk(config, work, recordings)
    epoch_h = LARGE_H * 3600 / config.features.hop_s / speed / 3600
    figures["from_disk"] = {"windows_per_second": speed, "share_of_memory": ratio, "epoch_of_540_hours_h": epoch_h}
    lines.append(
        f"windows read from disk in portions: {ratio:6.1%} of the speed from memory; an epoch over {LARGE_H} hours "
        f"of sound takes {epoch_h:.1f} hours"
    )
    return Section(figures, lines)


def _trainer(config: Config, batch: int, precision: str) -> Trainer:
    settings = config.train.model_copy(update={"batch_size": batch, "precision": precision})
    # As if there were many windows: the size of a step is what is measured here.
    return Trainer(config.model_copy(update={"train": settings}), 10**9, torch.device("cpu"))


def _resident_batch(work: WorkSet, batch: int) -> Tensor:
    [portion] = work.portions(work.plan())
    return portion.gather(torch.randperm(len(portion))[:batch])


def _epoch_beside_steps(config: Config, work: WorkSet, batch: int, precision: str) -> tuple[float, float]:
    """Windows a second of an epoch, and its share of the speed of as many steps on a batch that is there already."""
    trainer = _trainer(config, batch, precision)
    windows, rest = _resident_batch(work, batch), _resident_batch(work, len(work) % batch)

    def bare() -> None:
        for _ in range(len(work) // batch):
            trainer.step(windows)
        if len(rest) > 1:
            trainer.step(rest)

    timings = race({"epoch": lambda: trainer.epoch(1, work), "bare": bare}, rounds=5)
    return len(work) / timings.seconds("epoch"), timings.ratio("bare", "epoch")


class _ArticlesDataset(Dataset[Tensor]):
    """The article's Dataset, which cuts a window from the frames for every item; its conversion of the whole array
    to a tensor for each of them is mended, or it would take minutes."""

    def __init__(self, frames: Tensor, size: int) -> None:
        self._frames, self._size = frames, size

    def __len__(self) -> int:
        return len(self._frames) - self._size + 1

    def __getitem__(self, number: int) -> Tensor:
        return self._frames[number : number + self._size].flatten()


def _beside_loader(config: Config, work: WorkSet, recordings: list[Frames]) -> dict[str, float]:
    """How many times as fast epochs are as one with a DataLoader, batch 100; and the loader's windows a second."""
    trainer, larger = _trainer(config, 100, "float32"), _trainer(config, 512, "auto")
    scale = Scale(config.features)
    frames = scale(torch.from_numpy(np.concatenate([np.array(recording.power) for recording in recordings])))
    data = _ArticlesDataset(frames, config.features.window_frames)
    loader = DataLoader(data, batch_size=100, shuffle=True)

    def loaded() -> None:
        for windows in loader:
            trainer.step(windows)

    ours = {"100": lambda: trainer.epoch(1, work), "512": lambda: larger.epoch(1, work)}
    timings = race({"loader": loaded, **ours}, rounds=ROUNDS)
    ratios = {f"over_loader_{batch}": timings.ratio("loader", batch) for batch in ours}
    return {"windows_per_second": len(data) / timings.seconds("loader"), **ratios}


def _bfloat16_beside_float32(config: Config, work: WorkSet, batch: int) -> dict[str, float]:
    trainers = {precision: _trainer(config, batch, precision) for precision in ("float32", "bfloat16")}
    windows = _resident_batch(work, batch)
    steps = max(2, 6000 // batch)

    def steps_of(trainer: Trainer) -> Callable[[], None]:
        def run() -> None:
            for _ in range(steps):
                trainer.step(windows)

        return run

    left = torch.randn(2048, 2048).bfloat16()
    contestants: dict[str, Callable[[], object]] = {name: steps_of(trainer) for name, trainer in trainers.items()}
    timings = race(contestants | {"product": lambda: left @ left}, rounds=5)
    speed = steps * batch / timings.seconds("bfloat16")
    peak = 2 * 2048**3 / timings.seconds("product")
    return {
        "windows_per_second": speed,
        "over_float32": timings.ratio("float32", "bfloat16"),
        # Forward is one product, backward two: by the weights, and by what came in.
        "share_of_peak": 3 * window_operations(config) * speed / peak,
    }


def _from_disk(config: Config, work: WorkSet, recordings: list[Frames]) -> tuple[float, float]:
    """Windows a second of an epoch that reads kept frames in portions, and its share of the speed of one from memory.

    The files are fresh, so the system has them in memory still: what is measured is everything but the disk.
    """
    trainer = _trainer(config, 512, "auto")
    n_mels = config.features.n_mels
    little = config.train.model_copy(update={"memory_gb": 1e-6})
    with tempfile.TemporaryDirectory() as folder:
        kept: list[Frames] = []
        for recording in recordings:
            file = Path(folder) / f"{recording.path}.mel"
            codes = encoded(torch.from_numpy(np.array(recording.power)))
            write_quickly(file, (codes.tobytes(), footer(len(codes), n_mels, 1.0, 0.0)), "bench")
            kept.append(replace(recording, power=FrameFile(file, 0, (len(codes), n_mels))))
        on_disk = WorkSet(kept, Scale(config.features), config.model_copy(update={"train": little}))
        timings = race({"memory": lambda: trainer.epoch(1, work), "disk": lambda: trainer.epoch(1, on_disk)}, rounds=5)
    return len(work) / timings.seconds("disk"), timings.ratio("memory", "disk")


def invented(config: Config, count: int) -> list[Frames]:
    """Recordings of 6.4 s, as frames."""
    generator = np.random.default_rng(0)
    shape = (FRAMES_A_FILE, config.features.n_mels)
    return [
        Frames(Path(f"{number}"), generator.exponential(1.0, shape).astype(np.float32), str(number))
        for number in range(count)
    ]
