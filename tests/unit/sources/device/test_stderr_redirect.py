"""Messages of C libraries on standard error are written to a log of limited size."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from monitor.sources.device import stderr_redirect
from monitor.sources.device.stderr_redirect import LOG_BYTES, log_file, stderr_redirected
from support.listening import wait_until


def write_as_library(text: str) -> None:
    """Writes to file descriptor 2, as a C library does."""
    os.write(2, text.encode())


def test_what_libraries_write_goes_to_the_log_and_pythons_own_stays(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "state" / "audio.log"
    with stderr_redirected(log, keep_ours=True):
        write_as_library("ALSA lib pcm.c: underrun\n")
        sys.stderr.write("ours\n")
    write_as_library("afterwards\n")
    assert log.read_text() == "ALSA lib pcm.c: underrun\n"
    assert capfd.readouterr().err == "ours\nafterwards\n"


def test_with_a_dashboard_nothing_is_written_across_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "audio.log"
    ours = sys.stderr
    with stderr_redirected(log, keep_ours=False):
        write_as_library("theirs\n")
    assert sys.stderr is ours
    assert log.read_text() == "theirs\n"
    assert capfd.readouterr().err == ""


def test_what_was_written_before_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "audio.log"
    for text in ("yesterday\n", "today\n"):
        with stderr_redirected(log, keep_ours=True):
            write_as_library(text)
    assert log.read_text() == "yesterday\ntoday\n"


def test_a_long_log_is_copied_once_and_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while libraries write to it."""
    monkeypatch.setattr(stderr_redirect, "ROTATION_CHECK_S", 0.01)
    log, kept = tmp_path / "audio.log", tmp_path / "audio.log.1"
    log.write_text("old " * (LOG_BYTES // 4 + 1))
    with stderr_redirected(log, keep_ours=True):
        wait_until(lambda: kept.exists() and log.stat().st_size == 0, "the rotation")
        assert kept.read_text().startswith("old old")
        write_as_library("new " * (LOG_BYTES // 4 + 1))
        wait_until(lambda: kept.read_text().startswith("new") and log.stat().st_size == 0, "the next rotation")
        write_as_library("newest\n")
        assert log.read_text() == "newest\n"


@pytest.mark.parametrize("where", ["below a file", "a link", "nowhere"])
def test_where_there_can_be_no_log_everything_stays_as_it_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], where: str
) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    log = {"below a file": tmp_path / "file" / "audio.log", "a link": tmp_path / "link", "nowhere": None}[where]
    with stderr_redirected(log, keep_ours=False):
        write_as_library("theirs\n")
        sys.stderr.write("ours\n")
    assert capfd.readouterr().err == "theirs\nours\n"
    assert (tmp_path / "file").read_text() == "precious"


def test_the_log_is_in_the_users_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert log_file() == tmp_path / "acoustic-monitor" / "audio.log"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert log_file() == tmp_path / ".local" / "state" / "acoustic-monitor" / "audio.log"


def test_a_user_without_a_home_has_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert log_file() is None
