"""Log in and out: a plain page that needs no script, so that nothing else is sent to those who have no login."""

from __future__ import annotations

import asyncio
import html
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import FastAPI, Form, Request
from starlette.background import BackgroundTask
from starlette.responses import HTMLResponse, RedirectResponse, Response

from monitor.core.errors import MonitorError
from monitor.core.text import duration_text
from monitor.store.database import Store
from monitor.web.context import WebContext
from monitor.web.frame import asset
from monitor.web.login import sessions, users
from monitor.web.login.gate import LOGIN, caller_of
from monitor.web.login.login_attempts import LoginAttempts

KEPT_S = 400 * 86_400  # the longest that browsers keep a cookie
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in · Monitor</title><link rel="icon" href="/favicon.ico"><link rel="stylesheet" href="{style}">
<script src="{script}"></script></head>
<body class="login"><form class="panel" method="post" action="/login">
<div class="mark"><img src="{icon}" alt=""><h1>Monitor</h1></div>{wrong}
<input type="hidden" name="next" value="{next}">
<label>User<input class="field" name="name" value="{name}" autocomplete="username" autocapitalize="none"
 spellcheck="false" required maxlength="60"{focus_name}></label>
<label>Password<input class="field" name="password" type="password" autocomplete="current-password" required
 maxlength="1000"{focus_password}></label>
<button class="button main" type="submit">Log in</button></form></body></html>
"""


def register(outer: FastAPI, context: WebContext, *, cookie: str) -> None:
    """Adds `/login` and `/logout`."""
    attempts = LoginAttempts()
    # One password at a time: many attempts at once take neither much memory nor the threads of those who look.
    thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
    session_s = context.access.session_s

    @outer.get(LOGIN)
    async def show(next: str = "/") -> Response:
        return _form(next)

    @outer.post(LOGIN)
    async def log_in(
        request: Request,
        name: Annotated[str, Form()] = "",
        password: Annotated[str, Form()] = "",
        next: Annotated[str, Form()] = "/",
    ) -> Response:
        address = context.access.client_address(caller_of(request.scope, cookie))
        name = name.strip()[: users.LONGEST_NAME + 1]  # nobody has a longer one, and attempts are remembered
        wait_s = attempts.begin(address, name)
        if wait_s:
            wait = f"Too many wrong passwords: try again in {duration_text(math.ceil(wait_s))}."
            return _form(next, name, wait, 429, {"retry-after": str(math.ceil(wait_s))})
        try:
            secret = await asyncio.get_running_loop().run_in_executor(
                thread,
                context.store.use,
                lambda store: _checked(store, name, password, address, session_s),
            )
        except MonitorError as error:
            attempts.forgive(address, name)
            return _form(next, name, str(error), 503)
        if secret is None:
            return _form(next, name, "This is not the password of a user with this name.", 401)
        attempts.forgive(address, name)
        answer = RedirectResponse(_own_path(next), 303)
        # The browser keeps the cookie for long; how long it counts, the store decides.
        secure = request.scope["scheme"] == "https"
        answer.set_cookie(cookie, secret, max_age=KEPT_S, httponly=True, samesite="strict", secure=secure)
        return answer

    @outer.post("/logout")
    async def log_out(request: Request) -> Response:
        secret = caller_of(request.scope, cookie).secret

        def end(store: Store) -> None:
            user = sessions.find(store, secret, session_s=session_s)
            if user is not None:
                sessions.end(store, user.session, by=user.name)

        try:
            await context.read(end)
        except MonitorError as error:
            return HTMLResponse(html.escape(str(error)), 503)
        # Afterwards, so that the other pages of this login do not first see that it is over.
        answer = RedirectResponse(LOGIN, 303, background=BackgroundTask(context.pages.end_logged_out))
        answer.delete_cookie(cookie, httponly=True, samesite="strict")
        return answer


def _checked(store: Store, name: str, password: str, address: str, session_s: float) -> str | None:
    """The secret of a new session, if the password is right."""
    if users.is_password_of(store, name, password):
        return sessions.begin(store, name, address=address, session_s=session_s)
    sessions.note_wrong_password(store, users.known_name(store, name), address=address)
    return None


def _own_path(path: str) -> str:
    """A path of this page; that of another site, or none, is the hall."""
    parts = urlsplit(path)
    own = path.startswith("/") and not path.startswith(("//", "/\\", LOGIN)) and not parts.netloc and path.isprintable()
    return path if own else "/"


def _form(
    path: str, name: str = "", wrong: str = "", status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    focus = " autofocus"
    text = PAGE.format(
        style=asset("page.css"), script=asset("page.js"), icon=asset("favicon.svg"), next=html.escape(_own_path(path)),
        name=html.escape(name), focus_name="" if name else focus, focus_password=focus if name else "",
        wrong=f'<p class="wrong" role="alert">{html.escape(wrong)}</p>' if wrong else "",
    )  # fmt: skip
    return HTMLResponse(text, status, {"cache-control": "no-store", **(headers or {})})
