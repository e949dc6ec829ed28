"""Only one running monitor keeps its state in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.core.errors import ConfigError
from monitor.store.lock import StateLock

HOLDING = (
    "import sys; from pathlib import Path; from monitor.store.lock import StateLock\n"
    "lock = StateLock(Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
)


def test_a_second_monitor_is_refused_and_told_which_process_has_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "state"
    other = subprocess.Popen([sys.executable, "-c", HOLDING, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin
    assert other.stdout
    try:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(ConfigError) as caught:
            StateLock(folder)
        message = str(caught.value)
        assert str(folder) in message
        assert f"process {other.pid}" in message
        assert "--set state.folder=" in message
    finally:
        other.send_signal(signal.SIGKILL)
        other.communicate()
    with StateLock(folder):  # kill -9 releases it
        assert (folder / "lock").read_text() == f"{os.getpid()}\n"


def test_a_folder_is_free_again_when_the_monitor_ends(tmp_path: Path) -> None:
    for _ in range(2):
        with StateLock(tmp_path):
            pass


def test_folders_that_are_different_do_not_matter_to_each_other(tmp_path: Path) -> None:
    with StateLock(tmp_path / "a"), StateLock(tmp_path / "b"):
        pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file.*cannot be written.*state\.folder"):
        StateLock(tmp_path / "file" / "state")
