"""`monitor live` and other commands as processes of their own, and `monitor reload` for a running one."""

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
from support.listening import DEADLINE_S
from support.virtual_microphone import VirtualMicrophone

Line = dict[str, Any]

# What upkeep starts has the priority of everything else: on a busy machine, with a low one, it would never be finished.
_MAIN = """
from monitor.cli.main import main
from monitor.service import low_priority
low_priority.NICENESS = 0
main()
"""


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


def ran(microphone: VirtualMicrophone, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command that has ended."""
    return subprocess.run(
        _monitor(*arguments),
        env=microphone.environment, check=False, capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip


class Live:
    """`monitor live` with these arguments, in a folder, and the JSON lines that it has written."""

    def __init__(self, microphone: VirtualMicrophone | None, folder: Path, *arguments: object) -> None:
        self.folder, self.state = folder, folder / "state"
        self.events_file, self._output = folder / "events.jsonl", folder / "output.txt"
        options = ("--headless", "--log-json", "--set", "dashboard.log_every_s=0.1", "--events", self.events_file)
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                _monitor("live", *arguments, *options),
                cwd=folder, env=microphone and microphone.environment, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def lines(self) -> list[Line]:
        """All lines so far."""
        return json_lines(self._output)

    @property
    def text(self) -> str:
        """All messages so far."""
        return "\n".join(line["message"] for line in self.lines)

    def events(self, kind: str) -> list[Line]:
        """The events of a kind that have ended."""
        return [event for event in json_lines(self.events_file) if event["kind"] == kind and event["end_s"] is not None]

    @property
    def accounts(self) -> list[Line]:
        """What became of the sound of each stream, when it has ended."""
        return [line for line in self.lines if line.get("kind") == "account"]

    def mark(self) -> int:
        """How many lines there are."""
        return len(self.lines)

    def wait_for(self, what: str, true: Callable[[Line], bool], since: int = 0, count: int = 1) -> None:
        """Until so many lines behind the first `since` are true."""
        deadline = time.monotonic() + DEADLINE_S
        while len([line for line in self.lines[since:] if true(line)]) < count:
            ended = self.process.poll() is not None
            assert not ended or len([line for line in self.lines[since:] if true(line)]) >= count, self.text
            assert time.monotonic() < deadline, f"no {what} in:\n{self.text}"
            time.sleep(0.02)

    def wait_for_state(self, state: str, stream: str | None = None, since: int = 0, count: int = 1) -> None:
        """Until a stream has been in a state, for so many lines."""
        self.wait_for(
            state, lambda line: line.get("state") == state and line.get("stream") == stream, since=since, count=count
        )

    def wait_for_message(self, text: str, since: int = 0) -> None:
        """Until a line says so."""
        self.wait_for(text, lambda line: text in line["message"], since)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ends it; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(DEADLINE_S)

    def kill(self) -> None:
        """Leaves nothing behind, whatever has happened."""
        self.process.kill()
        self.process.wait()


class Command:
    """A command in a process of its own, that listens to a microphone of its own."""

    def __init__(self, microphone: VirtualMicrophone, *arguments: object) -> None:
        self._process = subprocess.Popen(
            _monitor(*arguments),
            env=microphone.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def ended(self) -> tuple[int, str]:
        """Its exit code, and what it has said."""
        said, _ = self._process.communicate(timeout=DEADLINE_S)
        return self._process.returncode, said

    def kill(self) -> None:
        """Leaves nothing behind, whatever has happened."""
        self._process.kill()
        self._process.communicate()


def json_lines(file: Path) -> list[Line]:
    """The lines of a file that have been written to their end."""
    text = file.read_text() if file.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _monitor(*arguments: object) -> tuple[str, ...]:
    """A command line."""
    return (sys.executable, "-c", _MAIN, *map(str, arguments))
