"""The web sockets that are open, each of which ends with the login that it was opened with."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from monitor.web.login.users import User

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

GOODBYE_S = 1.0  # after the end of its login, in which a page may still be told to ask who it is


class OpenSockets:
    """One for the process. All of it runs on the event loop."""

    def __init__(self) -> None:
        self._open: set[Socket] = set()

    @property
    def users(self) -> list[User]:
        """The users of the sockets, as they were when these were opened."""
        return [one.user for one in self._open]

    @contextlib.contextmanager
    def opened(self, user: User, receive: Receive, send: Send) -> Iterator[Socket]:
        """A socket of a user, while the block runs that serves it."""
        socket = Socket(user, receive, send)
        self._open.add(socket)
        try:
            yield socket
        finally:
            socket.forget()
            self._open.discard(socket)

    def end(self, has_ended: Callable[[User], bool]) -> None:
        """Ends the sockets of logins that have ended."""
        for one in self._open:
            if has_ended(one.user):
                one.end()


class Socket:
    """A web socket of a user: what the pages receive from it and send to it goes through here.

    Args:
        user: whose login has opened it.
        receive, send: of the server.
    """

    def __init__(self, user: User, receive: Receive, send: Send) -> None:
        self.user = user
        self._receive, self._send = receive, send
        self._ended = self._closed = False
        self._goodbye: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """The next message. After the end of the login nothing that the browser sends gets further than this."""
        message = await self._receive()
        while self._ended and message["type"] == "websocket.receive":
            message = await self._receive()
        return message

    async def send(self, message: Message) -> None:
        """Sends a message, unless the socket was closed."""
        if not self._closed:
            await self._send(message)

    def end(self) -> None:
        """Listens no more from now on, and closes the socket a moment later."""
        if not self._ended:
            self._ended = True
            self._goodbye = asyncio.get_running_loop().call_later(GOODBYE_S, self._close)

    def forget(self) -> None:
        """To be called when the socket is not served any more."""
        self._closed = True
        if self._goodbye is not None:
            self._goodbye.cancel()

    def _close(self) -> None:
        self._closed = True
        self._closing = asyncio.get_running_loop().create_task(self._say_closed())

    async def _say_closed(self) -> None:
        with contextlib.suppress(Exception):  # the browser has left meanwhile
            await self._send({"type": "websocket.close", "code": 1008})
