"""`monitor live` as a process of its own, and `monitor reload` for it."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.cli.main import run
from support.virtual_microphone import VirtualMicrophone

WAIT_S = 120.0
Line = dict[str, Any]


@dataclass(frozen=True)
class Reloaded:
    """How `monitor reload` ended, and what it said."""

    code: int
    lines: list[str]
    errors: str


def reload(folder: Path) -> Reloaded:
    """Runs `monitor reload` for the monitor of a state folder."""
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()) as errors:
        code = run(["reload", "--state", str(folder)])
    return Reloaded(code, said.getvalue().splitlines(), errors.getvalue())


class Live:
    """`monitor live --config hall.yaml` in a folder."""

    def __init__(self, microphone: VirtualMicrophone | None, folder: Path, *arguments: object) -> None:
        self.folder, self.state = folder, folder / "state"
        self._output = folder / "output.txt"
        options = ("--headless", "--log-json", "--set", "dashboard.log_every_s=0.1", "--events", "events.jsonl")
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "monitor", "live", *map(str, arguments), *options),
                cwd=folder, env=microphone and microphone.environment, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def lines(self) -> list[Line]:
        """All lines so far."""
        text = self._output.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    @property
    def text(self) -> str:
        """All messages so far."""
        return "\n".join(line["message"] for line in self.lines)

    def wait_for(self, what: str, true: Callable[[Line], bool], since: int = 0) -> None:
        """Until one of the lines behind the first `since` is true."""
        deadline = time.monotonic() + WAIT_S
        while not any(map(true, self.lines[since:])):
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, f"no {what} in:\n{self.text}"
            time.sleep(0.02)

    def wait_for_state(self, state: str, stream: str | None, since: int = 0) -> None:
        """Until a stream is in a state."""
        self.wait_for(state, lambda line: line.get("state") == state and line.get("stream") == stream, since)

    def wait_for_message(self, text: str, since: int = 0) -> None:
        """Until a line says so."""
        self.wait_for(text, lambda line: text in line["message"], since)

    def end(self) -> int:
        """Ends it; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)
