"""A web socket ends with the login that it was opened with, whatever the browser does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from monitor.web.login import open_sockets
from monitor.web.login.open_sockets import OpenSockets, Socket
from monitor.web.login.users import User

ANNA, VIC = User("anna", "operator", "session of anna"), User("vic", "viewer", "session of vic")


class Line:
    """The line to a browser."""

    def __init__(self) -> None:
        self.coming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[Any] = []

    def say(self, text: str) -> None:
        self.coming.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        self.coming.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def send(self, message: Any) -> None:
        self.sent.append(message)


def with_two_sockets(story: Callable[[OpenSockets, Socket, Line, Socket, Line], Awaitable[None]]) -> None:
    async def tell() -> None:
        sockets, one, other = OpenSockets(), Line(), Line()
        with (
            sockets.opened(ANNA, one.coming.get, one.send) as of_anna,
            sockets.opened(VIC, other.coming.get, other.send) as of_vic,
        ):
            await story(sockets, of_anna, one, of_vic, other)
        assert sockets.users == []

    asyncio.run(tell())


def test_after_the_end_of_its_login_nothing_that_a_socket_says_is_heard_and_the_others_go_on() -> None:
    async def story(sockets: OpenSockets, of_anna: Socket, one: Line, of_vic: Socket, other: Line) -> None:
        one.say("before")
        assert (await of_anna.receive())["text"] == "before"
        sockets.end(lambda user: user == ANNA)
        one.say("after")
        one.leave()
        assert (await of_anna.receive())["type"] == "websocket.disconnect"
        other.say("still here")
        assert (await of_vic.receive())["text"] == "still here"

    with_two_sockets(story)


def test_it_may_be_told_to_log_in_and_is_closed_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_sockets, "GOODBYE_S", 0.0)

    async def story(sockets: OpenSockets, of_anna: Socket, one: Line, of_vic: Socket, other: Line) -> None:
        sockets.end(lambda user: user == ANNA)
        await of_anna.send({"type": "websocket.send", "text": "who are you?"})
        while len(one.sent) < 2:
            await asyncio.sleep(0)
        await of_anna.send({"type": "websocket.send", "text": "a secret"})
        await of_vic.send({"type": "websocket.send", "text": "news"})
        assert [message.get("text", message["type"]) for message in one.sent] == ["who are you?", "websocket.close"]
        assert [message["text"] for message in other.sent] == ["news"]

    with_two_sockets(story)


def test_a_socket_that_the_browser_has_closed_is_not_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_sockets, "GOODBYE_S", 0.0)

    async def tell() -> list[Any]:
        sockets, line = OpenSockets(), Line()
        with sockets.opened(ANNA, line.coming.get, line.send):
            sockets.end(lambda _: True)
        for _ in range(10):
            await asyncio.sleep(0)
        return line.sent

    assert asyncio.run(tell()) == []
