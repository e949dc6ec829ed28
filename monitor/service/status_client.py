"""Asks a running monitor through the socket in its state folder: a JSON line for each request and each answer.

This module and `status_verdict` import neither numpy nor SQLAlchemy, because a check may run every minute.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitor.core.errors import EXIT_FAILURE, MonitorError, SourceLost
from monitor.service.socket_file import NAME, connected_socket

TIMEOUT_S = 5.0
LONGEST_ANSWER = 16 << 20  # bytes

Answer = dict[str, Any]


class NoMonitor(SourceLost):
    """No monitor runs with a state folder, or it does not answer."""


class _Refused(MonitorError):
    """The monitor refused a request; its exit code is that of the error in the monitor."""

    def __init__(self, messages: tuple[str, ...], code: int) -> None:
        super().__init__(*messages)
        self.exit_code = code


def ask(folder: Path, request: Mapping[str, object], *, timeout_s: float = TIMEOUT_S) -> Answer:
    """Sends a request to the monitor of a state folder, and returns its answer.

    Args:
        folder: the state folder.
        request: `command`, and what the command needs.
        timeout_s: longest time to wait for the whole answer.

    Raises:
        NoMonitor: if no monitor runs there, or it does not answer in time.
        MonitorError: if the monitor refuses the request, or this user may not ask it.
    """
    path, deadline = folder / NAME, time.monotonic() + timeout_s
    try:
        with connected_socket(path, timeout_s) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = _line(connection, deadline)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        raise NoMonitor(f"no monitor runs with the state folder {folder}.") from None
    except (TimeoutError, ConnectionError):
        raise NoMonitor(f"the monitor with the state folder {folder} does not answer.") from None
    except OSError as error:
        raise MonitorError(f"{path}: cannot be asked: {error.strerror or error}.") from None
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise MonitorError(f"{path}: what answers there is not a monitor.")
    if refused := answer.get("error"):
        messages = refused if isinstance(refused, list) else [refused]
        raise _Refused(tuple(map(str, messages)), int(answer.get("code", EXIT_FAILURE)))
    return answer


def _line(connection: socket.socket, deadline: float) -> bytes:
    """Reads up to the first line break.

    Raises:
        TimeoutError: if there is none until the deadline, on the monotonic clock.
        ConnectionError: if the connection ends before, or the line is too long.
    """
    received = bytearray()
    while not received.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(1 << 16)
        if not part or len(received) > LONGEST_ANSWER:
            raise ConnectionResetError
        received += part
    return bytes(received)
