"""The socket that the page is served on, opened before anything large is loaded, so that a refusal comes at once."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Iterator

from monitor.core.errors import ConfigError, MonitorError


@contextlib.contextmanager
def listening(address: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens.

    Raises:
        ConfigError: if the address is none of this computer.
        MonitorError: if the port is taken, or may not be used.
    """
    try:
        found = socket.getaddrinfo(address.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise ConfigError(f"web.address: {address} is no address of this computer: use 127.0.0.1, or 0.0.0.0 "
                          "for all of its addresses.") from None  # fmt: skip
    family, kind, protocol, _, where = found[0]
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(where)
            listener.listen(128)
        except OSError as error:
            raise _cannot_listen(error, address, port) from None
        yield listener


def _cannot_listen(error: OSError, address: str, port: int) -> MonitorError:
    if error.errno == errno.EADDRINUSE:
        return MonitorError(f"Port {port} of {address} is taken by another program: choose another one with --port.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(f"Port {port} may only be used by the administrator: choose one from 1024 on with --port.")
    return ConfigError(f"web.address: {address} is no address of this computer: use 127.0.0.1, or 0.0.0.0 for all "
                       "of its addresses.")  # fmt: skip


def is_local(listener: socket.socket) -> bool:
    """Whether only this computer reaches a listening socket."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def url_of(listener: socket.socket) -> str:
    """The address of the page for a browser on this computer."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
