"""The first start says in one line what is kept where, and how to turn it off; later starts do not repeat it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.clips.notice import new_notice, notice
from monitor.config.loader import load_config
from monitor.config.schema import Config


def config(folder: Path, *settings: str) -> Config:
    return load_config(Path(os.devnull), overrides=(f"state.folder={folder}", *settings))


def test_one_line_says_what_is_kept_where_and_how_to_turn_it_off(tmp_path: Path) -> None:
    line = notice(config(tmp_path, "clips.keep_days=14"))
    assert "\n" not in line
    for part in (str(tmp_path), "events", "minute values", "14 days", "store.enabled", "clips.enabled", "people"):
        assert part in line
    assert "without speech" in notice(config(tmp_path, "clips.speech=mute"))
    assert "without clips in which people speak" in notice(config(tmp_path, "clips.speech=drop"))


def test_normal_sound_is_kept_without_speech_unless_it_is_wanted_otherwise(tmp_path: Path) -> None:
    line = notice(config(tmp_path, "normal.minutes=30"))
    assert f"in {tmp_path / 'normal'} up to 30 min of normal sound of each stream, without speech (off with" in line
    assert "people may be heard in it (off" in notice(config(tmp_path, "normal.speech=keep", "clips.enabled=false"))


def test_a_store_on_a_server_is_not_said_to_be_in_the_state_folder_and_its_password_is_not_shown(
    tmp_path: Path,
) -> None:
    line = notice(config(tmp_path, "store.url=postgresql://monitor:secret@db/monitor"))
    assert line.startswith("Kept: in the database of store.url events and minute values")
    assert "secret" not in line


def test_what_is_turned_off_is_not_named(tmp_path: Path) -> None:
    assert "anomalies" not in notice(config(tmp_path, "clips.enabled=false"))
    assert "normal" not in notice(config(tmp_path, "normal.enabled=false"))
    assert "minute" not in notice(config(tmp_path, "store.enabled=false"))
    assert notice(config(tmp_path, "clips.enabled=false", "store.enabled=false", "normal.enabled=false")) == ""


def test_it_is_said_once_for_each_state_folder_and_again_when_something_else_is_kept(tmp_path: Path) -> None:
    here, there = config(tmp_path / "here"), config(tmp_path / "there")
    assert new_notice(here) == notice(here)
    assert new_notice(here) == ""
    assert new_notice(there) == notice(there)
    changed = config(tmp_path / "here", "clips.speech=mute")
    assert new_notice(changed) == notice(changed)
    assert new_notice(changed) == ""


@pytest.mark.parametrize("content", [b"\xff\xfe", b""])
def test_a_damaged_marker_or_a_folder_that_cannot_be_written_raises_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "notice.txt").write_bytes(content)
    assert new_notice(config(tmp_path))
    (tmp_path / "file").touch()
    assert new_notice(config(tmp_path / "file" / "state"))


def test_clips_that_are_moved_to_an_object_store_are_said_to_be_there(tmp_path: Path) -> None:
    line = notice(config(tmp_path, "clips.url=s3://plant/clips?endpoint_url=http://nas:9000"))
    assert "in s3://plant/clips (clips.url) the sound of anomalies" in line
