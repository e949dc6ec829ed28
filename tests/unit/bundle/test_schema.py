"""Bundles of older formats load unchanged and keep their model_id."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from monitor.bundle.bundle_io import load_bundle, save_bundle
from monitor.bundle.schema import OLDEST_SCHEMA, SCHEMA, digest
from monitor.streaming.stream_batch import StreamBatch
from support.builders import noise, small_bundle, small_config

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


def as_format_3(path: Path, target: Path) -> Path:
    """A copy of a bundle as version 0.2 wrote it, whose settings of the score have fewer names."""
    metadata, tensors = stored_metadata(path), load_file(path)
    for name in ("extremes", "modes", "impulses"):
        del metadata["config"]["score"][name]
    del metadata["digest"]
    metadata["schema"] = 3
    metadata["digest"] = digest(metadata, tensors)
    target.write_bytes(save(tensors, {"monitor": json.dumps(metadata)}))
    return target


@pytest.mark.parametrize("kind", ["fused", "mahalanobis", "spectrum", "error"])
def test_a_bundle_of_format_3_scores_as_before_without_extremes_modes_and_impulses(kind: str, tmp_path: Path) -> None:
    current = small_bundle(small_config("features.n_mels=8", f"score.kind={kind}", "score.extremes=false"))
    save_bundle(current, tmp_path / "current")
    old = load_bundle(as_format_3(tmp_path / "current", tmp_path / "old"))
    samples = noise(24_000)[None]
    found, expected = (StreamBatch(bundle).push(samples, [0]).score for bundle in (old, current))
    assert np.array_equal(found, expected, equal_nan=True)


@pytest.mark.parametrize("name", MODEL_IDS)
def test_an_old_bundle_stays_without_what_machines_have_now_even_when_it_is_saved_again(
    name: str, tmp_path: Path
) -> None:
    """So calibrating it does not ask it for statistics that it was not made for."""
    save_bundle(load_bundle(golden(name)), tmp_path / "new.safetensors")
    for bundle in (load_bundle(golden(name)), load_bundle(tmp_path / "new.safetensors")):
        score = bundle.config.score
        assert (score.extremes, score.modes, score.impulses) == (False, 1, "never")
        assert (bundle.modes, bundle.rhythm, bundle.layout.peaks) == (None, None, False)
