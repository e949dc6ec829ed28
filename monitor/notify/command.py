"""Channels that are programs of their own: a command of the settings, and apprise, which knows many services."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO

from monitor.core.text import printable, shortened
from monitor.notify.channel import NotSent
from monitor.notify.message import Message

LOADING_S = 20.0  # time for the start of a process and for loading apprise, which takes seconds on a busy computer
SHOWN = 200  # characters of what a program says


class Command:
    """Runs a program for each message, which receives the JSON object on standard input.

    The program is run without a shell. When the time limit is over, it is ended together with all that it has started.
    Exit code 0 means that the message is delivered.

    Args:
        arguments: the program and its arguments.
        timeout_s: the time limit in seconds.
    """

    def __init__(self, arguments: Sequence[str], timeout_s: float) -> None:
        self._arguments, self._timeout_s = list(arguments), timeout_s

    def send(self, message: Message) -> None:
        """Delivers a message; see `monitor.notify.channel.Channel`."""
        name = printable(os.path.basename(self._arguments[0]))  # noqa: PTH119 - the name as it is written
        try:
            code, said = run(self._arguments, message.body, self._timeout_s)
        except OSError as error:
            raise NotSent(f"{name} cannot be started: {error.strerror or error}", refused=True) from None
        if code is None:
            raise NotSent(f"{name} has not ended within {self._timeout_s:g} s, and was ended{_said(said)}")
        if code:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise NotSent(f"{name} {how}{_said(said)}")


class AppriseService:
    """Sends messages to a service by the apprise library, in a process of its own (`monitor.notify.apprise_process`).

    So the library can neither slow nor end the monitoring, its logs, which may contain addresses with passwords, go
    nowhere, and the time limit holds. The address is not on the command line, which all users of a computer can see.

    Args:
        address: of the service.
        timeout_s: the time limit in seconds, to which the time for loading the library is added.
    """

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address, self._timeout_s = address, timeout_s

    def send(self, message: Message) -> None:
        """Delivers a message; see `monitor.notify.channel.Channel`."""
        task = {"address": self._address, "title": message.title, "text": message.text,
                "files": [str(path) for path in message.files]}  # fmt: skip
        arguments = [sys.executable, "-m", "monitor.notify.apprise_process"]
        code, said = run(arguments, json.dumps(task).encode(), self._timeout_s + LOADING_S)
        if code is None:
            raise NotSent(f"the service has not answered within {self._timeout_s + LOADING_S:g} s")
        if code:
            raise NotSent(said or "apprise failed", refused=code == 2)


def run(arguments: Sequence[str], given: bytes, timeout_s: float) -> tuple[int | None, str]:
    """Runs a program, and ends it with all that it has started if it takes too long.

    Args:
        arguments: the program and its arguments; it is run without a shell.
        given: its standard input.
        timeout_s: the longest time in seconds.

    Returns:
        its exit code, None if it took too long; and the first line of its standard error.

    Raises:
        OSError: if it cannot be started.
    """
    # Files, not pipes: nobody has to read or write while the program runs, and what it leaves behind delays nobody.
    with _scratch() as standard_input, _scratch() as standard_error:
        standard_input.write(given)
        standard_input.seek(0)
        process = subprocess.Popen(
            list(arguments), stdin=standard_input, stdout=subprocess.DEVNULL, stderr=standard_error,
            start_new_session=True,
        )  # fmt: skip
        try:
            code: int | None = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        standard_error.seek(0)
        lines = standard_error.read(10_000).decode(errors="replace").split("\n")
        return code, shortened(printable(next((line.strip() for line in lines if line.strip()), "")), SHOWN)


def _scratch() -> IO[bytes]:
    """A temporary file, in memory where the system can do that: a message also gets out when the disk is full."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("message"), "w+b")
    return tempfile.TemporaryFile()


def _said(text: str) -> str:
    return f": {text}" if text else ""
