"""The pages that are open in browsers: what is new is sent to them, and they end with the login of their user."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from monitor.core.errors import MonitorError
from monitor.web.login import sessions
from monitor.web.login.users import User

if TYPE_CHECKING:
    from nicegui import Client

    from monitor.web.context import WebContext

EVERY_S = 1.0
CHECK_EVERY = 2  # so many rounds between two looks at the sessions

Feed = Callable[[], str | None]  # JavaScript that brings a page up to date; None if nothing is new

log = logging.getLogger(__name__)


class _OpenPage:
    def __init__(self, client: Client, user: User, feeds: list[Feed]) -> None:
        self.client, self.user, self.feeds = client, user, feeds


class OpenPages:
    """One for the process. All of it runs on the event loop.

    Args:
        context: of the process.
    """

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._pages: dict[str, _OpenPage] = {}
        self.before: list[Callable[[], Awaitable[None]]] = []  # called once a round, if a page is open
        self.for_all: list[Callable[[], Feed]] = []  # make a feed for each page

    def add(self, client: Client, user: User) -> None:
        """Adds a page that is being made."""
        feeds = [self._notices_feed(), *(make() for make in self.for_all)]
        self._pages[client.id] = _OpenPage(client, user, feeds)
        client.on_delete(lambda: self._pages.pop(client.id, None))

    def feeds(self, client: Client) -> list[Feed]:
        """The feeds of a page, to which it may add its own; each is called about once a second."""
        return self._pages[client.id].feeds

    def notices(self) -> list[tuple[str, float | None]]:
        """What is not available at present: sentences, each with the Unix time since when."""
        store, live = self._context.store, self._context.live_values
        lines: list[tuple[str, float | None]] = []
        if store.trouble:
            lines.append((f"The store cannot be read: {store.trouble}", store.since))
        if live.trouble and self._context.expects_live:
            lines.append((f"No live values: {live.trouble} The page shows what is stored.", live.since))
        return lines

    async def run(self) -> None:
        """Keeps the pages up to date until it is cancelled."""
        number = 0
        while True:
            await asyncio.sleep(EVERY_S)
            number += 1
            try:
                await self._round(check=number % CHECK_EVERY == 0)
            except Exception:  # the next round may be well
                log.exception("The open pages could not be brought up to date.")

    async def _round(self, *, check: bool) -> None:
        if check:
            await self.end_logged_out()
        if not self._pages:
            return
        for prepare in self.before:
            await prepare()
        for one in list(self._pages.values()):
            if not one.client.has_socket_connection:
                continue
            for feed in one.feeds:
                try:
                    if (code := feed()) is not None:
                        one.client.run_javascript(code)
                except Exception:  # a fault in one must not end the others
                    log.exception("A page could not be brought up to date.")

    async def end_logged_out(self) -> None:
        """Closes the pages and the sockets of sessions that have ended, and of users who were removed."""
        sockets = self._context.sockets
        users = [*(one.user for one in self._pages.values()), *sockets.users]
        if not users:
            return
        keys, session_s = {user.session for user in users if user.session}, self._context.access.session_s
        try:
            valid = await self._context.read(lambda store: sessions.valid(store, keys, session_s=session_s))
            open_here = await self._context.run(lambda: self._context.access.open_here)
        except MonitorError:  # nobody is logged out because the store does not answer
            return

        def has_ended(user: User) -> bool:
            if user.session:
                # One that was begun meanwhile was not asked for.
                return user.session in keys and user.session not in valid
            return user.from_here and not open_here

        sockets.end(has_ended)
        for one in list(self._pages.values()):
            # The end of a login and the regular look at all of them may come to a page at the same time.
            if has_ended(one.user) and self._pages.pop(one.client.id, None) is not None:
                await self._close(one.client)

    async def _close(self, client: Client) -> None:
        """Lets the browser ask for the page again, which leads to the login; nothing else reaches its client then."""
        from nicegui import core

        message = {"code": "location.reload()", "_id": client.outbox.next_message_id}
        await core.sio.emit("run_javascript", message, room=client.id)
        with contextlib.suppress(KeyError):  # it was deleted meanwhile, because the browser has left
            client.delete()

    def _notices_feed(self) -> Feed:
        shown: list[Any] = []

        def feed() -> str | None:
            nonlocal shown
            lines = self.notices()
            if lines == shown:
                return None
            shown = lines
            return call("page.notices", lines)

        return feed


def call(function: str, *arguments: Any) -> str:
    """JavaScript that calls a function with values."""
    return f"{function}({', '.join(json.dumps(one, separators=(',', ':')) for one in arguments)})"
