"""What is known of a stream: its limit, where it came from, and when its model changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.bundle.bundle import Bundle
from monitor.bundle.versions import ModelVersions, with_lineage
from monitor.store import rows
from monitor.store.database import Store, StoreError
from monitor.web.stream.stream_facts import change_lines, limit_lines, read_facts, read_now
from support.stored import NOW, fill, stored_event

FOUND = {
    "value": 110.0, "method": "normal", "recordings": 412, "seconds": 14_832.0, "expected": 1.0, "upper": 2.6,
    "date": "2025-11-02T10:11:12",
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")
    fill(made, {}, [stored_event(0), stored_event(1, ended=None), stored_event(2, ended=None, acknowledged=NOW)])
    with made.begin() as connection:
        rows.write_model(
            connection, "1f0c", "runs/pump/model.safetensors", {"score": 110.0, "error": 0.4}, {"score": FOUND}
        )
    return made


def test_the_limit_says_from_how_much_sound_it_was_found_and_how_sure_its_false_alarms_are(
    store: Store, tmp_path: Path
) -> None:
    facts = read_facts(store, 1, "hall-3", tmp_path / "models")
    lines = dict(limit_lines(facts))
    assert lines["Found from"] == "412 recordings, 4 h 7 min of sound (normal), 2025-11-02"
    assert lines["False alarms a day"] == "1 expected, at most 2.6 with 95 % confidence"
    assert (facts.limit("share"), facts.limit("score"), facts.limit("error"), facts.limit("level")) == (
        1.0, 110.0, 0.4, None
    )  # fmt: skip


def test_promoted_models_are_changes_with_who_and_how_and_their_ancestors_are_named(
    store: Store, tmp_path: Path, model: Path, bundle: Bundle
) -> None:
    versions = ModelVersions(tmp_path / "models" / "pump")
    made = with_lineage(bundle, bundle, how="12 clips relearnt", by="Maria")
    promoted = versions.promote(made, configured=model, by="Maria", how="12 clips relearnt")
    with store.begin() as connection:
        rows.write_model(connection, promoted.stem, "pump", {"score": 90.0}, {"score": FOUND | {"value": 90.0}})
        rows.write_stream(connection, 1, promoted.stem, "microphone")
    facts = read_facts(store, 1, "hall-3", tmp_path / "models")
    assert [one.what for one in facts.changes] == ["model promoted"], "not again as a model that was first seen"
    first, second = change_lines(facts)
    assert "model promoted by Maria (12 clips relearnt)" in first
    assert f"made of model {bundle.model_id}" in second
    elsewhere = read_facts(store, 1, "another computer", tmp_path / "models")
    assert [one.what for one in elsewhere.changes] == ["another model or limit"]


def test_damaged_histories_and_limits_that_are_no_numbers_do_not_hide_the_stream(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "pump"
    folder.mkdir(parents=True)
    (folder / "history.json").write_text("{")
    (folder / "1f0c.safetensors").write_bytes(b"no model")
    with store.begin() as connection:
        rows.write_model(connection, "1f0c", "pump", {"score": None, "error": "x"}, {"score": None})
    facts = read_facts(store, 1, "hall-3", tmp_path / "models")
    assert facts.limit("score") is None
    assert facts.limit("error") is None
    assert facts.changes == ()
    assert facts.lineage == ()
    assert limit_lines(facts)


def test_what_goes_on_is_listed_and_what_nobody_has_seen_can_be_acknowledged(store: Store) -> None:
    now = read_now(store, 1)
    assert [one.id for one in now.ongoing] == [stored_event(1).id, stored_event(2).id]
    assert now.unseen == (stored_event(1).id,)
    assert len(now.recent) == 3


def test_a_stream_that_there_is_not_is_said(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no stream number 77"):
        read_facts(store, 77, "hall-3", tmp_path)
