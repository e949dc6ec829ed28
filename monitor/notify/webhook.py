"""Webhooks: a JSON object by HTTP POST, signed with HMAC-SHA256."""

from __future__ import annotations

import base64
import contextlib
import email.utils
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from monitor import __version__
from monitor.core.text import printable, shortened
from monitor.notify.channel import TRANSIENT, NotSent
from monitor.notify.message import Message

LONGEST_WAIT_S = 3600.0  # a receiver that asks for more is asked again after this time
SHOWN = 200  # bytes of an answer that become part of the reason


class Webhook:
    """Sends messages to an address.

    Every attempt ends within the time limit, even if the receiver sends a byte now and then. Redirects are not
    followed: they could lead a signed message to another host. Certificates are verified. Proxies are those of the
    variables http_proxy, https_proxy and no_proxy.

    Args:
        address: beginning with https:// or http://; a user and a password in it are sent as HTTP Basic authentication.
        secret: key of the signature; empty: no signature.
        timeout_s: the time limit of an attempt, in seconds.
    """

    def __init__(self, address: str, secret: str, timeout_s: float) -> None:
        parts = urllib.parse.urlsplit(address)
        user, at, host = parts.netloc.rpartition("@")
        self._address = urllib.parse.urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
        self._name = f"{parts.scheme}://{host}"
        self._authorization = ""
        if at:
            credentials = urllib.parse.unquote(user).encode()
            self._authorization = f"Basic {base64.b64encode(credentials).decode()}"
        self._secret, self._timeout_s = secret.encode(), timeout_s

    def send(self, message: Message) -> None:
        """Delivers a message; see `monitor.notify.channel.Channel`."""
        request = urllib.request.Request(self._address, message.body, self._headers(message), method="POST")
        limit = _Limit(self._timeout_s)
        opener = urllib.request.build_opener(_NoRedirects, _Http(limit), _Https(limit))
        with limit:
            try:
                with opener.open(request, timeout=self._timeout_s):
                    if limit.expired:  # the connection was ended before the whole answer was there
                        raise TimeoutError
            except urllib.error.HTTPError as error:
                raise self._refusal(error) from None
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise NotSent(f"{self._name} {self._reason(error, limit)}") from None

    def _headers(self, message: Message) -> dict[str, str]:
        at = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"acoustic-monitor/{__version__}",
            "X-Monitor-Time": at,
            "X-Monitor-Delivery": message.delivery,
        }
        if self._secret:
            signature = hmac.new(self._secret, at.encode() + b"." + message.body, hashlib.sha256).hexdigest()
            headers["X-Monitor-Signature"] = f"sha256={signature}"
        if self._authorization:
            headers["Authorization"] = self._authorization
        return headers

    def _refusal(self, error: urllib.error.HTTPError) -> NotSent:
        """What an answer that is not 2xx means."""
        with error:
            if 300 <= error.code < 400:
                target = urllib.parse.urlsplit(error.headers.get("Location", ""))
                where = f"another address (at {printable(target.hostname)})" if target.hostname else "another address"
                why = f"{self._name} answers {error.code}, a redirect to {where}: write that address into the settings"
                return NotSent(why, refused=True)
            said = b""
            with contextlib.suppress(OSError, http.client.HTTPException):
                said = error.read(SHOWN)
            text = shortened(printable(" ".join(said.decode(errors="replace").split())), SHOWN)
            status = http.client.responses.get(error.code, "")
            why = f"{self._name} answers {f'{error.code} {status}'.strip()}{f': {text}' if text else ''}"
            refused = error.code < 500 and error.code not in TRANSIENT
            return NotSent(self._without_secrets(why), refused=refused, wait_s=_retry_after(error.headers))

    def _without_secrets(self, text: str) -> str:
        """A receiver's text without what nobody else may know of the address, should it repeat that."""
        parts = urllib.parse.urlsplit(self._address)
        for secret in (self._secret.decode(), parts.query, parts.path.strip("/")):
            if len(secret) > 3:
                text = text.replace(secret, "…")
        return text

    def _reason(self, error: Exception, limit: _Limit) -> str:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if limit.expired or isinstance(cause, TimeoutError):
            return f"has not answered within {self._timeout_s:g} s"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"has a certificate that is not trusted: {cause.verify_message}"
        if isinstance(cause, socket.gaierror):
            return "is not known: its name has no address"
        if isinstance(cause, ConnectionRefusedError):
            return "refuses the connection: nothing listens there"
        if isinstance(cause, ssl.SSLError):
            return f"does not speak TLS as expected: {cause.reason or 'it broke off'}"
        if isinstance(cause, OSError):
            return f"cannot be reached: {cause.strerror or 'the connection broke off'}"
        return "gives no answer in HTTP"


class _Limit:
    """Ends a connection when its time is over, whatever it waits for."""

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self.connection: http.client.HTTPConnection | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def _end(self) -> None:
        self.expired = True
        self.stop()

    def stop(self) -> None:
        """Ends the connection, so that who waits for it returns with an error."""
        opened = self.connection.sock if self.connection is not None else None
        if opened is not None:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


class _Connection(http.client.HTTPConnection):
    """A connection that a limit can end."""

    limit: _Limit

    def connect(self) -> None:
        self.limit.connection = self
        super().connect()
        if self.limit.expired:
            raise TimeoutError


class _SecureConnection(http.client.HTTPSConnection):
    """A TLS connection that a limit can end, also while it is being negotiated."""

    limit: _Limit

    def connect(self) -> None:
        self.limit.connection = self
        http.client.HTTPConnection.connect(self)
        name = getattr(self, "_tunnel_host", None) or self.host
        context = ssl.create_default_context()
        secured = context.wrap_socket(self.sock, server_hostname=name, do_handshake_on_connect=False)
        self.sock = secured
        if self.limit.expired:
            raise TimeoutError
        secured.do_handshake()


class _Http(urllib.request.HTTPHandler):
    def __init__(self, limit: _Limit) -> None:
        super().__init__()
        self._limit = limit

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_limited(_Connection, self._limit), request)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, limit: _Limit) -> None:
        super().__init__()
        self._limit = limit

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_limited(_SecureConnection, self._limit), request)


def _limited(kind: Any, limit: _Limit) -> Any:
    """Makes connections of a kind that the limit can end."""

    def make(*arguments: Any, **options: Any) -> Any:
        made = kind(*arguments, **options)
        made.limit = limit
        return made

    return make


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _retry_after(headers: Any) -> float:
    """The seconds that an answer asks to wait; 0 if it does not say."""
    text = headers.get("Retry-After", "").strip()
    seconds = 0.0
    if text.isdecimal():
        seconds = float(text[:9])
    elif text:
        with contextlib.suppress(ValueError, TypeError):
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    return min(max(0.0, seconds), LONGEST_WAIT_S)
