"""Small untrained models, test signals, and divisions of inputs into pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
from hypothesis import strategies as st

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import with_model_id
from monitor.bundle.threshold import Threshold
from monitor.config.loader import load_config
from monitor.config.schema import Config
from monitor.features.mel import MelTransform, centred_frames
from monitor.model.folded_inference import weight_shapes
from monitor.scoring.gaussian import Reference
from monitor.scoring.operating_modes import OperatingModes
from monitor.scoring.rhythm import POINTS, Rhythm
from monitor.scoring.score_parts import PEAKS, parts_of

RATE = 16000
SMALL = ("model.hidden=[24,16]", "model.bottleneck=8", "score.window_s=0.3")

# How an input is divided: lengths of the pieces, used in turn until the input ends.
CUTS = st.lists(st.integers(1, 700), min_size=1, max_size=6)


def small_config(*overrides: str) -> Config:
    """The default settings with a model small enough for tests."""
    return load_config(Path(os.devnull), overrides=(*SMALL, *overrides))


def with_little_memory(config: Config, gigabytes: float = 1e-9) -> Config:
    """The settings with less memory for windows than users can choose, so that small sets are read in portions."""
    return config.model_copy(update={"train": config.train.model_copy(update={"memory_gb": gigabytes})})


def small_bundle(
    config: Config | None = None, *, seed: int = 0, modes: int = 0, rhythm: bool = False, peaks: bool = False
) -> Bundle:
    """A bundle with random numbers everywhere, also in batch norms, so that an error in any of them is detected.

    Args:
        config: its settings.
        seed: of the random numbers.
        modes: number of operating modes, which differ in loudness; 0: the machine has only one.
        rhythm: whether the machine has a rhythm of impulses; white noise has one in every few frames.
        peaks: whether there is a reference distribution of peaks.
    """
    config = config or small_config()
    random, n_mels = np.random.default_rng(seed), config.features.n_mels

    def draw(*shape: int) -> np.ndarray:
        return random.random(shape)

    weights: dict[str, np.ndarray] = {}
    for name, (shape, _) in weight_shapes(config).items():
        if name.endswith("num_batches_tracked"):
            weights[name] = np.array(7, np.int64)
        elif name.endswith("running_var"):
            weights[name] = (0.5 + draw(*shape)).astype(np.float32)
        else:
            weights[name] = ((draw(*shape) - 0.5) * 0.4).astype(np.float32)
    of_modes = (modes,) if modes else ()
    references = {}
    for part in parts_of(config.score):
        size = part.size(n_mels)
        root = draw(*of_modes, size, size) - 0.5
        inverse_covariance = root @ np.swapaxes(root, -1, -2) + np.eye(size)
        references[part.name] = Reference(draw(*of_modes, size) - 0.5, inverse_covariance, 0.5 + draw(2, 2))
    thresholds = {
        name: Threshold(
            value=value, method="normal", recordings=12, seconds=120.5, expected=1.0, upper=2150.0, more_s=258_000.0,
            length_s=0.1, note="1 false alarm a day", date="2024-05-06",
        )
        for name, value in (("score", 81.5), ("error", 1.25), ("recording", 70.125), ("cusum", 12.5))
    }  # fmt: skip
    arrays = [(low + by * draw(n_mels)).astype(np.float32) for low, by in ((-40, 10), (5, 5), (0.5, 1))]
    normal_scores = np.sort(80 * draw(50))
    if peaks:
        root = draw(n_mels, n_mels) - 0.5
        references[PEAKS.name] = Reference(draw(n_mels), root @ root.T + np.eye(n_mels), 0.5 + draw(2, 2))
    own_modes = own_rhythm = None
    if modes:
        centres = draw(modes, n_mels) - 2 * np.arange(modes)[:, None]
        own_modes = OperatingModes(
            *(one.astype(np.float32) for one in (centres, 0.5 + draw(n_mels), 0.5 + draw(4, modes, n_mels)))
        )
    if rhythm:
        own_rhythm = Rhythm(1.5, 4 + 3 * draw(POINTS), 0.5 + draw(2, 2))
    return with_model_id(
        Bundle(
            config,
            weights,
            *arrays,
            references=references,
            thresholds=thresholds,
            normal_scores=normal_scores,
            normal_dbfs=-60.0,
            provenance={"seed": seed, "versions": {"numpy": np.__version__}},
            modes=own_modes,
            rhythm=own_rhythm,
        )
    )


def noise(samples: int, *, seed: int = 0, streams: int | None = None, amplitude: float = 0.1) -> np.ndarray:
    """White noise: (samples,), or (streams, samples) float32."""
    shape = (samples,) if streams is None else (streams, samples)
    return (amplitude * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def sine(seconds: float, *, hz: float = 440.0, rate: int = RATE, amplitude: float = 0.1) -> np.ndarray:
    """A tone: (n,) float32."""
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def write_sound(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "FLOAT") -> Path:
    """Writes samples (n,) or (n, channels) as a recording."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def pieces(total: int, cuts: Sequence[int]) -> Iterator[slice]:
    """Slices that divide `total` items into pieces of these lengths, used in turn."""
    start = number = 0
    while start < total:
        stop = min(total, start + cuts[number % len(cuts)])
        yield slice(start, stop)
        start, number = stop, number + 1


def frames_of(config: Config, samples: np.ndarray) -> np.ndarray:
    """All power mel frames of whole recordings (N, n): (N, T, n_mels)."""
    return centred_frames(samples, MelTransform(config.features))


def reference_windows(frames: np.ndarray, size: int = 20) -> np.ndarray:
    """The article's windows of frames (T, n_mels): the first half window reversed, all, the last half reversed."""
    half = size // 2
    padded = np.concatenate((frames[:half][::-1], frames, frames[-half:][::-1]))
    return np.stack([padded[t : t + size].reshape(-1) for t in range(len(frames))])
