"""`python -m monitor.cli.beside …`: a command of this program that runs beside the monitoring, and ends with it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

from monitor.service.low_priority import PARENT, TERM_S

WATCH_S = 1.0  # time between two looks whether the monitoring still runs
OOM_SCORE = "500"  # of 1000: if memory runs out, Linux ends this command, and not the monitoring


def main() -> None:
    """Runs the command of the command line. It is ended if the process that it belongs to ends, even if killed."""
    parent = int(os.environ.pop(PARENT))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with contextlib.suppress(OSError):  # elsewhere than on Linux
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    from monitor.cli import main as command_line

    command_line.main()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(0, number)  # a group of its own: this process, and those that it has started
        time.sleep(TERM_S)


if __name__ == "__main__":
    main()
