"""Nothing of the page is reached without passing here: who asks, from where, and whether another site made them ask."""

from __future__ import annotations

import html
import ipaddress
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote, urlsplit

from nicegui import __version__ as VERSION
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from monitor.core.errors import MonitorError
from monitor.web.login.access import FORWARDED, Access, Caller
from monitor.web.login.open_sockets import OpenSockets
from monitor.web.login.users import User

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Run = Callable[[Callable[[], User | None]], Awaitable[User | None]]

USER = "monitor.user"  # where the user stands in the scope of a request
LOGIN = "/login"
# The login page, and files of the programs. What NiceGUI serves besides (`/_nicegui/auto/…`) is made by pages.
OPEN_PATHS = (LOGIN, "/favicon.ico")
OPEN_FOLDERS = ("/assets/", *(f"/_nicegui/{VERSION}/{name}/" for name in ("static", "libraries", "components", "esm")))
ADD_USER = "`monitor web user add NAME --role admin`"
SAFE = ("GET", "HEAD", "OPTIONS")
LONGEST_BODY = 1 << 20  # bytes; no form and no message of the page comes near it
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; "
    # NiceGUI makes its elements with scripts and styles in the page, and of text (Vue's templates).
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
# From a link in a mail or a chat the browser sends no cookie (SameSite=Strict); from this page it does.
AGAIN = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0"><title>Monitor</title>'

UNAVAILABLE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>Monitor</title>'
    '<body style="font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem">'
    "<p>Who you are cannot be looked up: {} The page tries again every five seconds.</p>"
)


class Gate:
    """ASGI application around another one, with the user of each request in its scope (`user_of`).

    Args:
        app: the pages.
        access: decides who somebody is.
        cookie: name of the session's cookie.
        run: runs what takes time on a thread.
        sockets: takes the web sockets that are opened.
    """

    def __init__(
        self,
        app: App,
        access: Access,
        *,
        cookie: str,
        run: Run,
        sockets: OpenSockets,
    ) -> None:
        self.app = app
        self._access, self._cookie, self._run, self._sockets = access, cookie, run, sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or hands it on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        caller = caller_of(scope, self._cookie)
        if self._access.is_proxy(caller) and headers.get("x-forwarded-proto") in ("http", "https"):
            secure = headers["x-forwarded-proto"] == "https"
            scope["scheme"] = {"http": "https", "websocket": "wss"}[scope["type"]] if secure else scope["scheme"]
        answer = await self._answer(scope, headers, caller)
        if answer is None and scope["type"] == "websocket":
            with self._sockets.opened(user_of(scope), receive, send) as socket:
                await self.app(scope, socket.receive, _with_headers(socket.send))
        elif answer is None:
            await self._hand_on(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await answer(scope, receive, _with_headers(send))

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = False

        async def receiving() -> MutableMapping[str, Any]:
            nonlocal left
            message = await receive()
            left = left or message["type"] == "http.disconnect"
            return message

        try:
            await self.app(scope, receiving, send)
        except RuntimeError:  # Starlette: "No response returned."
            if not left:  # else there is nobody to answer, and nothing to complain of
                raise

    async def _answer(self, scope: Scope, headers: Headers, caller: Caller) -> Response | None:
        """The answer to a request that is not handed on."""
        if _from_another_site(scope, headers):
            return PlainTextResponse("This request came from another site.", 403)
        if scope["type"] == "http" and not _has_short_body(headers):
            return PlainTextResponse("This is too long.", 413)
        path: str = scope["path"]
        if scope["type"] == "http" and (path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)):
            return None
        try:
            user = await self._run(lambda: self._user(headers, caller))
        except MonitorError as error:
            if isinstance(error, _Rebound):
                return PlainTextResponse(f"{error}\n", 403)
            return HTMLResponse(UNAVAILABLE.format(html.escape(str(error))), 503)
        if user is not None:
            scope[USER] = user
            return None
        if scope["type"] == "websocket" or scope["method"] not in SAFE or headers.get("sec-fetch-mode") not in (
            None, "navigate",
        ):  # fmt: skip
            return PlainTextResponse("Log in first.", 401)
        if headers.get("sec-fetch-site") == "cross-site":
            return HTMLResponse(AGAIN)
        query = scope["query_string"].decode("latin-1")
        wanted = path + (f"?{query}" if query else "")
        return RedirectResponse(LOGIN if wanted == "/" else f"{LOGIN}?next={quote(wanted, safe='/')}", 303)

    def _user(self, headers: Headers, caller: Caller) -> User | None:
        if self._access.open_here:
            if not _is_loopback(_host(headers)):
                raise _Rebound(
                    f"Nobody has to log in here, so the page answers to localhost only: add a user ({ADD_USER})."
                )
            if any(name in headers for name in FORWARDED):
                raise _Rebound(
                    "This request came through a proxy, but nobody has to log in: add a user "
                    f"({ADD_USER}), or set web.proxy."
                )
        return self._access.user(caller)


class _Rebound(MonitorError):
    """A page without login is asked from elsewhere."""


def user_of(scope: Mapping[str, Any]) -> User:
    """The user of a request that has passed the gate, by its scope."""
    user = scope[USER]
    assert isinstance(user, User)
    return user


def caller_of(scope: Scope, cookie: str) -> Caller:
    """What a request says of its sender."""
    headers = Headers(scope=scope)
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        jar.clear()
    secret = jar[cookie].value if cookie in jar else ""
    client = scope.get("client")
    # Several headers of one name are lines of one text, so that nobody takes the first of them for the proxy's.
    texts = {name: "\n".join(headers.getlist(name)) for name in headers}
    return Caller(client[0] if client else "", texts, secret)


def _from_another_site(scope: Scope, headers: Headers) -> bool:
    """Whether a page of another site makes a browser send what could change something, or open a connection."""
    if scope["type"] == "http" and scope["method"] in SAFE and not scope["path"].startswith("/_nicegui_ws/"):
        return False
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.casefold() != headers.get("host", "").casefold()


def _has_short_body(headers: Headers) -> bool:
    """Whether what is sent is short, and says so beforehand, as all browsers do."""
    length = headers.get("content-length", "0")
    return "transfer-encoding" not in headers and length.isdecimal() and int(length) <= LONGEST_BODY


def _host(headers: Headers) -> str:
    """The host of a request, without its port."""
    return (urlsplit(f"//{headers.get('host', '')}").hostname or "").casefold()


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _with_headers(send: Send) -> Send:
    """Adds what tells browsers to load nothing from elsewhere, and to show the page in no other one."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
