"""Pipes, sockets and devices, which are no files."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def special_file_of(kind: str, folder: Path) -> Path:
    """Makes "a pipe" or "a socket" in a folder, or returns the path of "a device" that never ends."""
    path = folder / kind.replace(" ", "-")
    if kind == "a device":
        return Path("/dev/zero")
    if kind == "a pipe":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as one:
            before = Path.cwd()
            os.chdir(folder)  # the length of a socket's path is limited
            try:
                one.bind(path.name)
            finally:
                os.chdir(before)
    return path
