"""What the tests of the core build: a small model that nobody trained, and inputs cut into pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from hypothesis import strategies as st
from torch import Tensor

from monitor.bundle.bundle import Bundle, Threshold
from monitor.config.schema import Config
from monitor.features.mel import FrameStream
from monitor.model.autoencoder import Autoencoder
from monitor.scoring.scorer import PARTS, Normal
from monitor.config.loader import load_config

SMALL = ("model.hidden=[24,16]", "model.bottleneck=8", "score.window_s=0.3")

# How an input is cut: lengths of the pieces, used in turn until nothing is left.
CUTS = st.lists(st.integers(1, 700), min_size=1, max_size=6)


def small_config(*overrides: str) -> Config:
    """The default settings with a model small enough for tests."""
    return load_config(Path(os.devnull), overrides=(*SMALL, *overrides))


def small_bundle(config: Config | None = None, *, seed: int = 0) -> Bundle:
    """A bundle whose numbers are all drawn at random, batch norms included, so that no mistake in one is hidden."""
    config = config or small_config()
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    n_mels = config.features.n_mels
    model = Autoencoder.from_config(config)
    state = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            state[name] = 0.5 + draw(*tensor.shape)
        else:
            state[name] = (draw(*tensor.shape) - 0.5) * 0.4
    model.load_state_dict(state)
    normals = {}
    for part in PARTS[config.score.kind]:
        size = n_mels * (2 if part == "spectrum" else 1)
        root = draw(size, size).double() - 0.5
        precision = root @ root.T + torch.eye(size, dtype=torch.float64)
        normals[part] = Normal(draw(size).double() - 0.5, precision, 0.5 + draw(2, 2).double())
    thresholds = {
        name: Threshold(value, "normal", 12, 120.5, 1.0, 2150.0, 258_000.0, "1 false alarm a day", "2024-05-06")
        for name, value in (("score", 81.5), ("error", 1.25), ("recording", 70.125), ("evidence", 12.5))
    }
    return Bundle(
        config,
        model.eval(),
        mean=-40 + 10 * draw(n_mels),
        deviation=5 + 5 * draw(n_mels),
        usual_band_error=0.5 + draw(n_mels),
        normals=normals,
        thresholds=thresholds,
        normal_scores=(80 * draw(50).double()).sort().values,
        normal_dbfs=-60.0,
        provenance={"seed": seed, "versions": {"torch": torch.__version__}},
    )


def noise(samples: int, *, seed: int = 0, streams: int | None = None, amplitude: float = 0.1) -> np.ndarray:
    """White noise: (samples,), or (streams, samples) float32."""
    shape = (samples,) if streams is None else (streams, samples)
    return (amplitude * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def write_sound(path: Path, samples: np.ndarray, rate: int = 16000, subtype: str = "FLOAT") -> Path:
    """A recording of these samples, (n,) or (n, channels)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def pieces(total: int, cuts: Sequence[int]) -> Iterator[slice]:
    """Slices that cut `total` items into pieces of these lengths, in turn."""
    start = number = 0
    while start < total:
        stop = min(total, start + cuts[number % len(cuts)])
        yield slice(start, stop)
        start, number = stop, number + 1


def frames_of(config: Config, samples: np.ndarray) -> Tensor:
    """All mel frames of the streams (N, n): (N, T, n_mels)."""
    stream = FrameStream(config.features, len(samples))
    return torch.cat((stream.push(torch.from_numpy(samples)), stream.flush()), dim=1)


def reference_windows(frames: np.ndarray, size: int = 20) -> np.ndarray:
    """The article's windows of frames (T, n_mels): the first half window reversed, all, the last half reversed."""
    half = size // 2
    padded = np.concatenate((frames[:half][::-1], frames, frames[-half:][::-1]))
    return np.stack([padded[t : t + size].reshape(-1) for t in range(len(frames))])
