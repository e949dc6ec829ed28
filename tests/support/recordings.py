"""Recordings of the simulated machine, and a progress display that only records its calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import soundfile

from support.builders import RATE
from train.demo.machine import Machine, MachineSound
from train.fitting.checkpoint import Epoch

# Settings that train in seconds.
QUICK = ("train.epochs=4", "train.batch_size=128", "score.window_s=1.0", "model.hidden=[128,64]", "model.bottleneck=32")


class RememberedProgress:
    """A progress display that records what it is to show."""

    def __init__(self) -> None:
        self.read = False  # whether recordings have been read
        self.done: set[str] = set()  # names of other work
        self.epochs: list[Epoch] = []
        self.on_epoch: Callable[[Epoch], None] = lambda _: None

    def reading(self, done: int, total: int) -> None:
        self.read = True

    def step(self, epoch: int, epochs: int, share: float, loss: float) -> None:
        """Not recorded."""

    def doing(self, what: str, share: float) -> None:
        self.done.add(what)

    def epoch(self, epoch: Epoch, epochs: int) -> None:
        self.epochs.append(epoch)
        self.on_epoch(epoch)


def write_recording(path: Path, *, seconds: float = 6.0, seed: int = 0, fault: str | None = None) -> Path:
    """Writes a recording of the simulated machine, 16-bit wav."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = MachineSound(Machine(sample_rate=RATE, seed=seed, passing_noises=False), fault=fault)
    soundfile.write(path, sound.read(round(seconds * RATE)), RATE, subtype="PCM_16")
    return path


def write_data_set(root: Path) -> Path:
    """Writes a data set in the ToyADMOS layout: 10 recordings to train on, 4 normal and 4 anomalous ones to test."""
    for number in range(10):
        write_recording(root / "train_normal" / f"normal_{number:02d}.wav", seed=number)
    for number in range(4):
        write_recording(root / "test_normal" / f"normal_{number:02d}.wav", seed=100 + number)
        fault = ("bearing", "imbalance", "belt", "gear")[number]
        write_recording(root / "test_anomaly" / f"anomaly_{fault}.wav", seed=200 + number, fault=fault)
    return root
