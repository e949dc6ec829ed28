"""Jobs for worker processes: they have to be importable there."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from monitor.core.errors import DataError
from monitor.core.parallel_jobs import open_workers


def square(number: int) -> int:
    """The square of a number; 3 cannot be squared, 5 has a bug, and 7 ends its process."""
    if number == 3:
        raise DataError("3: cannot be squared.")
    if number == 5:
        raise ZeroDivisionError("five")
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def process_id(_number: int) -> int:
    """The id of the process that does the job."""
    return os.getpid()


def endless(mark: str) -> None:
    """Writes its process id into a file, and does not end."""
    Path(mark).write_text(str(os.getpid()))
    signal.pause()


def killed_main(folder: str) -> None:
    """Has two endless jobs done until it is killed."""
    with open_workers(2) as workers:
        list(workers.outcomes(endless, [f"{folder}/{name}" for name in "ab"]))


def slow(marks: str) -> str:
    """Ends when a second job has begun, so at the same time as another one."""
    folder, own = Path(marks).parent, Path(marks)
    own.touch()
    from support.listening import wait_until

    wait_until(lambda: len(list(folder.iterdir())) > 1)
    return os.environ["OMP_NUM_THREADS"]
