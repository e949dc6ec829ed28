"""Bundles of format 2 load unchanged and keep their model_id."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from monitor.bundle.bundle_io import load_bundle, save_bundle
from monitor.bundle.schema import OLDEST_SCHEMA, SCHEMA
from monitor.streaming.stream_batch import StreamBatch
from support.builders import noise

GOLDEN = Path(__file__).parents[2] / "golden"
# The `model_id` of each, computed by version 0.1.0, which wrote these files in format 2.
MODEL_IDS = {
    "error": "37564e1c641a",
    "fused": "81f54f99308a",
    "mahalanobis": "8272bcb2d55d",
    "spectrum": "54b419c181b3",
    "toyadmos": "efa4a1f7a0fb",
}


def stored_metadata(path: Path) -> dict:
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return json.loads(header["__metadata__"]["monitor"])


def golden(name: str) -> Path:
    return GOLDEN / f"{name}.safetensors"


def test_there_is_a_bundle_of_the_oldest_format_for_each_kind_of_score() -> None:
    assert {path.stem for path in GOLDEN.glob("*.safetensors")} == set(MODEL_IDS)
    assert {stored_metadata(golden(name))["schema"] for name in MODEL_IDS} == {OLDEST_SCHEMA}


@pytest.mark.parametrize("name", MODEL_IDS)
def test_a_bundle_of_format_2_loads_and_keeps_its_model_id(name: str) -> None:
    """So that earlier events can still be assigned to it."""
    assert load_bundle(golden(name)).model_id == MODEL_IDS[name]


@pytest.mark.parametrize("name", MODEL_IDS)
def test_a_bundle_of_format_2_has_the_stored_content(name: str) -> None:
    bundle, metadata, tensors = load_bundle(golden(name)), stored_metadata(golden(name)), load_file(golden(name))
    for stored_name, values in tensors.items():
        kind, _, rest = stored_name.partition(".")
        if kind == "model":
            found = bundle.weights[rest]
        elif kind == "normal":
            part, what = rest.split(".")
            current = {"centre": "centre", "precision": "inverse_covariance", "usual": "log_distance"}[what]
            found = getattr(bundle.references[part], current)
        elif kind == "chirp_error":
            continue
        else:
            found = getattr(bundle, kind)
        assert np.array_equal(found, values)
        assert found.dtype == values.dtype
    assert {f"normal.{part}.centre" in tensors for part in bundle.references} <= {True}
    for old_name, threshold in metadata["thresholds"].items():
        found = bundle.thresholds["cusum" if old_name == "evidence" else old_name].model_dump()
        assert {key: found[key] for key in threshold} == threshold
    assert bundle.normal_dbfs == metadata["normal_dbfs"]
    assert bundle.provenance == metadata["provenance"]


@pytest.mark.parametrize("name", MODEL_IDS)
def test_saving_a_bundle_of_format_2_converts_it_to_the_current_format_with_the_same_scores(
    name: str, tmp_path: Path
) -> None:
    old = load_bundle(golden(name))
    save_bundle(old, tmp_path / "new.safetensors")
    new = load_bundle(tmp_path / "new.safetensors")
    assert stored_metadata(tmp_path / "new.safetensors")["schema"] == SCHEMA
    assert new.thresholds == old.thresholds
    samples = noise(24_000)[None]
    found, expected = (StreamBatch(bundle).push(samples, [0]).score for bundle in (new, old))
    assert np.array_equal(found, expected, equal_nan=True)
    assert not np.isnan(found[:, -1]).any()
