"""A socket of the page that is held open by a program which ignores what the page asks it to do."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlencode

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from monitor.web.login import passwords, users
from support.listening import DEADLINE_S, wait_until
from support.web_server import SETTINGS, Hall, WebServer, hall_of, web_server

pytestmark = pytest.mark.long

PASSWORD = "correct horse"


class Listener(contextlib.ExitStack):
    """A user who is logged in, and a socket of the hall that takes all that comes."""

    def __init__(self, server: WebServer, name: str) -> None:
        super().__init__()
        self.server, self.jar, self.received = server, CookieJar(), list[str]()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        self.opener.open(f"{server.url}/login", urlencode({"name": name, "password": PASSWORD}).encode())
        page = self.opener.open(f"{server.url}/").read().decode()
        found = re.search(r"""client_id["']?\s*:\s*["']([0-9a-f-]{36})""", page)
        assert found is not None, page
        self.client = found[1]
        self.socket = self.connected()

    @property
    def cookie(self) -> str:
        return "; ".join(f"{one.name}={one.value}" for one in self.jar)

    def connected(self) -> ClientConnection:
        query = {"EIO": 4, "transport": "websocket", "client_id": self.client, "tab_id": "t", "document_id": "d",
                 "next_message_id": 0, "implicit_handshake": "true"}  # fmt: skip
        address = f"ws://127.0.0.1:{self.server.port}/_nicegui_ws/socket.io/?{urlencode(query)}"
        headers = {"Cookie": self.cookie, "Origin": self.server.url}
        socket = self.enter_context(connect(address, additional_headers=headers, compression=None))
        socket.recv(timeout=DEADLINE_S)  # engine.io: the session
        socket.send("40")
        return socket

    def wait_for(self, text: str) -> None:
        """Waits until something is received that contains the text."""
        while not any(text in one for one in self.received):
            self.take()

    def take(self) -> None:
        """Receives one message, and answers what keeps the socket alive."""
        message = str(self.socket.recv(timeout=DEADLINE_S))
        if message == "2":
            self.socket.send("3")
        else:
            self.received.append(message)

    def take_until_closed(self) -> list[str]:
        """All that is received from now on."""
        before, deadline = len(self.received), time.monotonic() + DEADLINE_S
        with contextlib.suppress(ConnectionClosed):
            while True:
                self.take()
                assert time.monotonic() < deadline, "it is not closed"
        return self.received[before:]


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    folder = tmp_path_factory.mktemp("web")
    (folder / "config.yaml").write_text(SETTINGS)
    with hall_of(folder / "state", ("pump", "fan"), rate_hz=10) as made:
        with patch.object(passwords, "COST", 2**10):
            for name in ("anna", "vic"):
                users.add_user(made.store, name, "operator", PASSWORD, by="root")
        yield made


@pytest.fixture(scope="module")
def server(hall: Hall) -> Iterator[WebServer]:
    with web_server(Path(hall.state).parent, hall.state) as made:
        yield made


@pytest.mark.parametrize("how", ["logout", "password"])
def test_a_socket_receives_and_does_nothing_any_more_once_its_login_has_ended(
    hall: Hall, server: WebServer, how: str
) -> None:
    with Listener(server, "anna") as anna, Listener(server, "vic") as vic:
        for one in (anna, vic):
            one.wait_for("hall.update")
        if how == "logout":
            anna.opener.open(f"{server.url}/logout", b"")
        else:
            with patch.object(passwords, "COST", 2**10):
                users.set_password(hall.store, "anna", PASSWORD, by="root")
        later = anna.take_until_closed()
        told = next(index for index, one in enumerate(later) if "location.reload()" in one)
        assert not any("hall." in one for one in later[told:]), "news after its end"
        vic.received.clear()
        vic.wait_for("hall.update")
        with pytest.raises(InvalidStatus):
            anna.connected()


def test_what_a_socket_says_after_its_end_reaches_no_page(hall: Hall, server: WebServer) -> None:
    """Not even the page of somebody else, whose number it has come to know."""
    with Listener(server, "anna") as anna, Listener(server, "vic") as vic:
        for one in (anna, vic):
            one.wait_for("hall.update")
        anna.opener.open(f"{server.url}/logout", b"")
        anna.wait_for("location.reload()")
        said = {"client_id": vic.client, "level": "error", "message": "a word from the past"}
        anna.socket.send(f"42{json.dumps(['log', said])}")
        anna.take_until_closed()
        said["message"] = "a word of today"
        vic.socket.send(f"42{json.dumps(['log', said])}")
        wait_until(lambda: "a word of today" in server.output, "what is said by a socket with a login")
        assert "a word from the past" not in server.output
