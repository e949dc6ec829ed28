"""Lines are appended whole: after a full disk, a crash, or when the file is moved away; existing files are kept."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from monitor.core import appended_file as module
from monitor.core.appended_file import AppendedFile, new_file
from monitor.core.errors import MonitorError


def test_lines_are_appended_and_the_header_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for name in ("one", "two"):
        file = AppendedFile(path, "header\n")
        file.write(f"{name}\n")
        file.close()
    assert path.read_text() == "header\none\ntwo\n"


def test_an_incomplete_line_of_a_crash_is_ended_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"kind": "ga')
    file = AppendedFile(path)
    file.write('{"kind": "off"}\n')
    file.close()
    assert path.read_text().splitlines() == ['{"kind": "ga', '{"kind": "off"}']


@pytest.mark.parametrize("room", range(12, 40))
def test_a_write_that_was_cut_off_by_a_full_disk_is_completed_when_it_is_repeated(tmp_path: Path, room: int) -> None:
    path = tmp_path / "a.txt"
    file = AppendedFile(path, "header line\n")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    text = "a first line\nand a second one\n"
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            file.write(text)
        with pytest.raises(OSError, match="too large"):
            file.write(text)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.stat().st_size == room
    file.write(text)
    file.write("third\n")
    file.close()
    assert path.read_text() == f"header line\n{text}third\n"


def test_another_text_after_a_failure_begins_on_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    file = AppendedFile(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            file.write("lost line\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    file.write("next\n")
    file.close()
    assert path.read_text() == "lost\nnext\n"


def test_a_file_that_was_moved_away_is_begun_anew_with_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROTATION_S", 0.0)
    path = tmp_path / "a.csv"
    file = AppendedFile(path, "header\n")
    file.write("one\n")
    path.rename(tmp_path / "a.csv.1")
    file.write("two\n")
    path.unlink()
    file.write("three\n")
    file.close()
    assert (tmp_path / "a.csv.1").read_text() == "header\none\n"
    assert path.read_text() == "header\nthree\n"


def test_a_pipe_gets_the_header_once_and_is_not_an_error_while_nobody_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    file = AppendedFile(path, "header\n")
    with pytest.raises(OSError, match="No such device"):
        file.write("nobody reads\n")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file.write("one\n")
    file.write("two\n")
    assert os.read(reader, 100) == b"header\none\ntwo\n"
    os.close(reader)
    file.close()


def test_a_folder_that_is_missing_is_not_created_but_named(tmp_path: Path) -> None:
    for path in (tmp_path / "mistyped" / "a.csv", tmp_path):
        for open_it in (AppendedFile, new_file):
            if path == tmp_path and open_it is new_file:
                continue
            with pytest.raises(MonitorError, match="cannot be written"):
                open_it(path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(MonitorError, match=f"there is no folder {tmp_path / 'mistyped'}"):
        new_file(tmp_path / "mistyped" / "a.csv")


def test_a_new_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        path = new_file(tmp_path / "a.b.csv")
        path.write_text("content")
        names.append(path.name)
    assert names == ["a.b.csv", "a.b-2.csv", "a.b-3.csv"]


def test_a_link_to_nothing_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "elsewhere")
    assert new_file(tmp_path / "a.csv") == tmp_path / "a-2.csv"
    assert not (tmp_path / "elsewhere").exists()
