"""Detects when the sound server replaces the recorded microphone by another one.

The audio library does not report this. PulseAudio is queried through `pactl`, which works with PipeWire too. Without
`pactl` or a sound server nothing is checked; without a server no device is replaced.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

_pinned: list[str] = []  # the source that this process has pinned
_QUERY_S = 2.0  # a sound server that does not answer within this time is stalled, which is detected elsewhere


def recorded_source(pid: int | None = None) -> str:
    """Returns the name of the server's source that this process's newest recording stream reads; "" if unknown."""
    own = str(pid or os.getpid())
    index = ""
    for block in _query("list", "source-outputs").split("Source Output #")[1:]:
        process = re.search(r'application\.process\.id = "(\d+)"', block)
        source = re.search(r"^\s*Source: (\d+)", block, re.MULTILINE)
        if process and source and process[1] == own:
            index = source[1]
    for row in _query("list", "short", "sources").splitlines() if index else ():
        fields = row.split("\t")
        if len(fields) > 1 and fields[0] == index:
            return fields[1]
    return ""


def _query(*words: str) -> str:
    try:
        answer = subprocess.run(
            ("pactl", *words), capture_output=True, text=True, timeout=_QUERY_S, check=False, env=_environment()
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout if answer.returncode == 0 else ""


def _environment() -> dict[str, str]:
    return os.environ | {"LC_ALL": "C"}


def pin_pulse_source(name: str) -> None:
    """Makes this process record from this source only, through PULSE_SOURCE, for devices that name no source.

    This setting applies to the whole process, so it suits only a program that records from one device.
    """
    if "PULSE_SOURCE" not in os.environ:
        _pinned.append(name)
        os.environ["PULSE_SOURCE"] = name
        log.info(
            "recording only from %s (PULSE_SOURCE), so that the sound server cannot replace it by another microphone",
            name,
        )


def unpin_pulse_source() -> None:
    """Undoes `pin_pulse_source`, because this process begins to record from a second device."""
    if _pinned and os.environ.get("PULSE_SOURCE") == _pinned[-1]:
        del os.environ["PULSE_SOURCE"]
    _pinned.clear()


class PulseRouting:
    """Watches whether the sound server keeps recording from the same source.

    It acts only on notifications of the server, so it costs nothing while nothing changes.

    Args:
        pin: called with the name of the recorded source as soon as it is known.
    """

    def __init__(self, pin: Callable[[str], None] = lambda _: None) -> None:
        self._pin = pin
        self.source = ""  # name of the first recorded source, the only one that is accepted
        self.switched = False
        self._server: subprocess.Popen[str] | None = None

    def accept(self) -> bool:
        """Returns whether the stream that was just opened reads the accepted source, and if so, watches it.

        The source of the first stream becomes the accepted one.
        """
        self.end()
        found = recorded_source()
        if self.source and found and found != self.source:
            return False
        if found:
            self.source = found
            self._pin(found)
            self._begin()
        return True

    def end(self) -> None:
        """Stops watching."""
        server, self._server = self._server, None
        self.switched = False
        if server is not None:
            server.kill()
            server.wait()

    def _begin(self) -> None:
        try:
            self._server = subprocess.Popen(
                ("pactl", "subscribe"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                text=True, env=_environment(),
            )  # fmt: skip
        except OSError:
            return
        threading.Thread(target=self._listen, args=(self._server,), name="routing", daemon=True).start()

    def _listen(self, server: subprocess.Popen[str]) -> None:
        assert server.stdout is not None
        with server.stdout:
            for line in server.stdout:
                if "'change' on source-output" in line and server is self._server:
                    found = recorded_source()
                    if found and found != self.source and server is self._server:
                        self.switched = True
