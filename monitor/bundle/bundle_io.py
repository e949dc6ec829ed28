"""Saving and loading bundles: one safetensors file, which is verified when it is loaded.

The tensors are the weights (`model.*`), mean and deviation of each band, the reference distributions (`reference.*`),
scores of normal sound, the usual error of each band, and the reconstruction errors of the self-test. The safetensors
metadata has one JSON string with the settings, the thresholds, the provenance, and a digest of the whole bundle. The
file contains no pickle, so loading it cannot execute code.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save

from monitor.bundle.bundle import Bundle
from monitor.bundle.schema import (
    OLDEST_SCHEMA,
    SCHEMA,
    STORED_GROUPS,
    Extent,
    Metadata,
    Tensors,
    current_metadata,
    current_name,
    current_settings,
    digest,
    expected_tensors,
    model_id,
)
from monitor.bundle.self_test import TOLERANCE, chirp_error
from monitor.bundle.stored_metadata import checked_metadata, checked_settings, parse_json
from monitor.config.schema import Config
from monitor.core.atomic_io import write_atomically
from monitor.core.errors import BundleError, MonitorError
from monitor.core.special_files import special_file
from monitor.core.text import shortened
from monitor.scoring.gaussian import Reference
from monitor.scoring.operating_modes import OperatingModes
from monitor.scoring.rhythm import Rhythm
from monitor.scoring.score_parts import PEAKS, parts_of

# The arrays of these objects that are stored, in the order of their fields.
REFERENCE_FIELDS = ("centre", "inverse_covariance", "log_distance")
MODES_FIELDS = ("centres", "inverse_deviation", "usual")
RHYTHM_FIELDS = ("steepness", "surprise", "log_distance")

MAX_BYTES = 1 << 30
MAX_HEADER_BYTES = 1 << 22


def save_bundle(bundle: Bundle, path: Path) -> Bundle:
    """Writes a bundle atomically, and returns it with its `model_id`.

    Raises:
        MonitorError: if the file cannot be written.
    """
    metadata, tensors = _metadata(bundle), _tensors(bundle)
    tensors["chirp_error"] = chirp_error(bundle)
    stored = metadata | {"digest": digest(metadata, tensors)}
    write_atomically(path, save(tensors, {"monitor": json.dumps(stored)}))
    return replace(bundle, model_id=model_id(metadata, tensors))


def with_model_id(bundle: Bundle) -> Bundle:
    """The bundle with the `model_id` that `save_bundle` would give it."""
    return replace(bundle, model_id=model_id(_metadata(bundle), _tensors(bundle)))


def _metadata(bundle: Bundle) -> Metadata:
    """The JSON metadata of a bundle, without the digest."""
    # float32 is not stored, so that versions of the program that know no other precision can read the bundle.
    precision = {} if bundle.precision == "float32" else {"precision": bundle.precision}
    return precision | {
        "schema": SCHEMA,
        "config": {group: getattr(bundle.config, group).model_dump(mode="json") for group in STORED_GROUPS},
        "thresholds": {name: threshold.model_dump() for name, threshold in bundle.thresholds.items()},
        "normal_dbfs": bundle.normal_dbfs,
        "level_has_offset": bundle.level_has_offset,
        "provenance": bundle.provenance,
    }


def _tensors(bundle: Bundle) -> Tensors:
    """The tensors of a bundle, without the errors of the self-test."""
    tensors: Tensors = {f"model.{name}": values for name, values in bundle.weights.items()}
    tensors |= {name: getattr(bundle, name) for name in ("mean", "deviation", "usual_band_error", "normal_scores")}
    for part, reference in bundle.references.items():
        for name in REFERENCE_FIELDS:
            tensors[f"reference.{part}.{name}"] = getattr(reference, name)
    if bundle.modes is not None:
        tensors |= {f"modes.{name}": getattr(bundle.modes, name) for name in MODES_FIELDS}
    if bundle.rhythm is not None:
        tensors |= {f"rhythm.{name}": np.asarray(getattr(bundle.rhythm, name), np.float64) for name in RHYTHM_FIELDS}
    return {name: np.ascontiguousarray(values).reshape(values.shape) for name, values in tensors.items()}


def load_bundle(path: Path) -> Bundle:
    """Loads a bundle of any format from `OLDEST_SCHEMA` to `SCHEMA`, and verifies it.

    Raises:
        BundleError: if the file is missing, truncated, altered, too large or not a bundle, or if the self-test gives
            other reconstruction errors here than where the bundle was made.
    """
    try:
        return _load(path)
    except BundleError:
        raise
    except (MonitorError, OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise _unusable(path, _first_line(error)) from None


def _load(path: Path) -> Bundle:
    _check_size(path)
    try:
        with safetensors.safe_open(path, framework="np") as stored:
            parsed = parse_json((stored.metadata() or {}).get("monitor", "null"))
            metadata, schema = _check_schema(parsed, path)
            names = list(stored.keys())
            config = _stored_config(metadata)
            _check_shapes(stored, names, schema, config, path)
            raw = {name: stored.get_tensor(name) for name in names}
    except safetensors.SafetensorError as error:
        raise _unusable(path, _first_line(error)) from None
    if metadata.pop("digest", None) != digest(metadata, raw):
        raise BundleError(f"{path}: has been altered since it was written: use a fresh copy of it, or train again.")
    tensors = {current_name(name, schema): values for name, values in raw.items()}
    _check_numbers(tensors, path)
    bundle = _assemble(config, current_metadata(metadata), tensors, model_id(metadata, raw))
    _check_self_test(bundle, tensors, path)
    return bundle


def _check_size(path: Path) -> None:
    """Refuses what is not a file, without opening it: reading a pipe or a device could take for ever."""
    if path.is_dir():
        raise BundleError(f"{path}: is a folder: give the model file in it, such as {path / 'model.safetensors'}.")
    try:
        if kind := special_file(path):
            raise BundleError(f"{path}: is {kind}, not a model file: give a file that `monitor train` has written.")
        size = path.stat().st_size
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}.") from None
    if size > MAX_BYTES or not 2 <= header <= min(MAX_HEADER_BYTES, max(0, size - 8)):
        raise _unusable(path, "its size is wrong")


def _check_schema(metadata: object, path: Path) -> tuple[Metadata, int]:
    if not isinstance(metadata, dict):
        raise BundleError(
            f"{path}: is a safetensors file, but not a model of this program: give one that it has trained."
        )
    schema = metadata.get("schema")
    if type(schema) is not int or not OLDEST_SCHEMA <= schema <= SCHEMA:
        raise BundleError(
            f"{path}: has format {shortened(str(schema))}, but this program reads formats {OLDEST_SCHEMA} to {SCHEMA}: "
            "train it again, or use the version of the program that wrote it."
        )
    return metadata, schema


def _stored_config(metadata: Metadata) -> Config:
    stored = metadata["config"]
    if not isinstance(stored, dict):
        raise ValueError("its settings are not groups")
    return checked_settings(current_settings(stored, metadata["schema"]), STORED_GROUPS)


def _check_shapes(stored: Any, names: list[str], schema: int, config: Config, path: Path) -> None:
    """Compares the shapes and types of all tensors with those that the settings imply, before they are read."""
    slices = {current_name(name, schema): stored.get_slice(name) for name in names}
    found = {name: (tuple(part.get_shape()), str(part.get_dtype())) for name, part in slices.items()}
    expected = expected_tensors(config, Extent.of(found))
    if wrong := sorted(name for name in expected | found if expected.get(name) != found.get(name)):
        raise BundleError(
            f"{path}: its tensor {wrong[0]!r} is missing or does not fit its settings: use a fresh copy of it, or "
            "train again."
        )


def _check_numbers(tensors: Tensors, path: Path) -> None:
    """Checks that the numbers can be used: finite, and where the formulas need it, positive or ascending."""
    if not all(np.isfinite(values).all() for values in tensors.values()):
        raise BundleError(f"{path}: contains numbers that are not finite: use a fresh copy of it, or train again.")
    for name, values in tensors.items():
        if name == "deviation":
            usable = bool((values > 0).all())
        elif name == "usual_band_error" or name.endswith("running_var"):
            usable = bool((values >= 0).all())
        elif name.endswith("inverse_covariance"):
            usable = bool((np.diagonal(values, axis1=-2, axis2=-1) > 0).all())
        elif name in ("modes.inverse_deviation", "rhythm.steepness"):
            usable = bool((values > 0).all())
        elif name in (f"reference.{PEAKS.name}.log_distance", "rhythm.log_distance"):
            usable = bool((values[:, 1] > 0).all())  # which the logarithm of an alternative is divided by
        elif name.endswith("log_distance"):
            usable = bool((values[:, 1] >= 0).all())
        else:
            usable = name != "normal_scores" or bool((np.diff(values) >= 0).all())
        if not usable:
            raise BundleError(
                f"{path}: its tensor {name!r} contains impossible numbers: use a fresh copy of it, or train again."
            )


def _assemble(config: Config, metadata: Metadata, tensors: Tensors, identity: str) -> Bundle:
    checked = checked_metadata({key: value for key, value in metadata.items() if key not in ("schema", "config")})
    references = {
        part.name: Reference(*(tensors[f"reference.{part.name}.{name}"] for name in REFERENCE_FIELDS))
        for part in (*parts_of(config.score), PEAKS)
        if f"reference.{part.name}.centre" in tensors
    }
    modes = [tensors[f"modes.{name}"] for name in MODES_FIELDS] if "modes.centres" in tensors else None
    rhythm = [tensors[f"rhythm.{name}"] for name in RHYTHM_FIELDS] if "rhythm.surprise" in tensors else None
    return Bundle(
        config,
        {name.removeprefix("model."): values for name, values in tensors.items() if name.startswith("model.")},
        tensors["mean"],
        tensors["deviation"],
        tensors["usual_band_error"],
        references,
        checked.thresholds,
        tensors["normal_scores"],
        checked.normal_dbfs,
        checked.provenance,
        checked.level_has_offset,
        None if modes is None else OperatingModes(*modes),
        None if rhythm is None else Rhythm(float(rhythm[0]), *rhythm[1:]),
        checked.precision,
        identity,
    )


def _check_self_test(bundle: Bundle, tensors: Tensors, path: Path) -> None:
    """Compares the reconstruction errors of the self-test here with those where the bundle was made."""
    stored = tensors["chirp_error"]
    with np.errstate(all="ignore"):  # of numbers that are absurd the result is not finite, which is refused here
        difference = float(np.abs(chirp_error(bundle) - stored).max() / np.abs(stored).max())
    if not np.isfinite(difference):
        raise BundleError(f"{path}: gives no scores for its test sound: use a fresh copy of it, or train again.")
    if difference > TOLERANCE:
        versions = shortened(str(bundle.provenance.get("versions")), 200)
        raise BundleError(
            f"{path}: scores its test sound differently here than where it was trained (by {difference:.1%}), "
            f"because a library here computes differently: install the versions that it was trained with ({versions}), "
            "or train again here."
        )


def _unusable(path: Path, reason: str) -> BundleError:
    return BundleError(
        f"{path}: is not a model of this program, or is damaged ({reason}): use a fresh copy of it, or train again."
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return shortened(lines[0], 300) if lines else type(error).__name__
