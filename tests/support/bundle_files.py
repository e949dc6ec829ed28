"""Files of small bundles: what is in them, changed copies, and the message with which one is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from monitor.bundle import schema
from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle
from monitor.bundle.schema import STORED_GROUPS
from monitor.core.errors import EXIT_BUNDLE, BundleError

TINY = ("features.n_mels=8", "features.n_fft=256", "model.hidden=[6,5]", "model.bottleneck=3")
TOYADMOS = ("score.kind=error", "features.scale=power", "features.standardize=false", "score.window_s=0")


def refusal(path: Path) -> str:
    """The error message with which a file is refused."""
    with pytest.raises(BundleError) as caught:
        load_bundle(path)
    message = str(caught.value)
    assert caught.value.exit_code == EXIT_BUNDLE == 4
    assert "\n" not in message
    assert path.name in message
    return message


def contents(bundle: Bundle) -> dict[str, object]:
    """The whole content of a bundle in comparable form: arrays as bytes with their types and shapes."""
    arrays = dict(bundle.weights)
    arrays |= {name: getattr(bundle, name) for name in ("mean", "deviation", "usual_band_error", "normal_scores")}
    for part, reference in bundle.references.items():
        arrays |= {f"{part} {field.name}": getattr(reference, field.name) for field in dataclasses.fields(reference)}
    for name, one in (("modes", bundle.modes), ("rhythm", bundle.rhythm)):
        if one is not None:
            values = {field.name: np.asarray(getattr(one, field.name)) for field in dataclasses.fields(one)}
            arrays |= {f"{name} {field}": array for field, array in values.items()}
    content: dict[str, object] = {name: (str(a.dtype), a.shape, a.tobytes()) for name, a in arrays.items()}
    content |= {group: getattr(bundle.config, group) for group in STORED_GROUPS}
    return content | {name: getattr(bundle, name) for name in ("thresholds", "provenance", "normal_dbfs", "model_id")}


def stored(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """The metadata and the tensors in a bundle's file."""
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return json.loads(header["__metadata__"]["monitor"]), load_file(path)


def rewritten(path: Path, target: Path, change: Callable[[dict, dict], None]) -> Path:
    """Writes a changed copy of a bundle with a correct digest, as an attacker would."""
    metadata, tensors = stored(path)
    change(metadata, tensors)
    metadata.pop("digest", None)
    metadata["digest"] = schema.digest(metadata, tensors)
    target.write_bytes(save(tensors, {"monitor": json.dumps(metadata)}))
    return target
