"""Which microphone a sound server feeds us from: it may put another in its place, and the audio library says nothing.

Asked of PulseAudio (and PipeWire, which answers in its place) through `pactl`; without it, or without a sound server,
nothing can be put in a device's place unseen, and nothing is checked.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading

_ASK_S = 2.0  # a sound server that does not answer within this is stalled, which is noticed elsewhere


def feeding_source(pid: int | None = None) -> str:
    """The name of the server's source that feeds this process's newest recording stream; "" where unknown."""
    own = str(pid or os.getpid())
    index = ""
    for block in _ask("list", "source-outputs").split("Source Output #")[1:]:
        process = re.search(r'application\.process\.id = "(\d+)"', block)
        source = re.search(r"^\s*Source: (\d+)", block, re.MULTILINE)
        if process and source and process[1] == own:
            index = source[1]
    for row in _ask("list", "short", "sources").splitlines() if index else ():
        fields = row.split("\t")
        if len(fields) > 1 and fields[0] == index:
            return fields[1]
    return ""


def _ask(*words: str) -> str:
    try:
        answer = subprocess.run(
            ("pactl", *words), capture_output=True, text=True, timeout=_ASK_S, check=False, env=_environment()
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout if answer.returncode == 0 else ""


def _environment() -> dict[str, str]:
    return os.environ | {"LC_ALL": "C"}


class RoutingWatch:
    """Watches, from when a device is heard, that it stays the one; costs nothing while nothing changes."""

    def __init__(self) -> None:
        self.source = ""  # the one that has to feed us: the first that did
        self.switched = False
        self._server: subprocess.Popen[str] | None = None

    def accept(self) -> bool:
        """Whether the stream just opened comes from the right source; from here on it is watched.

        The first source is right by definition.
        """
        self.end()
        found = feeding_source()
        if self.source and found and found != self.source:
            return False
        if found:
            self.source = found
            # A device that names no source of its own then comes back from this one, or not at all.
            os.environ.setdefault("PULSE_SOURCE", found)
            self._begin()
        return True

    def end(self) -> None:
        """Watches no more."""
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
            for news in server.stdout:
                if "'change' on source-output" in news and server is self._server:
                    found = feeding_source()
                    if found and found != self.source and server is self._server:
                        self.switched = True
