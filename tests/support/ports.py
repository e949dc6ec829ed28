"""Ports of this computer for the servers of tests."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

_FIRST, _LAST = 15_000, 32_767  # below those that Linux gives to connections, which could take one in the meantime
_FOLDER = Path(tempfile.gettempdir()) / f"acoustic-monitor-ports-{os.getuid()}"
_held: list[IO[bytes]] = []  # a lock for each port that this process was given, until it ends


def free_port() -> int:
    """A port that nothing listens on, and that no test of any process is given as long as this one lives.

    A server may use it at any time, stop, and use it again.
    """
    _FOLDER.mkdir(exist_ok=True)
    while True:
        port = random.SystemRandom().randint(_FIRST, _LAST)
        lock = (_FOLDER / str(port)).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.create_server(("127.0.0.1", port)), socket.socket(type=socket.SOCK_DGRAM) as other:
                other.bind(("127.0.0.1", port))
        except OSError:  # another process has it
            lock.close()
            continue
        _held.append(lock)
        return port
