"""Applies a function to many files, in several processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from monitor.core.errors import MonitorError
from monitor.core.free_memory import keep_freed_memory
from monitor.core.thread_pool import available_processors, limit_torch_to_one_thread, single_threaded_blas

_Result = TypeVar("_Result")


def results_of(function: Callable[[Path], _Result], paths: Sequence[Path]) -> Generator[_Result]:
    """Applies a function to each file, in several processes if there are enough files.

    Processes are used, not threads, because the steps of reading, resampling and transforming are too short for
    threads to alternate on Python's global lock. The caller must close the generator if it does not take all results:
    closing ends the processes.

    Args:
        function: is called with each path; has to be picklable, as its results.
        paths: the files.

    Yields:
        the results in the order of `paths`.

    Raises:
        MonitorError: if a process is killed.
        Exception: what the function raises.
    """
    # torchrun gives each of its processes a share of the processors, and all except one wait for this function.
    allowed = available_processors() * int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    count = min(allowed, os.cpu_count() or 1, len(paths) // 2)
    if count < 2:
        yield from map(function, paths)
        return
    with contextlib.ExitStack() as open_processes:
        # Process i of n computes the results i, i + n, i + 2n … and sends them through a pipe of its own.
        pipes = [open_processes.enter_context(_reading(function, paths[first::count])) for first in range(count)]
        for number in range(len(paths)):
            yield _received(pipes[number % count])


@contextlib.contextmanager
def _reading(function: Callable[[Path], Any], paths: Sequence[Path]) -> Generator[Connection]:
    """A process that applies the function to files while the block lasts; yields the pipe that the results come from.

    The process is killed at the end of the block: it may be in the middle of a long recording.
    """
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)  # fork starts fastest
    results, sender = context.Pipe(duplex=False)
    arguments = (function, paths, results, sender, os.getpid())
    process = context.Process(target=_send_results, args=arguments, daemon=True)
    process.start()
    sender.close()  # here, and before the next process inherits it: if this process dies, the pipe has ended
    try:
        yield results
    finally:
        process.kill()
        process.join()
        results.close()


def _send_results(
    function: Callable[[Path], Any], paths: Sequence[Path], results: Connection, sender: Connection, parent: int
) -> None:
    """Sends (result, None), or (None, error), for each file. Runs in another process.

    It ends soon after the main process if that is killed.

    Args:
        function: is called with each path.
        paths: the files.
        results: the main process's end of the pipe.
        sender: this process's end of it.
        parent: id of the main process.
    """
    results.close()  # while it is open here, sending would wait for a main process that has been killed
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the main process handles them, and ends this one
    limit_torch_to_one_thread()
    keep_freed_memory()  # every recording needs what the one before has freed
    with single_threaded_blas():
        for path in paths:
            if os.getppid() != parent:
                return  # nobody takes the results
            outcome: tuple[Any, Exception | None]
            try:
                outcome = function(path), None
            except Exception as error:  # noqa: BLE001 - the main process raises it
                outcome = None, error
            try:
                sender.send(outcome)
            except BrokenPipeError:
                return


def _received(results: Connection) -> Any:
    """The next result of a process; raises the function's error."""
    try:
        result, error = results.recv()
    except (EOFError, ConnectionError):
        raise MonitorError(
            "A process that read recordings has been ended, perhaps for lack of memory; begin again: frames that were "
            "made are kept."
        ) from None
    if error is not None:
        raise error
    return result
