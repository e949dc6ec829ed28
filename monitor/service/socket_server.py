"""Serves a Unix socket: a line for each request, and lines as answers. No client can keep another one waiting."""

from __future__ import annotations

import contextlib
import json
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from monitor.core.errors import EXIT_FAILURE, EXIT_USAGE, MonitorError
from monitor.service.socket_file import bound_socket

MAX_CLIENTS = 32
LONGEST_REQUEST = 1 << 16  # bytes
CLIENT_S = 10.0  # longest time for which a client may keep a request or the reading of an answer waiting
RETRY_S = 5.0  # seconds after which a socket that could not be bound, or that was deleted, is bound again
PAUSE_S = 0.1  # after a connection could not be accepted, because files or threads are used up
CLOSE_S = 2.0

Answer = Mapping[str, Any]

log = logging.getLogger(__name__)


class SocketServer:
    """Answers requests at a path, on threads of its own: one accepts connections, and each client has another one.

    At most MAX_CLIENTS are connected; one that is slow to write or to read is disconnected. If the socket cannot be
    bound, or is deleted, that is tried again.

    Args:
        path: of the socket.
        answers: yields the answers to the line of a request, called on the client's thread; it may raise nothing.
    """

    def __init__(self, path: Path, answers: Callable[[bytes], Iterator[Answer]]) -> None:
        self.trouble = ""  # why nobody can connect at present, a sentence
        self._path, self._answers = path, answers
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()  # of the set of clients
        self._ending = threading.Event()
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="status socket", daemon=True)

    def start(self) -> None:
        """Begins to accept connections."""
        self._thread.start()

    def ends_within(self, seconds: float) -> bool:
        """Waits for some seconds; returns at once, and true, if the server is closed."""
        return self._ending.wait(seconds)

    def look(self) -> None:
        """Makes it look at its socket now, not in some seconds."""
        with contextlib.suppress(OSError):  # it is closed
            self._wake.send(b"\0")

    def close(self) -> None:
        """Disconnects all clients, and removes the socket."""
        self._ending.set()
        self.look()
        self._thread.join(CLOSE_S)
        self._wake.close()
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        listener: socket.socket | None = None
        bound: tuple[int, int] | None = None  # what the listener is bound to
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._woken, selectors.EVENT_READ)
            while not self._ending.is_set():
                if listener is None or _identity(self._path) != bound:
                    if listener is not None:
                        waiting.unregister(listener)
                        listener.close()
                    if (listener := self._bind()) is not None:
                        waiting.register(listener, selectors.EVENT_READ)
                        bound = _identity(self._path)
                ready = {key.fileobj for key, _ in waiting.select(RETRY_S)}
                if self._woken in ready:
                    self._woken.recv(64)
                if listener is not None and listener in ready:
                    self._begin(listener)
        if listener is not None:
            if _identity(self._path) == bound:
                with contextlib.suppress(OSError):
                    self._path.unlink()
            listener.close()
        self._woken.close()

    def _bind(self) -> socket.socket | None:
        try:
            made = bound_socket(self._path)
        except (OSError, MonitorError) as error:
            why = str(error) if isinstance(error, MonitorError) else f"{self._path}: {error.strerror or error}"
            trouble = f"{why.removesuffix('.')}; `monitor status` cannot reach this monitor."
            if trouble != self.trouble:
                log.error("%s", trouble)
            self.trouble = trouble
            return None
        self.trouble = ""
        made.setblocking(False)
        return made

    def _begin(self, listener: socket.socket) -> None:
        """Accepts a client, and begins to serve it."""
        try:
            client, _ = listener.accept()
        except OSError:  # it has gone already, or no further file can be opened
            self._ending.wait(PAUSE_S)
            return
        with self._lock:
            accepted = len(self._clients) < MAX_CLIENTS
            if accepted:
                self._clients.add(client)
        if not accepted:
            client.setblocking(False)
            with client, contextlib.suppress(OSError):
                client.send(_line(refusal(f"{MAX_CLIENTS} clients are connected already: try again later")))
            return
        try:
            threading.Thread(target=self._serve, args=(client,), name="status client", daemon=True).start()
        except RuntimeError:  # no further thread can be started
            self._end(client)
            self._ending.wait(PAUSE_S)

    def _serve(self, client: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                for request in _requests(client):
                    for answer in self._answers(request):
                        client.settimeout(CLIENT_S)
                        client.sendall(_line(answer))
        finally:
            self._end(client)

    def _end(self, client: socket.socket) -> None:
        client.close()
        with self._lock:
            self._clients.discard(client)


def refusal(why: str, code: int = EXIT_FAILURE) -> Answer:
    """The answer to a request that is refused.

    Args:
        why: a sentence without its full stop.
        code: exit code for the client.
    """
    return {"error": f"{why}.", "code": code}


def _requests(client: socket.socket) -> Iterator[bytes]:
    """Yields the lines that a client sends, until it ends, or is too slow, or one is too long."""
    received = bytearray()
    deadline = time.monotonic() + CLIENT_S
    while True:
        line, found, rest = received.partition(b"\n")
        if found:
            received = bytearray(rest)
            yield bytes(line)
            deadline = time.monotonic() + CLIENT_S
            continue
        if len(received) > LONGEST_REQUEST:
            client.sendall(_line(refusal(f"a request has at most {LONGEST_REQUEST} bytes", EXIT_USAGE)))
            return
        left = deadline - time.monotonic()
        if left <= 0:
            return
        client.settimeout(left)
        part = client.recv(1 << 14)
        if not part:
            return
        received += part


def _line(answer: Answer) -> bytes:
    return json.dumps(answer, separators=(",", ":"), default=str).encode() + b"\n"


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one that was put in its place."""
    with contextlib.suppress(OSError):
        found = path.lstat()
        return found.st_dev, found.st_ino
    return None
