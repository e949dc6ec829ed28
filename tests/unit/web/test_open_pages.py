"""Pages end with the login of their user."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from monitor.web.context import WebContext
from monitor.web.login.open_sockets import OpenSockets
from monitor.web.login.users import User
from monitor.web.open_pages import OpenPages


def test_all_pages_of_a_login_are_closed_when_its_end_is_noticed_twice_at_the_same_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nicegui import Client, core, ui

    async def slow_browser(*_: object, **__: object) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(core.sio, "emit", slow_browser)

    async def nobody_is_logged_in(_: object) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {}

    async def nobody_is_let_in(_: object) -> bool:
        return False

    async def story() -> list[bool]:
        context = SimpleNamespace(
            sockets=OpenSockets(), access=SimpleNamespace(session_s=1.0), read=nobody_is_logged_in, run=nobody_is_let_in
        )
        pages = OpenPages(cast(WebContext, context))
        clients = [Client(ui.page(f"/{number}"), request=None) for number in range(3)]
        for client in clients:
            pages.add(client, User("anna", "operator", "session of anna"))
        await asyncio.gather(pages.end_logged_out(), pages.end_logged_out())
        return [client.id in Client.instances for client in clients]

    assert asyncio.run(story()) == [False, False, False]
