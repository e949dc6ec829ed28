"""Commands of this program as processes of their own with low priority, beside the monitoring.

None of them outlives the monitoring: `monitor.cli.beside` ends a command whose parent has ended, however that came.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.core.errors import MonitorError
from monitor.core.text import duration_text, printable, shortened

MONITOR = (sys.executable, "-m", "monitor.cli.beside")
PARENT = "MONITOR_PARENT"  # variable with the number of the process that a command belongs to
NICENESS = 15  # of 19: whatever else wants a processor goes first
POLL_S = 0.2
TERM_S = 5.0  # time between asking a process to end, and ending it
LONGEST_TEXT = 300  # characters of a message that are passed on


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    code: int
    output: str
    errors: str

    @property
    def last_object(self) -> Mapping[str, Any]:
        """The last line of its output that is a JSON object; empty if there is none."""
        for line in reversed(self.output.splitlines()):
            with contextlib.suppress(ValueError, RecursionError):
                found = json.loads(line)
                if isinstance(found, dict):
                    return found
        return {}

    @property
    def failure(self) -> str:
        """Why it failed, in a sentence: the last line that it wrote to standard error, or that it was killed."""
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        if self.code == -signal.SIGKILL:
            text = "it was killed, perhaps because the computer has too little memory"
        else:
            text = lines[-1].removeprefix("monitor: ") if lines else f"it ended with exit code {self.code}"
        return f"{shortened(printable(text), LONGEST_TEXT).removesuffix('.')}."


def run_command(
    arguments: Sequence[str], ending: threading.Event, *, longest_s: float, program: Sequence[str] = MONITOR
) -> Finished | None:
    """Runs a command of this program, in a process group of its own, on one processor.

    It stays in this program's session: a new one would be given as much of the processors as this one, whatever its
    priority (autogroups of Linux).

    Args:
        arguments: of its command line.
        ending: set when this program is to end: the command is ended then.
        longest_s: seconds after which the command is ended.
        program: the words before the arguments.

    Returns:
        None if it was ended because this program is to end.

    Raises:
        MonitorError: if it cannot be started, or takes too long.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NO_COLOR": "1"}
    environment[PARENT] = str(os.getpid())
    environment.pop("NOTIFY_SOCKET", None)  # systemd is told by the monitoring alone
    try:
        process = subprocess.Popen(
            (*program, *arguments),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True,
            errors="replace", process_group=0,
        )  # fmt: skip
    except OSError as error:
        raise MonitorError(f"monitor {arguments[0]} cannot be started: {error.strerror}.") from None
    with contextlib.suppress(OSError):  # it may have ended already
        os.setpriority(os.PRIO_PGRP, process.pid, NICENESS)
    until = time.monotonic() + longest_s
    while True:
        try:
            output, errors = process.communicate(timeout=POLL_S)
            return Finished(process.returncode, output, errors)
        except subprocess.TimeoutExpired:
            if ending.is_set():
                _end(process)
                return None
            if time.monotonic() > until:
                _end(process)
                raise MonitorError(f"monitor {arguments[0]} was ended after {duration_text(longest_s)}.") from None


def _end(process: subprocess.Popen[str]) -> None:
    """Ends a process and those that it has started."""
    for number, wait_s in ((signal.SIGTERM, TERM_S), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=wait_s)
            return
