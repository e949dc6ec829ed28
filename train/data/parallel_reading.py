"""Applies a function to many files, in several processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from monitor.core.errors import MonitorError

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error that the function raised in a worker process; the main process raises it again."""

    error: Exception


@dataclass(frozen=True, slots=True)
class _Files(Dataset["_Result | _Failure"], Generic[_Result]):
    """A map-style data set: item i is the function's result for file i."""

    function: Callable[[Path], _Result]
    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> _Result | _Failure:
        try:
            return self.function(self.paths[number])
        except Exception as error:  # noqa: BLE001 - the main process raises it
            return _Failure(error)


def results_of(function: Callable[[Path], _Result], paths: Sequence[Path]) -> Generator[_Result]:
    """Applies a function to each file, in several processes if there are enough files.

    Processes are used, not threads, because the steps of reading, resampling and transforming are too short for
    threads to alternate on Python's global lock. The caller must close the generator if it does not take all results:
    closing ends the processes.

    Args:
        function: is called with each path; has to be picklable.
        paths: the files.

    Yields:
        the results in the order of `paths`.

    Raises:
        MonitorError: if a worker process is killed.
    """
    # torchrun gives each of its processes a share of the threads, and all of them except one wait for this function.
    allowed = torch.get_num_threads() * int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    workers = min(allowed, os.cpu_count() or 1, len(paths) // 2)
    if workers < 2:
        yield from map(function, paths)
        return
    loader = DataLoader(
        _Files(function, paths),
        batch_size=None,
        num_workers=workers,
        worker_init_fn=_ignore_signals,
        multiprocessing_context="fork" if sys.platform == "linux" else None,  # fork starts fastest
        generator=torch.Generator(),  # the loader draws a seed, which must not change torch's default generator
    )
    results = iter(loader)
    try:
        for _ in paths:
            ended = ""
            try:
                result = next(results)
            except RuntimeError as error:  # a worker has died: errors of the function arrive as `_Failure`
                ended = str(error).splitlines()[0].rstrip(". ")
            if ended:
                raise MonitorError(
                    "A process that read recordings has been ended, perhaps for lack of memory; begin again: frames "
                    f"that were made are kept ({ended})."
                )
            if isinstance(result, _Failure):
                raise result.error
            yield result
    finally:
        # Ends the processes now. If the garbage collector did it later, the loader's queues could be closed already,
        # and the processes would wait forever.
        del results


def _ignore_signals(_worker: int) -> None:
    """Ignores signals in a worker process, because the main process handles them and ends the workers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
