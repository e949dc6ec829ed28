"""Inputs of the recorded scores in tests/golden: sound and a network, the same with every version of numpy.

They use `numpy.random.RandomState`, whose output never changes, unlike that of `default_rng`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
SMALL = (
    "features.n_mels=16",
    "features.fmax=null",
    "model.hidden=[24,12]",
    "model.bottleneck=8",
    "score.window_s=1.0",
    "train.epochs=3",
    "train.batch_size=64",
    "train.precision=float32",
)
KINDS = ("fused", "mahalanobis", "spectrum", "error")
CHUNKS = (37, 160, 1, 1600, 911, 5000, 160, 8000, 3)  # numbers of samples that arrive at once, as from a microphone
EVERY = 7  # only every so many rows are recorded


def sound(seconds: float, seed: int, *, fault_from_s: float | None = None, rate: int = RATE) -> np.ndarray:
    """A humming machine, and from `fault_from_s` on a beating tone at 5.1 kHz: (n,) float32."""
    random = np.random.RandomState(seed)
    t = np.arange(round(seconds * rate)) / rate
    x = sum(
        size * np.sin(2 * np.pi * hz * t + random.uniform(0, 6.28))
        for hz, size in ((50, 0.03), (100, 0.05), (300, 0.03), (1250, 0.015), (2500, 0.01), (3750, 0.006))
    )
    x = x * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * t + random.uniform(0, 6.28))) + 0.015 * random.standard_normal(len(t))
    if fault_from_s is not None:
        x = x + (t >= fault_from_s) * 0.05 * np.sin(2 * np.pi * 5100 * t) * (np.sin(2 * np.pi * 9 * t) > 0.6)
    return (0.6 * x).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    """A 16-bit recording of samples (n,) or (n, channels)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def data_set(root: Path) -> Path:
    """Recordings in the layout of ToyADMOS: 14 to train on, 4 normal and 4 anomalous ones to test."""
    for number in range(14):
        write(root / "train_normal" / f"n{number:02d}.wav", sound(6.0, number))
    for number in range(4):
        write(root / "test_normal" / f"n{number:02d}.wav", sound(6.0, 100 + number))
        write(root / "test_anomaly" / f"a{number:02d}.wav", sound(6.0, 200 + number, fault_from_s=2.0 * number))
    return root


def recordings(root: Path) -> list[Path]:
    """Recordings for replay: one with a fault that sets in, and a stereo one at 44.1 kHz."""
    stereo = np.stack([sound(4.0, 301, rate=44_100), sound(4.0, 302, rate=44_100)], axis=1)
    return [
        write(root / "fault.wav", sound(12.0, 300, fault_from_s=6.0)),
        write(root / "stereo.wav", stereo, 44_100),
    ]


def hall(root: Path, bundle: Path, count: int = 40) -> Path:
    """Settings with `count` streams of one model, of different lengths, every fifth with a fault."""
    lines = ["streams:"]
    for number in range(count):
        fault = 1.5 if number % 5 == 0 else None
        file = write(root / "hall" / f"{number:02d}.wav", sound(3.0 + 0.05 * number, 400 + number, fault_from_s=fault))
        lines += [f"  - name: s{number:02d}", f"    bundle: {bundle}", f"    file: {file}"]
    path = root / "hall.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def full_size_weights() -> dict[str, np.ndarray]:
    """Weights of an untrained network of the default size (1280-512-256-128-256-512-1280)."""
    random = np.random.RandomState(7)
    sizes = {
        "dense_enc1": (512, 1280), "dense_enc2": (256, 512), "dense_enc3": (128, 256),
        "dense_dec1": (256, 128), "dense_dec2": (512, 256), "dense_dec3": (1280, 512),
    }  # fmt: skip
    weights: dict[str, np.ndarray] = {}
    for name, (rows, columns) in sizes.items():
        weights[f"{name}.weight"] = (random.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)
        weights[f"{name}.bias"] = (0.1 * random.standard_normal(rows)).astype(np.float32)
    for name, size in (("bn1", 512), ("bn2", 256), ("bn4", 256), ("bn5", 512)):
        weights[f"{name}.weight"] = (0.5 + random.uniform(size=size)).astype(np.float32)
        weights[f"{name}.bias"] = (0.1 * random.standard_normal(size)).astype(np.float32)
        weights[f"{name}.running_mean"] = (0.5 * random.uniform(size=size)).astype(np.float32)
        weights[f"{name}.running_var"] = (0.5 + random.uniform(size=size)).astype(np.float32)
        weights[f"{name}.num_batches_tracked"] = np.array(7, np.int64)
    return weights


def full_size_references() -> dict[str, dict[str, np.ndarray]]:
    """For each part of the score: centre (p,), inverse covariance (p, p), and mean and deviation of ln d² (2, 2)."""
    random = np.random.RandomState(8)
    found: dict[str, dict[str, np.ndarray]] = {}
    for part, size in (("residual", 64), ("spectrum", 128)):
        root = random.standard_normal((size, size)) / np.sqrt(size)
        found[part] = {
            "centre": 0.1 * random.standard_normal(size),
            "inverse_covariance": root @ root.T + np.eye(size),
            "usual": np.array([[4.0, 0.5], [3.5, 0.25]]),
        }
    return found
