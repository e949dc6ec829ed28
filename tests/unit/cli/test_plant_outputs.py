"""The outputs of the plant: what `monitor live` makes by its settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.cli.kept_outputs import MOVING
from monitor.cli.plant_outputs import PlantOutputs
from monitor.config.loader import load_config
from monitor.core.errors import ConfigError
from monitor.core.events import Event
from monitor.runtime.output_set import OutputSet, SharedOutput
from monitor.store import queries
from monitor.store.database import AddressError, Store
from support.clip_folders import clip_file, names_in
from support.cut_link import CutLink
from support.postgres import PostgresServer
from support.snapshots import stream


def test_a_model_with_a_long_name_is_a_stream_that_every_database_takes(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    url = postgres.new_database()
    config = load_config(Path(os.devnull), overrides=(f"state.folder={tmp_path}", f"store.url={url}"))
    plant = PlantOutputs(config, unnamed="x" * 100, serving=False)
    store, *_ = plant.outputs(config, [""])
    assert isinstance(store, SharedOutput)
    [sink] = store.make()
    sink.event(Event("off", 0.0, 5.0, 1_764_252_000.0, "a microphone"))
    sink.close()
    plant.close()
    assert plant.error is None
    with Store.open(url, create=False) as opened:
        assert [one.stream for one in queries.events(opened)] == ["x" * 60]


def test_a_monitor_starts_and_ends_while_its_store_is_away_and_the_next_one_copies_what_it_kept(
    tmp_path: Path, postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    link = CutLink(postgres.port)
    url = postgres.new_database().replace(f":{postgres.port}/", f":{link.port}/")
    config = load_config(Path(os.devnull), overrides=(f"state.folder={tmp_path}", f"store.url={url}"))
    link.cut()
    for number in range(2):
        plant = PlantOutputs(config)
        store = next(one for one in plant.outputs(config, ["press"]) if one.name == "store")
        assert isinstance(store, SharedOutput)
        [sink] = store.make()
        sink.event(Event("off", number, number + 5.0, 1_764_252_000.0, "a microphone", stream="press"))
        sink.close()
        plant.close()
        assert plant.error is None  # nothing is lost
        link.mend()
    assert caplog.text.count("no connection") == 1
    assert f"1 entry is kept in {tmp_path / 'spool.sqlite'}, and copied at the next start" in caplog.text
    with Store.open(url, create=False) as opened:
        assert [one.start_s for one in queries.events(opened, newest_first=False)] == [0, 1]
    link.cut()


def test_what_was_not_copied_to_a_database_that_is_no_longer_in_the_settings_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    at = "postgresql://monitor@127.0.0.1:9/store"
    for url in (f"store.url={at}", "store.url=null"):
        PlantOutputs(load_config(Path(os.devnull), overrides=(f"state.folder={tmp_path}", url))).close()
        assert "has not been copied" not in caplog.text
    config = load_config(Path(os.devnull), overrides=(f"state.folder={tmp_path}", f"store.url={at}"))
    plant = PlantOutputs(config)
    plant.note_reload("ann", ["mqtt"])
    plant.close()
    PlantOutputs(load_config(Path(os.devnull), overrides=(f"state.folder={tmp_path}",))).close()
    assert f"{tmp_path / 'spool.sqlite'}: 1 entry has not been copied to the database" in caplog.text


@pytest.mark.parametrize(("unnamed", "before", "kept", "left"), [
    ("", ("press", "fan"), {"press"}, ["press"]),  # also one that never started, and so has never ended
    ("pump", ("",), {""}, ["pump"]),
])  # fmt: skip
def test_after_a_reload_other_programs_know_the_streams_of_the_settings(
    tmp_path: Path, unnamed: str, before: tuple[str, ...], kept: set[str], left: list[str]
) -> None:
    config = load_config(Path(os.devnull), overrides=(f"state.folder={tmp_path}",))
    plant = PlantOutputs(config, unnamed=unnamed)
    made = OutputSet([one for one in plant.outputs(config, before) if one.name == "status"])
    made.open_shared()
    plant.in_use = lambda: made.shared
    plant.show(map(stream, before))
    plant.keep(kept)
    assert plant.status is not None
    assert [one["stream"] for one in plant.status.status()["streams"]] == left
    made.discard()
    plant.close()


@pytest.mark.parametrize("serving", [True, False], ids=["live", "a replay with a state folder"])
def test_normal_sound_is_kept_unless_it_is_turned_off_and_goes_on_over_a_reload(tmp_path: Path, serving: bool) -> None:
    config = load_config(Path(os.devnull), overrides=(f"state.folder={tmp_path}",))
    plant = PlantOutputs(config, serving=serving)
    off = config.model_copy(update={"normal": config.normal.model_copy(update={"enabled": False})})
    [kept] = [one for one in plant.outputs(config, ["pump"]) if one.name == "normal sound"]
    [again] = [one for one in plant.outputs(config, ["pump"]) if one.name == "normal sound"]
    assert kept.settings == again.settings
    assert "normal sound" not in [one.name for one in plant.outputs(off, ["pump"])]
    plant.close()


@pytest.mark.parametrize("url", ["hello", "mysql://u:secret@h/x", "sqlite:///:memory:"])
def test_a_monitor_does_not_start_with_a_store_that_can_never_be_opened(tmp_path: Path, url: str) -> None:
    config = load_config(Path(os.devnull), overrides=(f"state.folder={tmp_path}", f"store.url={url}"))
    with pytest.raises(AddressError, match="write sqlite:///FILE"):
        PlantOutputs(config)
    off = config.model_copy(update={"store": config.store.model_copy(update={"enabled": False})})
    PlantOutputs(off).close()  # the folder is not left locked


def test_a_second_monitor_in_the_default_folder_says_so_and_listens_without_keeping_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    config = load_config(Path(os.devnull))
    first = PlantOutputs(config, unnamed="pump")
    with caplog.at_level("WARNING"):
        second = PlantOutputs(config, unnamed="fan")
    assert "another monitor is running with this folder" in caplog.text
    assert "This run keeps no events and no sound." in caplog.text
    assert {one.name for one in second.outputs(config, [""])} == {"systemd"}
    second.close()
    first.close()


def test_a_second_monitor_in_a_folder_that_was_chosen_is_refused(tmp_path: Path) -> None:
    config = load_config(Path(os.devnull), overrides=(f"state.folder={tmp_path}",))
    first = PlantOutputs(config, unnamed="pump")
    with pytest.raises(ConfigError, match=f"process {os.getpid()}"):
        PlantOutputs(config, unnamed="fan")
    first.close()


@pytest.mark.parametrize("url", ["s3://plant/clips", ""])
def test_another_address_for_clips_takes_effect_by_a_reload_and_cuts_no_clip_that_is_being_recorded(
    tmp_path: Path, url: str
) -> None:
    (tmp_path / "shared").mkdir()
    config = load_config(
        Path(os.devnull), overrides=(f"state.folder={tmp_path / 'state'}", f"clips.url={tmp_path / 'shared'}")
    )
    other = config.model_copy(update={"clips": config.clips.model_copy(update={"url": url})})
    plant = PlantOutputs(config)
    before = {one.name: one for one in plant.outputs(config, ["pump"])}
    after = {one.name: one for one in plant.outputs(other, ["pump"])}
    assert before["clips"].settings == after["clips"].settings
    assert before["notify"].settings != after["notify"].settings
    if url:
        assert before[MOVING].settings != after[MOVING].settings
    else:
        assert MOVING not in after
    plant.close()


@pytest.mark.parametrize("serving", [True, False], ids=["live", "a replay with a state folder"])
def test_the_clips_of_the_last_minute_are_moved_at_the_end(tmp_path: Path, serving: bool) -> None:
    (tmp_path / "shared").mkdir()
    overrides = (f"state.folder={tmp_path / 'state'}", "state.host=hall-a", f"clips.url={tmp_path / 'shared'}")
    config = load_config(Path(os.devnull), overrides=overrides)
    plant = PlantOutputs(config, serving=serving)
    Store.open(f"sqlite:///{tmp_path / 'state' / 'monitor.sqlite'}").close()
    made = OutputSet([one for one in plant.outputs(config, ["pump"]) if one.name == MOVING])
    made.open_shared()
    plant.in_use = lambda: made.shared
    made.discard()
    clip_file(tmp_path / "state" / "clips")
    plant.close()
    assert len(names_in(tmp_path / "shared" / "hall-a")) == 2
