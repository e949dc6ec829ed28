"""Messages to systemd: what its library's `sd_notify` does (see the manual page sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator


def notify(*assignments: str) -> bool:
    """Sends assignments such as READY=1 to the service manager.

    Returns:
        whether they were sent: not if systemd did not start this process with Type=notify, or does not read them.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # a name in Linux's abstract namespace
        address = f"\0{address[1:]}"
    message = "\n".join(one.replace("\n", " ") for one in assignments).encode()
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setblocking(False)
        manager.sendto(message, address)
        return True
    return False


def notify_reloading() -> bool:
    """Says that the settings are being read anew; `notify("READY=1")` says that this is over."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


@contextlib.contextmanager
def reloading() -> Iterator[None]:
    """A context in which the settings are being read anew, as far as systemd is told."""
    notify_reloading()
    try:
        yield
    finally:
        notify("READY=1")


def watchdog_s() -> float | None:
    """Seconds after which systemd restarts this process unless it was sent WATCHDOG=1; None if it does not watch it."""
    microseconds, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or (process and process != str(os.getpid())):
        return None
    return int(microseconds) / 1e6
