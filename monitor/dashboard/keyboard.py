"""Reads single keys without Enter, and restores the terminal's settings whatever happens."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Wait = Callable[[float], str]  # waits at most so many seconds for keys, and returns them

UP, DOWN, PAGE_UP, PAGE_DOWN, ESCAPE, ENTER, BACK = "↑", "↓", "⇞", "⇟", "\x1b", "\n", "\x7f"  # as they are returned
_NAMED = {
    "\x1b[A": UP, "\x1bOA": UP, "\x1b[B": DOWN, "\x1bOB": DOWN, "\x1b[5~": PAGE_UP, "\x1b[6~": PAGE_DOWN,
    "\x1b": ESCAPE,
}  # fmt: skip
# arrows and function keys begin with an escape and contain letters that nobody typed
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
_REST_S = 0.03  # in which the rest of a sequence comes even on a slow line; else it is the Escape key


def typed(text: str) -> str:
    """The keys in what a terminal sent: characters, and one for each named key; other sequences are left out."""
    return _SEQUENCE.sub(lambda found: _NAMED.get(found[0], ""), text).replace("\r", ENTER).replace("\b", BACK)


def _no_keys(seconds: float) -> str:
    time.sleep(max(seconds, 0.0))
    return ""


if sys.platform == "win32":
    import msvcrt

    @contextmanager
    def keyboard(stream: TextIO | None = None) -> Iterator[Wait]:
        """A function that waits for keys; no key ever comes where standard input is no terminal."""
        source = stream or sys.stdin
        yield _console_keys if source is not None and source.isatty() else _no_keys

    def _console_keys(seconds: float) -> str:
        end = time.monotonic() + seconds
        while not msvcrt.kbhit():
            if time.monotonic() >= end:
                return ""
            time.sleep(0.02)
        text = ""
        while msvcrt.kbhit():
            character = msvcrt.getwch()
            if character in "\x00\xe0":
                text += {"H": UP, "P": DOWN, "I": PAGE_UP, "Q": PAGE_DOWN}.get(msvcrt.getwch(), "")
            else:
                text += character
        return typed(text)

else:
    import select
    import termios
    import tty

    @contextmanager
    def keyboard(stream: TextIO | None = None) -> Iterator[Wait]:
        """A function that waits for keys; no key ever comes where standard input is no terminal."""
        source = stream or sys.stdin
        fd = _terminal(source)
        if fd is None:
            yield _no_keys
            return
        before = termios.tcgetattr(fd)
        try:
            tty.setcbreak(fd, termios.TCSANOW)
            # Ctrl-Z would stop the monitoring with the display, and leave the terminal as it is now.
            now = termios.tcgetattr(fd)
            now[6][termios.VSUSP] = b"\x00"
            termios.tcsetattr(fd, termios.TCSANOW, now)
            yield _Terminal(fd).wait
        finally:
            termios.tcsetattr(fd, termios.TCSANOW, before)

    def _terminal(source: TextIO | None) -> int | None:
        """The file descriptor to read keys from, None where there is no terminal or it is another job's."""
        try:
            if source is None or not source.isatty():
                return None
            fd = source.fileno()
            # a background job that touches the terminal's settings is stopped
            return fd if os.tcgetpgrp(fd) == os.getpgrp() else None
        except (OSError, ValueError):
            return None

    class _Terminal:
        def __init__(self, fd: int) -> None:
            self.fd = fd
            self.open = True

        def wait(self, seconds: float) -> str:
            if not self.open:
                return _no_keys(seconds)
            ready, _, _ = select.select([self.fd], [], [], max(seconds, 0.0))
            if not ready:
                return ""
            try:
                data = os.read(self.fd, 256)
            except OSError:  # the terminal has been closed
                data = b""
            self.open = bool(data)
            if data.endswith(b"\x1b") and select.select([self.fd], [], [], _REST_S)[0]:
                return typed(data.decode("utf-8", "replace") + os.read(self.fd, 256).decode("utf-8", "replace"))
            return typed(data.decode("utf-8", "replace"))
