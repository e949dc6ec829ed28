"""`monitor web` refuses what cannot be served at once, in a sentence; its users are kept without showing passwords."""

from __future__ import annotations

import io
import socket
import sys
from pathlib import Path

import pytest

from monitor.cli.main import run
from monitor.store.database import Store
from monitor.web.login import passwords, users
from support.ports import free_port


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without settings, and hashes that take a millisecond."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(passwords, "COST", 2**10)


def on_input(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Makes a text the standard input."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_a_port_that_is_taken_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert run(["web", "--state", str(tmp_path), "--port", port]) == 1
    assert f"Port {port} of 127.0.0.1 is taken by another program" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["192.0.2.1", "no such host!", "fe80::zz"])
def test_an_address_of_another_computer_is_refused(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["web", "--state", str(tmp_path), "--address", address, "--port", str(free_port())]) == 2
    assert f"{address} is no address of this computer" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_a_page_without_users_is_not_shown_to_other_computers(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["web", "--state", str(tmp_path), "--address", address, "--port", str(free_port())]) == 2
    assert "the page has no users: add one with `monitor web user add" in capsys.readouterr().err


def test_without_nicegui_the_page_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "nicegui", None)  # as if it was not installed
    monkeypatch.delitem(sys.modules, "monitor.web.server", raising=False)
    assert run(["web", "--state", str(tmp_path), "--port", str(free_port())]) == 2
    assert "pip install 'acoustic-monitor[web]'" in capsys.readouterr().err


def test_users_are_added_listed_changed_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = ["--state", str(tmp_path)]
    on_input(monkeypatch, "correct horse\n")
    assert run(["web", "user", "add", "anna", "--role", "viewer", *state]) == 0
    (tmp_path / "secret").write_text("battery staple\r\nnot this\n")
    assert run(["web", "user", "add", "ben", "--role", "admin", "--password-file", "secret", *state]) == 0
    assert run(["web", "user", "add", "zoe", "--role", "viewer", "--proxy-only", *state]) == 0
    assert run(["web", "user", "role", "anna", "--role", "operator", *state]) == 0
    on_input(monkeypatch, "another horse")
    assert run(["web", "user", "password", "anna", *state]) == 0
    assert run(["web", "user", "remove", "zoe", *state]) == 0
    capsys.readouterr()
    assert run(["web", "user", "list", *state]) == 0
    assert capsys.readouterr().out == "anna  operator\nben   admin\n"
    with Store.open(f"sqlite:///{tmp_path / 'monitor.sqlite'}") as store:
        assert users.is_password_of(store, "anna", "another horse")
        assert users.is_password_of(store, "ben", "battery staple")


@pytest.mark.parametrize(("given", "code", "said"), [("", 2, "there is no password"), ("short\n", 1, "8 to 1000")])
def test_a_user_without_a_good_password_is_not_added(
    given: str,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    on_input(monkeypatch, given)
    assert run(["web", "user", "add", "anna", "--role", "viewer", "--state", str(tmp_path)]) == code
    assert said in capsys.readouterr().err
    assert run(["web", "user", "list", "--state", str(tmp_path)]) == 0
    assert "There are no users" in capsys.readouterr().out


def test_options_of_the_page_do_not_get_lost_before_a_command_on_users(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["web", "--state", str(tmp_path), "user", "list"]) == 2
    assert "Options follow the command" in capsys.readouterr().err
