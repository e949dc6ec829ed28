"""A bundle loads exactly as it was saved, and is written whole or not at all."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.bundle.bundle_io import load_bundle, save_bundle, with_model_id
from monitor.config.schema import Config
from monitor.core.errors import MonitorError
from monitor.scoring.rhythm import POINTS
from monitor.scoring.row_layout import RowLayout
from monitor.streaming.portion import Portion
from monitor.streaming.stream_batch import StreamBatch
from support.builders import noise, small_bundle, small_config
from support.bundle_files import TINY, TOYADMOS, contents, stored

# Saving and loading


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        TINY,
        TOYADMOS,
        ("score.kind=mahalanobis", "score.shrinkage=ledoit-wolf", "features.fmax=7000"),
        ("score.kind=spectrum", "features.remove_level=true", "alarm.lasting=false"),
    ],
)
@pytest.mark.parametrize(
    "machine", [{}, {"modes": 2}, {"rhythm": True}, {"peaks": True}, {"modes": 3, "rhythm": True, "peaks": True}]
)
def test_a_loaded_bundle_gives_identical_scores(
    tmp_path: Path, overrides: tuple[str, ...], machine: dict[str, Any]
) -> None:
    if machine.get("peaks") and not RowLayout.of(small_config(*overrides)).has_levels:
        pytest.skip("the network alone has no peaks")
    bundle = small_bundle(small_config(*overrides), **machine)
    path = tmp_path / "new folder" / "model.safetensors"
    returned = save_bundle(bundle, path)
    loaded = load_bundle(path)
    assert contents(loaded) == contents(returned) == contents(bundle)
    samples = noise(16_000)[None]
    [found], [expected] = (StreamBatch(one).push(samples, [0]).portions() for one in (loaded, bundle))
    for name in Portion._fields:
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert np.array_equal(ours, theirs, equal_nan=True)
        assert len(ours) > 50


def test_settings_of_training_and_of_the_dashboard_are_not_stored(tmp_path: Path) -> None:
    config = small_config(*TINY, "train.epochs=99", "dashboard.fps=2", "alarm.release_s=7")
    save_bundle(small_bundle(config), tmp_path / "m")
    loaded = load_bundle(tmp_path / "m").config
    assert loaded.alarm.release_s == 7
    assert (loaded.train, loaded.dashboard) == (Config().train, Config().dashboard)


def test_saving_twice_gives_the_same_file(saved: Path, tmp_path: Path) -> None:
    save_bundle(load_bundle(saved), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_a_bundle_is_a_plain_safetensors_file_with_json_metadata(saved: Path) -> None:
    metadata, tensors = stored(saved)
    assert set(metadata) == {
        "schema",
        "config",
        "thresholds",
        "normal_dbfs",
        "level_has_offset",
        "provenance",
        "digest",
    }
    assert metadata["schema"] == 4
    assert set(metadata["thresholds"]) == {"score", "error", "recording", "cusum"}
    assert metadata["thresholds"]["score"]["upper"] == 2150.0
    assert metadata["config"]["features"]["n_mels"] == 8
    assert tensors["model.dense_enc1.weight"].shape == (6, 160)
    for part, modes, size in (("residual", (2,), 8), ("spectrum", (2,), 32), ("peaks", (), 8)):
        assert tensors[f"reference.{part}.centre"].shape == (*modes, size)
        assert tensors[f"reference.{part}.inverse_covariance"].shape == (*modes, size, size)
        assert tensors[f"reference.{part}.inverse_covariance"].dtype == np.float64
        assert tensors[f"reference.{part}.log_distance"].shape == (2, 2)
    for name, shape in (("modes.centres", (2, 8)), ("modes.inverse_deviation", (8,)), ("rhythm.surprise", (POINTS,))):
        assert tensors[name].shape == shape


def test_a_bundle_knows_in_which_precision_its_limits_were_made(tmp_path: Path) -> None:
    """Those made in float32 do not say so: versions of the program that know nothing else can read them."""
    single = small_bundle(small_config(*TINY))
    for precision in ("int8", "bfloat16"):
        made = save_bundle(dataclasses.replace(single, precision=precision), tmp_path / "m")
        assert stored(tmp_path / "m")[0]["precision"] == precision
        assert load_bundle(tmp_path / "m").precision == precision
        assert made.model_id != single.model_id
    save_bundle(single, tmp_path / "m")
    assert "precision" not in stored(tmp_path / "m")[0]
    assert load_bundle(tmp_path / "m").precision == "float32"


@pytest.mark.parametrize(
    ("kind", "parts"),
    [("fused", ["residual", "spectrum"]), ("mahalanobis", ["residual"]), ("spectrum", ["spectrum"]), ("error", [])],
)
def test_a_bundle_has_the_reference_distributions_of_the_parts_of_its_score_and_no_others(
    tmp_path: Path, kind: str, parts: list[str]
) -> None:
    save_bundle(small_bundle(small_config(*TINY, f"score.kind={kind}")), tmp_path / "m")
    assert list(load_bundle(tmp_path / "m").references) == parts
    names = {name.split(".")[1] for name in stored(tmp_path / "m")[1] if name.startswith("reference.")}
    assert sorted(names) == parts


@pytest.mark.parametrize("count", [0, 1, 2000])
def test_a_bundle_can_have_any_number_of_normal_scores(tmp_path: Path, count: int) -> None:
    bundle = dataclasses.replace(small_bundle(small_config(*TINY)), normal_scores=np.linspace(0, 9, count))
    save_bundle(bundle, tmp_path / "m")
    assert np.array_equal(load_bundle(tmp_path / "m").normal_scores, bundle.normal_scores)


def test_the_model_id_changes_with_every_number_of_the_model_and_is_reproducible() -> None:
    """Events have the model_id, so that their model can be identified."""
    bundle = small_bundle(small_config(*TINY), modes=2, rhythm=True, peaks=True)

    def changed(values: np.ndarray, at: int, by: float) -> np.ndarray:
        values = values.copy()
        values.flat[at] += by
        return values

    others = []
    for name, threshold in bundle.thresholds.items():
        raised = threshold.model_copy(update={"value": threshold.value * (1 + 1e-12)})
        others.append(dataclasses.replace(bundle, thresholds=bundle.thresholds | {name: raised}))
    for name in ("mean", "deviation", "usual_band_error", "normal_scores"):
        others.append(dataclasses.replace(bundle, **{name: changed(getattr(bundle, name), 3, 1e-3)}))
    for part, reference in bundle.references.items():
        for name in ("centre", "inverse_covariance", "log_distance"):
            other = dataclasses.replace(reference, **{name: changed(getattr(reference, name), -1, 1e-12)})
            others.append(dataclasses.replace(bundle, references=bundle.references | {part: other}))
    assert bundle.modes is not None
    assert bundle.rhythm is not None
    for part, one, names in (
        ("modes", bundle.modes, ("centres", "inverse_deviation", "usual")),
        ("rhythm", bundle.rhythm, ("steepness", "surprise", "log_distance")),
    ):
        for name in names:
            other = dataclasses.replace(one, **{name: changed(np.asarray(getattr(one, name)), -1, 1e-6)})
            others.append(dataclasses.replace(bundle, **{part: other}))
    for name, values in bundle.weights.items():
        by = 1 if name.endswith("num_batches_tracked") else 1e-6
        others.append(dataclasses.replace(bundle, weights=bundle.weights | {name: changed(values, 0, by)}))
    others.append(dataclasses.replace(bundle, normal_dbfs=-61.0))
    others.append(dataclasses.replace(bundle, provenance={"seed": 1}))
    ids = [bundle.model_id, *(with_model_id(other).model_id for other in others)]
    assert len(set(ids)) == len(ids) == 1 + 4 + 4 + 9 + 6 + len(bundle.weights) + 2
    again = small_bundle(small_config(*TINY), modes=2, rhythm=True, peaks=True)
    assert with_model_id(bundle).model_id == again.model_id == ids[0]
    assert re.fullmatch("[0-9a-f]{12}", ids[0])


# Saving


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"the old file")
    return path


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_unchanged_and_no_temporary_file(
    old: Path, saved: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
    with pytest.raises(MonitorError, match=r"model\.safetensors: cannot be written: No space left"):
        save_bundle(load_bundle(saved), old)
    assert old.read_bytes() == b"the old file"
    assert list(old.parent.iterdir()) == [old]


def test_a_partial_write_leaves_the_old_file_unchanged(old: Path, saved: Path) -> None:
    resource = pytest.importorskip("resource")
    bundle = load_bundle(saved)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(MonitorError, match="cannot be written"):
            save_bundle(bundle, old)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert old.read_bytes() == b"the old file"
    assert list(old.parent.iterdir()) == [old]


def test_saving_replaces_the_old_file_and_leaves_no_temporary_file(old: Path, saved: Path) -> None:
    save_bundle(load_bundle(saved), old)
    assert old.read_bytes() == saved.read_bytes()
    assert list(old.parent.iterdir()) == [old]


def test_if_a_bundle_cannot_be_written_the_error_is_one_sentence(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MonitorError, match="cannot be written") as caught:
        save_bundle(load_bundle(saved), tmp_path / "file" / "model.safetensors")
    assert "\n" not in str(caught.value)
    (tmp_path / "folder").mkdir()
    with pytest.raises(MonitorError, match="cannot be written"):
        save_bundle(load_bundle(saved), tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
