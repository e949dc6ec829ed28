"""Serves the page: NiceGUI behind the gate, in a process of its own."""

from __future__ import annotations

import contextlib
import importlib
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from nicegui import app as pages
from nicegui import background_tasks, ui
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from monitor.web.context import WebContext
from monitor.web.frame import STATIC, asset
from monitor.web.login import login_page
from monitor.web.login.gate import Gate

PAGES = (
    "hall.hall_page",
    "stream.stream_page",
    "login.users_page",
    "event.event_page",
    "events.events_page",
    "events.calendar_page",
)  # each has register(context)
CLOSE_S = 1  # longest time for answers that are being sent when the program is ended


def serve(context: WebContext, listener: socket.socket, *, started: Callable[[], None]) -> bool:
    """Serves the page until a signal comes; returns whether no thread is still at work.

    Args:
        context: of the process.
        listener: a socket that listens.
        started: called as soon as the page is served.
    """
    # Cookies belong to a host whatever the port: two pages on one computer have cookies of their own.
    gate = application(context, cookie=f"monitor_session_{listener.getsockname()[1]}")
    pages.on_startup(started)
    context.start()
    settings = uvicorn.Config(
        gate,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the gate looks at them, and at who sends them
        server_header=False,
        timeout_graceful_shutdown=CLOSE_S,
        lifespan="on",
    )
    try:
        _Server(settings).run(sockets=[listener])
    finally:
        closed = context.close()
    return closed


def application(context: WebContext, *, cookie: str) -> Gate:
    """The application: all pages, behind the gate. NiceGUI allows only one in a process."""
    outer = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    outer.mount("/assets", StaticFiles(directory=STATIC), name="assets")
    login_page.register(outer, context, cookie=cookie)
    for name in PAGES:
        importlib.import_module(f"monitor.web.{name}").register(context)
    for app in (outer, pages):
        app.add_exception_handler(404, _not_found)
        app.add_exception_handler(RequestValidationError, _not_found)  # /stream/x
    pages.on_startup(lambda: background_tasks.create(context.pages.run(), name="open pages"))
    pages.config.quasar_config["brand"] = {"primary": "#2f7fb8"}
    ui.run_with(
        outer, title="Monitor", favicon=STATIC / "favicon.svg", dark=None, language="en-US", tailwind=False,
        show_welcome_message=False, binding_refresh_interval=None, reconnect_timeout=5.0,
    )  # fmt: skip
    return Gate(outer, context.access, cookie=cookie, run=context.run, sockets=context.sockets)


async def _not_found(_request: Request, _error: Exception) -> Response:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><title>Monitor</title><link rel="stylesheet" href="{asset("page.css")}">'
        f'<script src="{asset("page.js")}"></script><body class="login"><p>There is no such page. '
        '<a href="/">To the hall</a></p>',
        404,
    )


class _Server(uvicorn.Server):
    """A server that a signal ends quietly."""

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves until a signal comes."""
        with contextlib.suppress(KeyboardInterrupt):
            super().run(sockets)
