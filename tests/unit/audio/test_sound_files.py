"""Which files below a folder are recordings: links are followed, hidden files are not looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.audio.sound_files import files_below, recordings_of, sound_suffixes
from monitor.core.errors import DataError


def touched(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in files_below(folder))


@pytest.mark.parametrize(
    ("suffix", "kind", "subtype"),
    [
        (".wav", "WAV", "PCM_16"), (".flac", "FLAC", "PCM_16"), (".ogg", "OGG", "VORBIS"), (".opus", "OGG", "OPUS"),
        (".mp3", "MP3", "MPEG_LAYER_III"), (".aiff", "AIFF", "PCM_16"), (".aif", "AIFF", "PCM_16"),
        (".w64", "W64", "PCM_16"), (".rf64", "RF64", "PCM_16"), (".au", "AU", "PCM_16"), (".snd", "AU", "PCM_16"),
        (".caf", "CAF", "PCM_16"), (".voc", "VOC", "PCM_16"), (".sph", "NIST", "PCM_16"), (".8svx", "SVX", "PCM_16"),
    ],
)  # fmt: skip
def test_every_kind_of_sound_file_counts_and_can_be_read(tmp_path: Path, suffix: str, kind: str, subtype: str) -> None:
    path = tmp_path / f"RECORDING{suffix.upper()}"
    soundfile.write(path, np.zeros(1000), 16_000, format=kind, subtype=subtype)
    assert recordings_of([tmp_path]) == [path]
    assert soundfile.info(path).frames >= 1000


@pytest.mark.parametrize("suffix", [".txt", ".raw", ".mat", ".npy", ""])
def test_other_files_are_no_sound(suffix: str) -> None:
    assert suffix not in sound_suffixes()


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    touched(tmp_path, "nas/monday/a.wav", "nas/b.wav", "set/c.wav")
    (tmp_path / "set" / "nas").symlink_to(tmp_path / "nas")
    (tmp_path / "set" / "d.wav").symlink_to(tmp_path / "nas" / "b.wav")
    assert names_below(tmp_path / "set") == ["c.wav", "d.wav", "nas/b.wav", "nas/monday/a.wav"]


def test_links_in_a_loop_end(tmp_path: Path) -> None:
    touched(tmp_path, "set/a.wav", "set/below/b.wav", "set/other/c.wav")
    (tmp_path / "set" / "below" / "up").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "below" / "across").symlink_to(tmp_path / "set" / "other")
    (tmp_path / "set" / "other" / "back").symlink_to(tmp_path / "set" / "below")
    (tmp_path / "set" / "itself").symlink_to("itself")
    found = names_below(tmp_path / "set")
    assert [name for name in found if name != "itself"] == ["a.wav", "below/across/c.wav", "below/b.wav"]


@pytest.mark.parametrize(
    "name",
    [".a.wav", "._a.wav", ".Trash-1000/files/a.wav", ".ipynb_checkpoints/a.wav", "__MACOSX/a.wav", "$RECYCLE.BIN/a.wav",
     "System Volume Information/a.wav", "monday/@eaDir/a.wav"],
)  # fmt: skip
def test_what_is_hidden_or_was_thrown_away_is_not_looked_at(tmp_path: Path, name: str) -> None:
    touched(tmp_path, "good.wav", name)
    assert names_below(tmp_path) == ["good.wav"]


def test_a_folder_that_is_hidden_itself_can_be_named(tmp_path: Path) -> None:
    touched(tmp_path, ".data/a.wav")
    assert names_below(tmp_path / ".data") == ["a.wav"]


def test_a_folder_stands_for_its_recordings_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    touched(tmp_path, "day/part-9.wav", "day/part-10.wav", "day/part-1.flac", "day/notes.txt", "first.wav")
    found = recordings_of([tmp_path / "first.wav", tmp_path / "day"])
    assert [path.name for path in found] == ["first.wav", "part-1.flac", "part-9.wav", "part-10.wav"]


def test_a_folder_without_recordings_is_one_sentence(tmp_path: Path) -> None:
    touched(tmp_path, "notes.txt")
    with pytest.raises(DataError, match="is a folder without recordings"):
        recordings_of([tmp_path])
