"""The socket in the state folder: at any path, for this user only, and never in a living monitor's place."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from monitor.core.errors import MonitorError
from monitor.service.socket_file import bound_socket, connected_socket


def test_only_the_user_of_the_monitor_may_connect(tmp_path: Path) -> None:
    path = tmp_path / "state" / "status.sock"
    with bound_socket(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_folder_with_a_long_path_will_do(tmp_path: Path) -> None:
    path = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 12, "status.sock")
    assert len(str(path)) > 300
    with bound_socket(path) as listener, connected_socket(path, 5.0) as client:
        client.sendall(b"?")
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(1) == b"?"
    assert path.is_socket()


def test_the_socket_of_a_killed_monitor_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "status.sock"
    bound_socket(path).close()
    assert path.is_socket(), "as a killed monitor leaves it"
    with bound_socket(path), connected_socket(path, 5.0):
        pass


def test_the_socket_of_a_living_monitor_stays_its_own(tmp_path: Path) -> None:
    path = tmp_path / "status.sock"
    with bound_socket(path):
        with pytest.raises(MonitorError, match="another monitor"):
            bound_socket(path)
        connected_socket(path, 5.0).close()


def test_what_is_no_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "status.sock"
    path.write_text("notes")
    with pytest.raises(MonitorError, match="is not a socket"):
        bound_socket(path)
    assert path.read_text() == "notes"


def test_without_a_listener_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        connected_socket(tmp_path / "status.sock", 5.0)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "status.sock"))
    with pytest.raises(ConnectionRefusedError):
        connected_socket(tmp_path / "status.sock", 5.0)
