"""The file format of bundles: expected tensors, conversion of older formats, and hashes of the content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.bundle.self_test import chirp_frames
from monitor.config.schema import Config
from monitor.model.folded_inference import weight_shapes
from monitor.scoring.rhythm import POINTS, is_possible
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.score_parts import PEAKS, parts_of

SCHEMA = 4  # the current format
OLDEST_SCHEMA = 2  # the oldest format that can be loaded
# The groups of settings that belong to a model and are stored in its bundle.
STORED_GROUPS = ("features", "model", "score", "alarm", "calibration")

# What models had before these settings existed.
LEGACY_SCORE = {"extremes": False, "modes": 1, "impulses": "never"}

Shapes = dict[str, tuple[tuple[int, ...], str]]  # shape and safetensors type of each tensor, by name
Metadata = dict[str, Any]  # the JSON in the file
Tensors = dict[str, NDArray[Any]]  # by name


@dataclass(frozen=True, slots=True)
class Extent:
    """What a bundle contains beside what its settings imply."""

    normal_scores: int  # number of stored scores of normal sound
    modes: int = 0  # number of operating modes, 0 if there is only one
    rhythm: bool = False
    peaks: bool = False

    @classmethod
    def of(cls, found: Shapes) -> Extent:
        """The extent of a bundle with these tensors."""

        def length(name: str) -> int:
            shape = found.get(name, ((), ""))[0]
            return shape[0] if shape else 0

        peaks = any(name.startswith(f"reference.{PEAKS.name}.") for name in found)
        rhythm = any(name.startswith("rhythm.") for name in found)
        return cls(length("normal_scores"), max(length("modes.centres"), 2 * ("modes.centres" in found)), rhythm, peaks)


def expected_tensors(config: Config, extent: Extent) -> Shapes:
    """The shape and the safetensors type of every tensor in a bundle, computed from its settings without a model.

    Args:
        config: settings of the model.
        extent: of the bundle.
    """
    features = config.features
    shapes: Shapes = {f"model.{name}": shape for name, shape in weight_shapes(config).items()}
    shapes |= dict.fromkeys(("mean", "deviation", "usual_band_error"), ((features.n_mels,), "F32"))
    shapes["chirp_error"] = ((chirp_frames(features),), "F32")
    shapes["normal_scores"] = ((extent.normal_scores,), "F64")
    of_modes = (extent.modes,) if extent.modes else ()
    parts = [(part, of_modes) for part in parts_of(config.score)]
    if extent.peaks and RowLayout.of(config).has_levels:
        parts.append((PEAKS, ()))
    for part, modes in parts:
        size = part.size(features.n_mels)
        shapes[f"reference.{part.name}.centre"] = ((*modes, size), "F64")
        shapes[f"reference.{part.name}.inverse_covariance"] = ((*modes, size, size), "F64")
        shapes[f"reference.{part.name}.log_distance"] = ((2, 2), "F64")
    if extent.modes:
        shapes["modes.centres"] = ((extent.modes, features.n_mels), "F32")
        shapes["modes.inverse_deviation"] = ((features.n_mels,), "F32")
        shapes["modes.usual"] = ((4, extent.modes, features.n_mels), "F32")
    if extent.rhythm and is_possible(features.hop_s, features.window_frames):
        shapes["rhythm.steepness"] = ((), "F64")
        shapes["rhythm.surprise"] = ((POINTS,), "F64")
        shapes["rhythm.log_distance"] = ((2, 2), "F64")
    return shapes


def current_name(name: str, schema: int) -> str:
    """The name in the current format of a tensor of format `schema`."""
    if schema == 2 and name.startswith("normal."):
        renamed = {"precision": "inverse_covariance", "usual": "log_distance"}
        _, part, what = name.split(".")
        return f"reference.{part}.{renamed.get(what, what)}"
    return name


def current_metadata(metadata: Metadata) -> Metadata:
    """Converts metadata of an older format to the current format."""
    if metadata["schema"] == 2:
        thresholds = {("cusum" if name == "evidence" else name): t for name, t in metadata["thresholds"].items()}
        metadata = metadata | {"thresholds": thresholds, "level_has_offset": True}
    return metadata | {"schema": SCHEMA}


def current_settings(stored: Metadata, schema: int) -> Metadata:
    """The stored groups of settings of format `schema`, with the current names of all settings."""
    if schema == 2 and isinstance(alarm := stored.get("alarm"), dict):
        stored = stored | {"alarm": {("lasting" if key == "evidence" else key): value for key, value in alarm.items()}}
    if schema <= 3 and isinstance(score := stored.get("score"), dict):
        stored = stored | {"score": score | LEGACY_SCORE}
    return stored


def digest(metadata: Metadata, tensors: Mapping[str, NDArray[Any]]) -> str:
    """The SHA-256 hash of everything in a bundle, in hexadecimal."""
    sha = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        sha.update(name.encode())
        sha.update(np.ascontiguousarray(tensors[name]).tobytes())
    return sha.hexdigest()


def model_id(metadata: Metadata, tensors: Mapping[str, NDArray[Any]]) -> str:
    """An identifier of the model and its thresholds: the first 12 digits of a hash of the bundle.

    The reconstruction errors of the self-test are left out, because they depend on the computer.
    """
    return digest(metadata, {name: values for name, values in tensors.items() if name != "chirp_error"})[:12]
