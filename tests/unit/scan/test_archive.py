"""What is in an archive, and how its recordings are opened and linked."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.audio.reader import read_blocks
from monitor.audio.remote_recording import RemoteRecording
from monitor.core.errors import ConfigError, DataError
from monitor.core.object_store import ObjectStore, ObjectStoreError
from monitor.scan.archive import Archive
from monitor.scan.survey import survey
from support.archives import BEGAN, named, sound, touch, write_archive
from support.builders import RATE, write_sound


def names(text: str | Path) -> list[str]:
    return [one.name for one in Archive.parse(str(text)).files()]


def test_a_folder_is_searched_below_without_what_is_hidden_or_no_sound(tmp_path: Path) -> None:
    write_archive(tmp_path)
    (tmp_path / "hall" / "notes.txt").write_text("no sound")
    write_sound(tmp_path / ".trash" / "a.wav", sound(0.1))
    assert names(tmp_path) == sorted(f"hall/{one}" for one in [named(0, recorder="fan"), *map(named, (0, 4, 8, 30))])


def test_a_pattern_chooses_files_and_a_file_stands_for_itself(tmp_path: Path) -> None:
    write_archive(tmp_path)
    assert names(tmp_path / "h*" / "fan_*.wav") == [f"hall/{named(0, recorder='fan')}"]
    assert len(names(tmp_path / "**" / "*.wav")) == 5
    file = write_sound(tmp_path / "a [1].wav", sound(0.1))
    assert names(file) == ["a [1].wav"]


def test_an_archive_that_is_not_there_or_empty_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        Archive.parse(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="no recordings"):
        Archive.parse(str(tmp_path)).files()
    with pytest.raises(ConfigError, match="password"):
        Archive.parse("s3://me:secret@host/bucket")


def test_recordings_in_an_object_store_are_read_as_those_on_a_disk_are(tmp_path: Path) -> None:
    samples = sound(3)
    store = ObjectStore.open(f"memory://{tmp_path.name}/remote")
    for suffix in ("wav", "flac", "ogg"):
        path = tmp_path / f"a.{suffix}"
        soundfile.write(path, samples, RATE)
        store.write(f"hall/a.{suffix}", path)
    (tmp_path / "unfinished.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:40] + b"\0\0\0\0" + b"\1\0" * RATE)
    store.write("hall/unfinished.wav", tmp_path / "unfinished.wav")
    archive = Archive.parse(f"memory://{tmp_path.name}/remote")
    assert [one.name for one in archive.files()] == [
        f"hall/{one}" for one in ("a.flac", "a.ogg", "a.wav", "unfinished.wav")
    ]
    for one in archive.files():
        far = np.concatenate(list(read_blocks(archive.recording(one.name), RATE, "mix")))
        near = np.concatenate(list(read_blocks(tmp_path / Path(one.name).name, RATE, "mix")))
        np.testing.assert_array_equal(far, near)


def test_a_store_that_fails_while_a_recording_is_read_is_not_taken_for_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, sound(20), RATE)
    store = ObjectStore.open(f"memory://{tmp_path.name}/failing")

    class Failing(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 200_000:
                raise ObjectStoreError("the store: does not answer.")
            return super().read(size)

    monkeypatch.setattr(store, "open_read", lambda _: Failing(path))
    with pytest.raises(ObjectStoreError, match="does not answer"):
        list(read_blocks(RemoteRecording(store, "a.flac"), RATE, "mix"))


def test_links_lead_from_the_page_to_the_recording(tmp_path: Path) -> None:
    write_sound(tmp_path / "archive" / "a #1?.wav", sound(0.1))
    archive = Archive.parse(str(tmp_path / "archive"))
    assert archive.link("a #1?.wav", tmp_path / "scan") == "../archive/a%20%231%3F.wav"
    assert Archive.parse(f"memory://{tmp_path.name}").link("a.wav", tmp_path) == ""


def test_the_time_of_a_recording_is_that_of_its_metadata_else_its_name_else_its_file(tmp_path: Path) -> None:
    stated = tmp_path / named(60)
    with soundfile.SoundFile(stated, "w", RATE, 1) as file:
        file.date = "2026-01-02T03:04:05+00:00"
        file.write(sound(2))
    write_sound(tmp_path / named(0), sound(2))
    touch(write_sound(tmp_path / "plain.wav", sound(2)), 1_790_000_000)
    archive = Archive.parse(str(tmp_path))
    found = {one.name: one for one in survey(archive, archive.files(), {}, lambda _: None)}
    assert found[named(60)].began == 1767323045.0
    assert found[named(0)].began == BEGAN.timestamp()
    assert found["plain.wav"].began == 1_790_000_000 - 2
    assert [found[one].dated for one in (named(60), named(0), "plain.wav")] == [True, True, False]
