"""A small HTTP server for metrics, which a slow, silent or malicious reader cannot bring to a stop."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from monitor.core.errors import ConfigError

PATH = "/metrics"
READERS = 8  # connections served at once; further ones are closed
TIMEOUT_S = 10.0  # longest time to wait for a request, and for a reader to take its answer
RETRY_S = 5.0  # seconds after which a port that was taken is tried again
POLL_S = 0.1  # longest time until the end is noticed
CLOSE_S = 2.0

Answer = Callable[[str], tuple[bytes, str]]

log = logging.getLogger(__name__)


class MetricsServer:
    """Serves metrics at http://ADDRESS:PORT/metrics, each request on a thread of its own.

    A port that another program has taken is tried again and again, because that is no reason to monitor nothing.

    Args:
        address: to listen on: a name or an address of IPv4 or IPv6.
        port: to listen on; 0: any that is free.
        answer: returns the metrics and their content type; its argument is the header `Accept` of the request.

    Raises:
        ConfigError: if it is not possible to listen there.
    """

    def __init__(self, address: str, port: int, answer: Answer) -> None:
        self.port = port  # that it listens on
        self.trouble = ""  # why nobody can read at present, a sentence
        self._host, self._answer = address.strip("[]"), answer
        self._family, self._place = _resolved(address, port)
        self._ending = threading.Event()
        server = self._listening()
        self._thread = threading.Thread(target=self._run, args=(server,), name="metrics server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the server. Requests that are being answered are left behind."""
        self._ending.set()
        self._thread.join(CLOSE_S)

    def _run(self, server: _Server | None) -> None:
        while server is None:
            if self._ending.wait(RETRY_S):
                return
            try:
                server = self._listening()
            except ConfigError as error:  # meanwhile this computer has lost its address
                self.trouble = str(error)
        with server:
            while not self._ending.is_set():
                server.handle_request()

    def _listening(self) -> _Server | None:
        """A server that listens; None if another program has taken the port.

        Raises:
            ConfigError: if it is not possible for another reason.
        """
        try:
            server = _Server(self._family, self._place, self._answer)
        except OSError as error:
            where = f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"
            why = f"The metrics cannot be offered at {where}: {error.strerror}"
            if error.errno != errno.EADDRINUSE:
                raise ConfigError(f"{why}: choose another metrics.port or metrics.address.") from None
            if not self.trouble:
                log.error("%s. It is tried again until it succeeds.", why)
            self.trouble = f"{why}: end the other program, or choose another metrics.port."
            return None
        self.trouble, self.port = "", int(server.server_address[1])
        return server


class _Server(ThreadingMixIn, TCPServer):
    """A server with a limited number of threads."""

    allow_reuse_address = True  # a port whose last connections are being closed can be used at once
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32
    timeout = POLL_S

    def __init__(self, family: socket.AddressFamily, place: Any, answer: Answer) -> None:
        self.address_family = family
        self.answer = answer
        self._free = threading.BoundedSemaphore(READERS)
        super().__init__(place, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answers on a new thread, or closes the connection if too many are open."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: readers that leave are no matter of the monitor."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = TIMEOUT_S
    server_version, sys_version = "acoustic-monitor", ""

    def do_GET(self) -> None:
        """Answers with the metrics."""
        if self.path.partition("?")[0] != PATH:
            self.send_error(404, f"The metrics are at {PATH}")
            return
        body, content_type = self.server.answer(self.headers.get("Accept", ""))
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing of requests."""


def _resolved(address: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """The family of an address, and the address with the port as a socket takes it.

    Raises:
        ConfigError: if there is no such address.
    """
    try:
        found = socket.getaddrinfo(address.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ConfigError(f"metrics.address: {address!r} is no address of this computer.") from None
    family, _, _, _, place = found[0]
    return family, place
