"""Analyses of events, each computed once however many people look at it, and kept while there is room."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from monitor.core.free_memory import return_free_memory
from monitor.core.thread_pool import single_threaded_blas
from monitor.web.event.event_analysis import Facts

KEPT = 12  # analyses on disk; that of half a minute takes about 3 MB, that of five minutes 30 MB
PREFIX, LOCK = "monitor-page-", "lock"


@dataclass(frozen=True, slots=True)
class Analysis:
    """What was computed of an event: facts, and files in a folder of its own."""

    facts: Facts
    folder: Path


class EventAnalyses:
    """Computes one analysis after the other on a thread of its own, so that other pages and the monitor go on.

    The files are in a folder that only this user can read, and that `close` removes; what a process that was killed has
    left behind is removed by the next one.

    Args:
        parent: folder for that folder; None: that of temporary files.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self.computed = 0  # how many there were
        _remove_left_behind(parent or Path(tempfile.gettempdir()))
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._lock = (self._folder / "new").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held as long as this process lives
        (self._folder / "new").rename(self._folder / LOCK)  # others only see it when it is held
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="analysis")
        self._found: OrderedDict[Hashable, Future[Analysis]] = OrderedDict()

    async def get(self, key: Hashable, compute: Callable[[Path], Facts]) -> Analysis:
        """An analysis; called on the event loop.

        Args:
            key: of what is computed; whoever asks for the same meanwhile or later gets the same.
            compute: called with a new folder, on the thread.

        Raises:
            MonitorError, OSError: as `compute`; then it is computed again when it is asked for again.
        """
        if key not in self._found:
            self._found[key] = self._thread.submit(self._compute, compute)
        self._found.move_to_end(key)
        self._forget_old()
        future = self._found[key]
        try:
            # Whoever leaves the page cancels only their own waiting.
            return await asyncio.shield(asyncio.wrap_future(future))
        except Exception:
            if future.done() and self._found.get(key) is future:
                del self._found[key]
            raise

    def close(self) -> None:
        """Ends the thread after its present work, and removes all files."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._lock.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _compute(self, compute: Callable[[Path], Facts]) -> Analysis:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            with single_threaded_blas():  # the monitor on this computer needs the other processors
                facts = compute(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            return_free_memory()  # hundreds of megabytes for a clip of minutes
        self.computed += 1
        return Analysis(facts, folder)

    def _forget_old(self) -> None:
        done = [key for key, future in self._found.items() if future.done()]
        for key in done[: max(0, len(self._found) - KEPT)]:
            future = self._found.pop(key)
            if not future.cancelled() and future.exception() is None:
                # What is being sent is open already. On the thread, because it waits for the disk.
                self._thread.submit(shutil.rmtree, future.result().folder, ignore_errors=True)


def _remove_left_behind(parent: Path) -> None:
    """Removes the folders of processes that do not live any more."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # it lives, or is being made
            continue
