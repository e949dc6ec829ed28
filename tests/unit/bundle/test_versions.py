"""Versions of a stream's model: which is in force, promoting, taking back, and what a crash or damage leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle, save_bundle
from monitor.bundle.versions import AUTOMATIC, HISTORY, KEPT, ModelVersions, with_lineage
from monitor.core.errors import BundleError, MonitorError


@pytest.fixture
def versions(tmp_path: Path) -> ModelVersions:
    return ModelVersions(tmp_path / "models" / "pump")


def other(bundle: Bundle, number: int) -> Bundle:
    """A model that differs from another one."""
    return replace(bundle, normal_dbfs=-40.0 - number)


def test_without_versions_the_configured_model_is_in_force(model: Path, versions: ModelVersions) -> None:
    assert versions.in_force(model) == model
    assert versions.history() == []
    assert not versions.folder.exists()  # asking leaves nothing behind


def test_a_promoted_model_is_in_force_and_can_be_taken_back_step_by_step(
    model: Path, bundle: Bundle, versions: ModelVersions
) -> None:
    first = versions.promote(other(bundle, 1), configured=model, by="ann", how="relearnt", figures={"upper": 2.0})
    second = versions.promote(other(bundle, 2), configured=model, by="ben")
    assert versions.in_force(model) == second
    assert load_bundle(second).normal_dbfs == -42.0
    assert versions.undo(configured=model, by="cem", how="too loud") == first == versions.in_force(model)
    assert versions.undo(configured=model, by="cem") == model == versions.in_force(model)
    with pytest.raises(MonitorError, match="No version can be taken back"):
        versions.undo(configured=model, by="cem")
    said = [(one.by, one.what, one.how, one.model_id) for one in versions.history()]
    ids = [first.stem, second.stem]
    assert said == [
        ("ann", "promoted", "relearnt", ids[0]), ("ben", "promoted", "", ids[1]),
        ("cem", "taken back", "too loud", ids[0]), ("cem", "taken back", "", ""),
    ]  # fmt: skip
    assert versions.history()[0].figures == {"upper": 2.0}


def test_after_a_model_was_taken_back_the_next_one_can_be_taken_back_to_the_one_before(
    model: Path, bundle: Bundle, versions: ModelVersions
) -> None:
    first = versions.promote(other(bundle, 1), configured=model, by="ann")
    versions.promote(other(bundle, 2), configured=model, by="ann")
    versions.undo(configured=model, by="ann")
    versions.promote(other(bundle, 3), configured=model, by="ann")
    assert versions.undo(configured=model, by="ann") == first


def test_a_configured_model_that_was_replaced_is_used_again_and_that_is_said_once(
    model: Path, bundle: Bundle, versions: ModelVersions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    configured = tmp_path / "model.safetensors"
    configured.write_bytes(model.read_bytes())
    promoted = versions.promote(other(bundle, 1), configured=configured, by="ann")
    assert versions.in_force(configured) == promoted
    save_bundle(other(bundle, 9), configured)  # trained or calibrated again
    assert versions.in_force(configured) == versions.in_force(configured) == configured
    assert [record.message.count("another model") for record in caplog.records] == [1]
    with pytest.raises(MonitorError, match="No version"):
        versions.undo(configured=configured, by="ann")
    # A version of the new model does not bring back those of the old one.
    versions.promote(other(bundle, 5), configured=configured, by="ann")
    assert versions.undo(configured=configured, by="ann") == configured


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 1, "entries": [{"time": "x"}]}', b"\xff"])
def test_a_damaged_history_is_one_sentence_and_the_configured_model_is_used(
    content: bytes, model: Path, bundle: Bundle, versions: ModelVersions, caplog: pytest.LogCaptureFixture
) -> None:
    versions.promote(other(bundle, 1), configured=model, by="ann")
    (versions.folder / HISTORY).write_bytes(content)
    assert versions.in_force(model) == versions.in_force(model) == model
    assert [record.message.count(HISTORY) for record in caplog.records] == [1]
    with pytest.raises(MonitorError, match="is damaged"):
        versions.history()
    again = versions.promote(other(bundle, 2), configured=model, by="ann")
    assert versions.in_force(model) == again
    assert (versions.folder / f"{HISTORY}.damaged").read_bytes() == content  # nothing is thrown away


@pytest.mark.parametrize("damage", ["removed", "altered"])
def test_a_missing_or_altered_version_is_not_used(
    damage: str, model: Path, bundle: Bundle, versions: ModelVersions, caplog: pytest.LogCaptureFixture
) -> None:
    file = versions.promote(other(bundle, 1), configured=model, by="ann")
    if damage == "removed":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    assert versions.in_force(model) == model
    assert len(caplog.records) == 1


def test_only_the_newest_versions_keep_their_files_and_taking_back_passes_over_the_others(
    model: Path, bundle: Bundle, versions: ModelVersions
) -> None:
    files = [versions.promote(other(bundle, n), configured=model, by="ann") for n in range(KEPT + 2)]
    assert [file.is_file() for file in files] == [False, False, *[True] * KEPT]
    for expected in [*files[-2:1:-1], model]:
        assert versions.undo(configured=model, by="ann") == expected


def test_a_model_remembers_what_it_was_made_of(
    model: Path, bundle: Bundle, versions: ModelVersions, tmp_path: Path
) -> None:
    child = save_bundle(with_lineage(other(bundle, 1), bundle, how="relearnt", by="ann"), tmp_path / "child")
    promoted = versions.promote(with_lineage(child, child, how="retrained", by="ben"), configured=model, by="ben")
    lineage = load_bundle(promoted).provenance["lineage"]
    assert [(one["model_id"], one["how"], one["by"]) for one in lineage] == [
        (bundle.model_id, "relearnt", "ann"), (child.model_id, "retrained", "ben"),
    ]  # fmt: skip


def test_a_model_whose_lineage_is_no_list_of_models_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    bad = replace(bundle, provenance=bundle.provenance | {"lineage": [{"model_id": 3}]})
    save_bundle(bad, tmp_path / "bad.safetensors")
    with pytest.raises(BundleError, match="lineage"):
        load_bundle(tmp_path / "bad.safetensors")


def test_the_model_file_of_a_stream_is_remembered(versions: ModelVersions, model: Path) -> None:
    assert versions.origin() is None
    versions.remember_origin(model)
    assert versions.origin() == model.absolute()
    (versions.folder / "origin.json").write_text("[]")
    assert versions.origin() is None


PROMOTING = """
import sys
from dataclasses import replace
from pathlib import Path
from monitor.bundle.bundle_io import load_bundle
from monitor.bundle.versions import ModelVersions
model, folder = map(Path, sys.argv[1:])
versions, bundle = ModelVersions(folder), load_bundle(model)
print("ready", flush=True)
for number in range(1000):
    versions.promote(replace(bundle, normal_dbfs=-41.0 - number), configured=model, by="a loop")
    print(number, flush=True)
"""


def test_a_kill_while_models_are_promoted_leaves_one_that_can_be_loaded(model: Path, versions: ModelVersions) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROMOTING, str(model), str(versions.folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "3":
            pass
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split()
    last = int(rest[-1]) if rest else 3
    loaded = load_bundle(versions.in_force(model))
    assert loaded.normal_dbfs in (-41.0 - last, -42.0 - last)  # the last one that was told of, or the one begun


def test_the_model_that_a_person_chose_last_is_known_and_kept_through_many_nights_of_learning(
    model: Path, bundle: Bundle, versions: ModelVersions
) -> None:
    assert versions.chosen_by_people(model) == model
    versions.promote(other(bundle, 0), configured=model, by=AUTOMATIC)
    assert versions.chosen_by_people(model) == model
    chosen = versions.promote(other(bundle, 1), configured=model, by="ann")
    for number in range(KEPT + 2):
        versions.promote(other(bundle, 2 + number), configured=model, by=AUTOMATIC)
    assert versions.chosen_by_people(model) == chosen
    assert versions.in_force(model) != chosen
    learnt = versions.promote(other(bundle, 90), configured=model, by=AUTOMATIC, figures={"learnt": ["aa"]})
    versions.promote(other(bundle, 91), configured=model, by=AUTOMATIC, figures={"learnt": ["aa"]})
    assert versions.chosen_by_people(model) == learnt, "a person has called something new but normal"
    learnt.write_bytes(b"damaged")
    chosen.write_bytes(b"damaged")
    assert versions.chosen_by_people(model) == model
