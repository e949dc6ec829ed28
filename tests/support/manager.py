"""A service manager for tests: it receives what a service tells systemd."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Self

from support.listening import wait_until


class Manager:
    """A datagram socket that plays systemd, and the messages that it has received.

    Args:
        abstract: whether its address is in Linux's abstract namespace, as in containers.
    """

    def __init__(self, *, abstract: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sd-")  # a short path
        path = Path(self._folder.name, "notify")
        self.address = f"@monitor-test-{os.getpid()}-{id(self)}" if abstract else str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{self.address[1:]}" if abstract else self.address)
        self._socket.setblocking(False)
        self._received: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._folder.cleanup()

    @property
    def messages(self) -> list[str]:
        """All messages so far."""
        while True:
            try:
                self._received.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return list(self._received)

    @property
    def assignments(self) -> list[str]:
        """The lines of all messages so far."""
        return [line for message in self.messages for line in message.splitlines()]

    def wait_for(self, assignment: str, since: int = 0) -> None:
        """Waits until a line that begins so has been received, behind the first `since`."""
        wait_until(lambda: any(line.startswith(assignment) for line in self.assignments[since:]), assignment)
