"""What several tests share: recordings of an invented machine, and a model trained on them once a session."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two processes test at once: their threads are to sleep

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.bundle.bundle import Bundle, load_bundle
from monitor.config.schema import Config
from monitor.config.loader import load_config
from train.demo.synthetic import Machine, MachineSound
from train.commands import train as run
from train.fitting.checkpoint import Epoch

RATE = 16000
QUICK = ("train.epochs=4", "train.batch_size=128", "score.window_s=1.0", "model.hidden=[128,64]", "model.bottleneck=32")


class Told:
    """Progress that only remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.epochs: list[Epoch] = []
        self.on_epoch: Callable[[Epoch], None] = lambda _: None

    def say(self, text: str) -> None:
        self.lines.append(text)

    def reading(self, done: int, total: int) -> None:
        """Not kept."""

    def step(self, epoch: int, epochs: int, share: float, loss: float) -> None:
        """Not kept."""

    def doing(self, what: str, share: float) -> None:
        """Not kept."""

    def epoch(self, epoch: Epoch, epochs: int) -> None:
        self.epochs.append(epoch)
        self.on_epoch(epoch)


def write_recording(path: Path, *, seconds: float = 6.0, seed: int = 0, fault: str | None = None) -> Path:
    """A recording of the invented machine, 16-bit wav."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = MachineSound(Machine(sample_rate=RATE, seed=seed, passing_noises=False), fault=fault)
    soundfile.write(path, sound.read(round(seconds * RATE)), RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither find nor leave anything in the user's cache, and no settings file is taken by accident."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs in a folder of its own, so that the repository's config.yaml is not taken by accident."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in the ToyADMOS layout: 10 recordings to train on, 4 normal and 4 anomalous ones to test."""
    root = tmp_path_factory.mktemp("data")
    for number in range(10):
        write_recording(root / "train_normal" / f"normal_{number:02d}.wav", seed=number)
    for number in range(4):
        write_recording(root / "test_normal" / f"normal_{number:02d}.wav", seed=100 + number)
        fault = ("bearing", "imbalance", "belt", "gear")[number]
        write_recording(root / "test_anomaly" / f"anomaly_{fault}.wav", seed=200 + number, fault=fault)
    return root


@pytest.fixture(scope="session")
def quick_config() -> Config:
    """Settings that train in seconds."""
    return load_config(overrides=QUICK)


@pytest.fixture(scope="session")
def trained(data: Path, quick_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training."""
    out = tmp_path_factory.mktemp("run")
    run.train(quick_config, data, out, Told())
    return out


@pytest.fixture(scope="session")
def model(trained: Path) -> Path:
    """The file of a trained bundle."""
    return trained / run.BUNDLE_FILE


@pytest.fixture
def bundle(model: Path) -> Bundle:
    """A trained bundle, loaded anew for each test."""
    return load_bundle(model)


def sine(seconds: float, *, hz: float = 440.0, rate: int = RATE, amplitude: float = 0.1) -> np.ndarray:
    """A tone: (n,) float32."""
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)
