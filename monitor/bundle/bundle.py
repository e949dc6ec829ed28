"""The bundle: a trained model with all that is needed to judge sound by it, in one safetensors file.

Tensors: the weights (`model.*`), the mean and deviation of each band, what is normal of each part of the score
(`normal.*`), the scores of normal sound, the usual error of each band, and what a stored chirp scores. Metadata: one
JSON string with the settings, the thresholds and how they were found, the provenance, and a digest of everything.
There is no pickle.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from pydantic import ValidationError
from safetensors.torch import save
from torch import Tensor

from monitor.config.schema import Config, Features
from monitor.core.errors import BundleError, MonitorError
from monitor.features.mel import FrameStream, Scale, WindowStream
from monitor.core.atomic_io import write_whole
from monitor.model.autoencoder import Autoencoder, Inference
from monitor.scoring.scorer import PARTS, Normal, Scorer, band_errors

SCHEMA = 2
THRESHOLDS = ("score", "error", "recording", "evidence")
MAX_BYTES = 1 << 30
MAX_HEADER_BYTES = 1 << 22
CHIRP_TOLERANCE = 1e-2  # of the largest error: other processors and GPUs round differently, a drifted library does more


@dataclass(frozen=True, slots=True)
class Threshold:
    """One threshold, and how it was found."""

    value: float
    method: str  # "normal": from normal sound alone; "labelled": at a false-positive rate on labelled recordings
    recordings: int  # that it was found on
    seconds: float  # of sound in them
    expected: float  # false alarms a day, or false-positive rate ("recording")
    upper: float | None = None  # what the false alarms are at most, with 95 % confidence, by what was heard alone
    more_s: float | None = None  # seconds of normal sound without an alarm that it takes to be so sure of `expected`
    note: str = ""  # what to know about it, in a few words
    date: str = ""


@dataclass(frozen=True)
class Bundle:
    """A trained model and what judges sound by it."""

    config: Config
    model: Autoencoder
    mean: Tensor  # (n_mels,) of the unstandardised training frames
    deviation: Tensor  # (n_mels,)
    usual_band_error: Tensor  # (n_mels,) mean squared error of each band on held-out normal sound
    normals: dict[str, Normal]  # by part of the score, as `monitor.scoring.scorer.PARTS` names them
    thresholds: dict[str, Threshold]  # "score", "error", "evidence" of a stream, "recording" of a whole recording
    normal_scores: Tensor  # (n,) float64, ascending: scores of normal sound, score.window_s each; for the evidence
    normal_dbfs: float = -200.0  # the quietest normal sound
    provenance: dict[str, Any] = field(default_factory=dict)

    def scale(self) -> Scale:
        """What the model sees of a frame."""
        return Scale(self.config.features, self.mean, self.deviation)

    def scorer(self) -> Scorer:
        """What turns mean rows into anomaly scores."""
        return Scorer(self.config.score, self.config.features, self.normals, self.usual_band_error)

    @functools.cached_property  # every stream asks for it
    def digest(self) -> str:
        """The first characters of a hash of what judges sound: which model, with which thresholds."""
        return _digest(_facts(self), _tensors(self))[:12]

    @torch.inference_mode()
    def score_chirp(self) -> Tensor:
        """The reconstruction error of each window of a fixed chirp, on the CPU: (T,)."""
        features = self.config.features
        frame_stream = FrameStream(features)
        frames = torch.cat((frame_stream.push(_chirp(features)), frame_stream.flush()), 1)
        window_stream = WindowStream(features.window_frames, features.n_mels)
        scaled = self.scale().to("cpu")(frames)
        windows = torch.cat((window_stream.push(scaled), window_stream.flush()), 1)[0]
        inference = Inference(self.model.cpu().eval())
        return band_errors(windows, inference(windows), features.n_mels)[1].mean(dim=-1)


def save_bundle(bundle: Bundle, path: Path) -> None:
    """Writes the bundle whole or not at all: to a temporary file beside it, flushed to disk, then renamed.

    Raises:
        MonitorError: if the file cannot be written.
    """
    tensors = _tensors(bundle) | {"chirp_error": bundle.score_chirp()}
    facts = _facts(bundle)
    facts["digest"] = _digest(facts, tensors)
    write_whole(path, save(tensors, {"monitor": json.dumps(facts)}))


def _facts(bundle: Bundle) -> dict[str, Any]:
    """What a bundle knows in words and single numbers."""
    return {
        "schema": SCHEMA,
        "config": {g: getattr(bundle.config, g).model_dump(mode="json") for g in STORED_GROUPS},
        "thresholds": {name: dataclasses.asdict(t) for name, t in bundle.thresholds.items()},
        "normal_dbfs": bundle.normal_dbfs,
        "provenance": bundle.provenance,
    }


def _tensors(bundle: Bundle) -> dict[str, Tensor]:
    """What a bundle knows, by name, on the CPU."""
    tensors = {f"model.{name}": t.detach() for name, t in bundle.model.state_dict().items()}
    tensors |= {name: getattr(bundle, name) for name in ("mean", "deviation", "usual_band_error", "normal_scores")}
    for part, normal in bundle.normals.items():
        tensors |= {f"normal.{part}.{name}": getattr(normal, name) for name in ("centre", "precision", "usual")}
    return {name: t.cpu().contiguous().clone() for name, t in tensors.items()}


STORED_GROUPS = ("features", "model", "score", "alarm", "calibration")


def load_bundle(path: Path) -> Bundle:
    """Reads a bundle back, and verifies it before anything is computed with it.

    Raises:
        BundleError: if it is missing, truncated, altered, foreign, oversized, or scores its chirp differently here.
    """
    try:
        return _load(path)
    except BundleError:
        raise
    except (MonitorError, ValidationError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise BundleError(f"{path}: is not a model of this program, or is damaged ({_first_line(error)}).") from None


def _load(path: Path) -> Bundle:
    if path.is_dir():
        raise BundleError(f"{path}: is a folder; name the model in it, such as {path / 'model.safetensors'}.")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}.") from None
    if size > MAX_BYTES or not 2 <= header <= min(MAX_HEADER_BYTES, max(0, size - 8)):
        raise BundleError(f"{path}: is not a model of this program, or is damaged (its size is wrong).")
    try:
        with safetensors.safe_open(path, framework="pt") as stored:
            facts = json.loads((stored.metadata() or {}).get("monitor", "null"))
            if not isinstance(facts, dict):
                raise BundleError(f"{path}: is a safetensors file, but not a model of this program.")
            if facts.get("schema") != SCHEMA:
                raise BundleError(
                    f"{path}: was written in format {facts.get('schema')}, this program reads format {SCHEMA}: "
                    "train it again, or use the version of the program that wrote it."
                )
            config = Config.model_validate(facts["config"])
            slices = {name: stored.get_slice(name) for name in stored.keys()}  # noqa: SIM118
            found = {name: (tuple(part.get_shape()), str(part.get_dtype())) for name, part in slices.items()}
            known = found.get("normal_scores", ((0,), ""))[0]
            expected = _expected_tensors(config, known if len(known) == 1 else (0,))
            if wrong := sorted(name for name in expected | found if expected.get(name) != found.get(name)):
                raise BundleError(f"{path}: {wrong[0]!r} is missing, or is not what its settings imply.")
            tensors = {name: stored.get_tensor(name) for name in found}
    except (safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise BundleError(f"{path}: is not a model of this program, or is damaged ({_first_line(error)}).") from None
    digest = facts.pop("digest", None)
    if digest != _digest(facts, tensors):
        raise BundleError(f"{path}: has been altered since it was written: take a fresh copy of it, or train again.")
    if not all(t.isfinite().all() for t in tensors.values()):
        raise BundleError(f"{path}: holds numbers that are not finite: train again.")
    bundle = _assemble(config, facts, tensors)
    _check_chirp(bundle, tensors["chirp_error"], path)
    return bundle


def _assemble(config: Config, facts: dict[str, Any], tensors: dict[str, Tensor]) -> Bundle:
    model = Autoencoder.from_config(config)
    model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    names = ("centre", "precision", "usual")
    normals = {p: Normal(*(tensors[f"normal.{p}.{name}"] for name in names)) for p in PARTS[config.score.kind]}
    thresholds = {name: Threshold(**t) for name, t in facts["thresholds"].items()}
    values = [float(thresholds[name].value) for name in THRESHOLDS]
    if not all(0 <= value < float("inf") for value in values) or not isinstance(facts["provenance"], dict):
        raise ValueError("its thresholds or its provenance make no sense")
    return Bundle(config, model.eval(), tensors["mean"], tensors["deviation"], tensors["usual_band_error"], normals,
                  thresholds, tensors["normal_scores"], float(facts["normal_dbfs"]), facts["provenance"])  # fmt: skip


def _expected_tensors(config: Config, known: tuple[int, ...]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of every tensor that a bundle with these settings has, with so many scores of normal sound."""
    features = config.features
    with torch.device("meta"):
        model = Autoencoder.from_config(config)
    names = {torch.float32: "F32", torch.int64: "I64"}
    tensors = {f"model.{name}": (tuple(t.shape), names[t.dtype]) for name, t in model.state_dict().items()}
    bands = (features.n_mels,)
    chirp_frames = 1 + _chirp(features).shape[1] // features.hop_length
    shapes = {"mean": bands, "deviation": bands, "usual_band_error": bands, "chirp_error": (chirp_frames,)}
    tensors |= {name: (shape, "F32") for name, shape in shapes.items()}
    tensors["normal_scores"] = (known, "F64")
    for part in PARTS[config.score.kind]:
        size = features.n_mels * (2 if part == "spectrum" else 1)
        for name, shape in (("centre", (size,)), ("precision", (size, size)), ("usual", (2, 2))):
            tensors[f"normal.{part}.{name}"] = (shape, "F64")
    return tensors


def _check_chirp(bundle: Bundle, stored: Tensor, path: Path) -> None:
    difference = (bundle.score_chirp() - stored).abs().max()
    if not difference <= CHIRP_TOLERANCE * stored.abs().max():
        raise BundleError(
            f"{path}: scores its test sound differently here (by {float(difference / stored.abs().max()):.1%}) than "
            "where it was trained, so a library computes something else: install the versions in its provenance "
            f"({bundle.provenance.get('versions')}), or train again here."
        )


def _chirp(features: Features) -> Tensor:
    # A second, or as long as some windows need: a rising tone that passes every band, over noise in all of them, which
    # is made by arithmetic that every library does alike.
    sample_rate = features.sample_rate
    seconds = max(1.0, (40 * features.n_fft + 2 * features.window_frames * features.hop_length) / sample_rate)
    t = torch.arange(int(seconds * sample_rate), dtype=torch.float64) / sample_rate
    phase = 2 * torch.pi * (50 * t + (0.45 * sample_rate - 50) / (2 * seconds) * t.square())
    noise = torch.frac(torch.sin(t * sample_rate * 12.9898) * 43758.5453) * 0.02
    return (0.02 * torch.sin(phase) + noise).float()[None]


def _digest(facts: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensors[name].numpy()).tobytes())
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
