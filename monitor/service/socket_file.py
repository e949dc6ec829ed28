"""The Unix socket in the state folder: bound and reached at paths of any length, and by the monitor's user only."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from monitor.core.errors import MonitorError

NAME = "status.sock"
LONGEST_PATH = 100  # bytes; the system's limit is 107 on Linux, less elsewhere
WAITING = 64  # clients that the system keeps waiting until they are accepted
ANSWER_S = 2.0  # longest time to find out whether a socket has a listener


def bound_socket(path: Path) -> socket.socket:
    """A listening Unix socket at a path, which only this user may connect to.

    The folder is created with mode 0700 if it is missing. A socket that a killed program left there is replaced.

    Raises:
        MonitorError: if another program listens there, or the path is something else than a socket.
        OSError: if the socket cannot be created.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise MonitorError("the status socket: this system has no Unix sockets.")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _require_free(path)
    made = socket.socket(socket.AF_UNIX)
    # It gets its name when it listens, so that there is no moment at which a client is refused.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # on Linux the socket has this mode from its first moment on
            os.fchmod(made.fileno(), 0o600)
        with _short(unfinished) as address:
            made.bind(address)
        unfinished.chmod(0o600)
        made.listen(WAITING)
        unfinished.replace(path)
    except BaseException:
        made.close()
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    return made


def connected_socket(path: Path, timeout_s: float) -> socket.socket:
    """A connection to the Unix socket at a path, with a timeout for each of its operations.

    Raises:
        TimeoutError: if the listener does not accept it in time.
        OSError: if there is no socket, nobody listens, or this user may not connect.
    """
    made = socket.socket(socket.AF_UNIX)
    try:
        made.settimeout(timeout_s)
        deadline = time.monotonic() + timeout_s
        with _short(path) as address:
            while True:
                try:
                    made.connect(address)
                    break
                except BlockingIOError:  # more clients come at once than the listener has accepted so far
                    if time.monotonic() >= deadline:
                        raise TimeoutError from None
                    time.sleep(0.02)
    except BaseException:
        made.close()
        raise
    return made


def _require_free(path: Path) -> None:
    """Checks that nothing is at a path but, perhaps, the socket of a killed program.

    Raises:
        MonitorError: if something else is there, or a program listens.
    """
    if not path.is_socket():
        if path.exists() or path.is_symlink():
            raise MonitorError(f"{path}: is not a socket: move it away, so that the monitor can be asked there.")
        return
    try:
        connected_socket(path, ANSWER_S).close()
    except ConnectionRefusedError:
        return
    except TimeoutError:  # it exists, but does not answer
        pass
    raise MonitorError(f"{path}: another monitor listens there: give each its own state.folder.")


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of the same file that is short enough for a socket's address, valid within the block."""
    text = str(path)
    if len(os.fsencode(text)) <= LONGEST_PATH:
        yield text
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
