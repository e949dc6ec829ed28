"""A receiver of webhooks on this computer, which can fail in all the ways that receivers fail."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Answer = Callable[["Handler"], None]


@dataclass(frozen=True)
class Received:
    """A request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> dict[str, Any]:
        """The JSON object."""
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def delivery(self) -> str:
        """The id of the message."""
        return str(self.content["delivery"])

    def signature(self, secret: str) -> str:
        """The signature that this request should have, computed as the manual tells receivers to."""
        text = self.headers["x-monitor-time"].encode() + b"." + self.body
        return "sha256=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers one request as the server's `answers` say."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Records a request, and answers it."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver = self.server.receiver
        with receiver.lock:
            answer = receiver.answers.pop(0) if receiver.answers else receiver.answer
            receiver.received.append(Received(self.path, headers, body))
        self.close_connection = True
        with suppress(OSError):
            answer(self)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Server(ThreadingHTTPServer):
    """The server of a receiver."""

    daemon_threads = True
    receiver: Receiver


class Receiver:
    """Receives webhooks, as a context manager.

    Attributes:
        received: all requests so far.
        answers: how the next requests are answered, one after another.
        answer: how the others are answered.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[Answer] = []
        self.answer: Answer = status(204)
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.receiver = self
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"

    @property
    def taken(self) -> list[Received]:
        """The requests in the order in which they came; a copy."""
        with self.lock:
            return list(self.received)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()


def status(code: int, text: str = "", **headers: str) -> Answer:
    """An answer with a status code, a text and headers; `_` stands for `-` in their names."""

    def answer(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(text.encode())))
        handler.end_headers()
        handler.wfile.write(text.encode())

    return answer


def hang(handler: Handler) -> None:
    """Answers nothing, until the receiver ends."""
    handler.server.receiver.ending.wait()


def drip(handler: Handler) -> None:
    """Answers a byte now and then, without ever coming to an end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not handler.server.receiver.ending.wait(0.02):
        handler.wfile.write(b"a")


def break_off(handler: Handler) -> None:
    """Closes the connection without an answer."""
    handler.connection.close()
