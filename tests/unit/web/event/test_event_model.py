"""An event is looked at with the model that reported it; if that is gone, another one is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.bundle.bundle_io import save_bundle
from monitor.bundle.versions import ModelVersions
from monitor.config.schema import Config
from monitor.config.sources import Stream
from monitor.core.text import stream_folder
from monitor.store import tables
from monitor.store.database import Store
from monitor.store.location import models_folder
from monitor.web.event.event_model import find_model, paths_of
from support.builders import small_bundle, small_config
from support.stored import NOW, fill, stored_event


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:
        yield store


@pytest.fixture
def config(tmp_path: Path) -> Config:
    stream = Stream(name="pump", bundle=tmp_path / "pump.safetensors")
    base = small_config()
    state = base.state.model_copy(update={"folder": tmp_path / "state"})
    return base.model_copy(update={"streams": (stream,), "state": state})


def test_the_configured_model_is_found_by_its_id(store: Store, config: Config) -> None:
    saved = save_bundle(small_bundle(), config.streams[0].bundle)
    event = stored_event(model_id=saved.model_id)
    fill(store, {}, [event])
    found = find_model(paths_of(store, config, event), event.model_id)
    assert found.bundle is not None
    assert (found.bundle.model_id, found.note) == (saved.model_id, "")


def test_an_older_version_is_found_after_a_newer_one_was_promoted(store: Store, config: Config) -> None:
    configured = config.streams[0].bundle
    save_bundle(small_bundle(), configured)
    versions = ModelVersions(models_folder(config) / stream_folder("pump"))
    first = versions.promote(small_bundle(seed=1), configured=configured, by="test")
    versions.promote(small_bundle(seed=2), configured=configured, by="test")
    event = stored_event(model_id=first.stem)
    fill(store, {}, [event])
    found = find_model(paths_of(store, config, event), event.model_id)
    assert (found.path, found.note) == (first, "")


def test_a_model_that_no_setting_names_is_found_where_it_was_loaded_from(
    store: Store, config: Config, tmp_path: Path
) -> None:
    saved = save_bundle(small_bundle(seed=3), tmp_path / "elsewhere.safetensors")
    event = stored_event(model_id=saved.model_id)
    fill(store, {}, [event])
    with store.begin() as connection:
        row = {"id": saved.model_id, "name": str(tmp_path / "elsewhere.safetensors"), "first_seen": NOW}
        connection.execute(tables.models.insert().values(**row, limits={}, calibration={}))
    assert find_model(paths_of(store, config, event), event.model_id).path == tmp_path / "elsewhere.safetensors"


def test_an_event_of_another_computer_is_not_explained_by_a_model_of_this_one(store: Store, config: Config) -> None:
    """Both have a stream of this name. If both have the very same model, it is."""
    saved = save_bundle(small_bundle(), config.streams[0].bundle)
    event = stored_event(host="hall-b", model_id="0123456789ab")
    fill(store, {}, [event])
    paths = paths_of(store, config, event)
    found = find_model(paths, event.model_id, elsewhere="hall-b")
    assert found.bundle is None
    assert found.note == "The model 0123456789ab is on hall-b: only the sound is shown."
    same = find_model(paths, saved.model_id, elsewhere="hall-b")
    assert same.bundle is not None


def test_another_model_is_named_if_the_very_one_is_gone(store: Store, config: Config) -> None:
    saved = save_bundle(small_bundle(), config.streams[0].bundle)
    event = stored_event(model_id="0123456789ab")
    fill(store, {}, [event])
    found = find_model(paths_of(store, config, event), event.model_id)
    assert found.bundle is not None
    assert "0123456789ab that reported this is gone" in found.note
    assert saved.model_id in found.note


def test_without_any_model_that_is_said(store: Store, config: Config) -> None:
    config.streams[0].bundle.write_bytes(b"no model")
    event = stored_event(model_id="../../etc/passwd")
    fill(store, {}, [event])
    found = find_model(paths_of(store, config, event), event.model_id)
    assert found.bundle is None
    assert "only the sound is shown" in found.note
