"""Sinks with a thread of their own, so that a slow disk does not delay the engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from monitor.core.appended_file import AppendedFile
from monitor.core.background_worker import CLOSE_S, BackgroundWorker
from monitor.core.errors import MonitorError
from monitor.core.text import counted
from monitor.outputs.sink import Sink


class BackgroundSink(Sink):
    """Base class of sinks that run jobs from a queue, one after another, on a thread of their own.

    A job that raises an OSError or a MonitorError is tried again until it succeeds. Meanwhile the queue keeps the
    newest jobs; `dropped` counts those that were lost, and `trouble` says what is wrong.

    Args:
        name: name of the output in messages.
        wait: what to do if the queue is full. True: the engine waits, which is right for a replay. False: the oldest
            job is dropped and counted in `dropped`.
        size: number of jobs that the queue can hold.
        amount: the text for messages of what was dropped: `3 lines`.
        close_s: the longest time for which closing waits for a job.
    """

    def __init__(
        self,
        name: str,
        *,
        wait: bool,
        size: int,
        amount: Callable[[int], str] = lambda count: counted(count, "item"),
        close_s: float = CLOSE_S,
    ) -> None:
        self._failure: MonitorError | None = None  # of the sink's own code
        self._worker = BackgroundWorker(name, size=size, wait=wait, amount=amount, close_s=close_s)

    @property
    def error(self) -> MonitorError | None:
        """What is wrong: the output fails at present, or a part of it is missing."""
        return self._failure or self._worker.error

    @error.setter
    def error(self, error: MonitorError | None) -> None:
        self._failure = error

    @property
    def dropped(self) -> int:
        """The number of jobs that were lost."""
        return self._worker.lost

    @property
    def trouble(self) -> str:
        """Why the output fails at present; empty if it does not."""
        return str(self.error) if self._failure or self._worker.failure else ""

    def stop_waiting(self) -> None:
        """Makes remaining jobs end within a few seconds, because the monitoring is stopped."""
        self._worker.stop_waiting()

    def close(self) -> None:
        """Runs the remaining jobs, and ends the thread. Jobs that take too long are abandoned."""
        self._worker.close()

    def _put(self, job: Callable[[], None], weight: int = 1) -> None:
        """Adds a job to the queue; `weight` is what it counts if it is lost."""
        self._worker.put(job, weight)


class LineSink(BackgroundSink):
    """Base class of sinks that append lines of text to a file.

    Args:
        path: of the file; its folder must exist.
        wait, size: as in `BackgroundSink`.
        header: line that a new file begins with.

    Raises:
        MonitorError: if the file cannot be opened for writing.
    """

    def __init__(self, path: Path, *, wait: bool, size: int = 256, header: str = "") -> None:
        self._file = AppendedFile(path, header)
        super().__init__(str(path), wait=wait, size=size, amount=lambda count: counted(count, "line"))
        self._file.given_up = lambda: self._worker.abandoned

    def close(self) -> None:
        """Writes the remaining lines, and closes the file. Lines that take too long are abandoned."""
        self._worker.close(last=self._file.close)

    def _write(self, text: Callable[[], str], lines: int = 1) -> None:
        """Writes the lines that `text` returns; it is called on the sink's thread."""
        self._put(lambda: self._file.write(text()), lines)
