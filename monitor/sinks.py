"""Where events and scores go: a bounded queue and a thread each, so that a slow disk never delays the computing."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import datetime
import io
import json
import math
import queue
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from monitor.errors import MonitorError
from monitor.snapshot import Event, State


@dataclasses.dataclass(frozen=True, slots=True)
class ScoreRows:
    """Scores of consecutive windows of one recording."""

    source: str
    first: int  # window number of the first row in its recording
    hop_s: float
    error: NDArray[np.float64]  # (k,) reconstruction error of each window
    score: NDArray[np.float64]  # (k,) anomaly score, NaN before the first
    threshold: float
    state: State  # after the last of them


class Sink(Protocol):
    """Takes events and scores; never raises into the engine."""

    error: MonitorError | None  # what made it stop writing
    dropped: int  # items it had no room for

    def event(self, event: Event) -> None:
        """An event began or ended."""

    def scores(self, rows: ScoreRows) -> None:
        """Windows have been scored."""

    def close(self) -> None:
        """Writes what is waiting, and ends."""


class _FileSink:
    """Writes lines of text to a file on a thread of its own.

    A full queue drops its oldest item and counts it, unless `wait` is set: then it makes the engine wait, as a
    replay should, which has all the time there is.
    """

    def __init__(self, path: Path, *, wait: bool, append: bool, size: int = 256) -> None:
        self.error: MonitorError | None = None
        self.dropped = 0
        self._path, self._wait = path, wait
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = path.open(
                "a" if append else "w", encoding="utf-8", errors="backslashreplace", newline=""
            )
        except OSError as error:
            raise MonitorError(f"{path}: cannot be written: {error.strerror}.") from None
        self._queue: queue.Queue[Callable[[], str] | None] = queue.Queue(size)
        self._thread = threading.Thread(target=self._run, name=f"sink {path.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Writes what is waiting, and ends."""
        self._queue.put(None)
        self._thread.join()

    def _put(self, line: Callable[[], str]) -> None:
        if self._wait:
            self._queue.put(line)
            return
        while True:
            with contextlib.suppress(queue.Full):
                self._queue.put_nowait(line)
                return
            with contextlib.suppress(queue.Empty):
                self._queue.get_nowait()
                self.dropped += 1

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            if self.error is None:
                text = line()
                self._attempt(partial(self._file.write, text))
                if self._queue.empty():  # so that somebody who follows the file sees it, without a flush a line
                    self._attempt(self._file.flush)
        self._attempt(self._file.close)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            self.error = MonitorError(f"{self._path}: cannot be written any more: {reason}.")


class EventLog(_FileSink):
    """Events as JSON lines, appended: one when an event begins, one when it ends."""

    def __init__(self, path: Path, *, wait: bool = False) -> None:
        super().__init__(path, wait=wait, append=True)

    def event(self, event: Event) -> None:
        """An event began or ended."""
        self._put(lambda: json.dumps(_as_json(event)) + "\n")

    def scores(self, rows: ScoreRows) -> None:
        """Not for this sink."""


class ScoreLog(_FileSink):
    """Scores as CSV, a line per hop: recording, seconds, reconstruction error, anomaly score, threshold."""

    def __init__(self, path: Path, *, wait: bool = True) -> None:
        super().__init__(path, wait=wait, append=False)
        self._put(lambda: "source,time_s,error,score,threshold\n")

    def event(self, event: Event) -> None:
        """Not for this sink."""

    def scores(self, rows: ScoreRows) -> None:
        """Windows have been scored."""
        self._put(lambda: _as_csv(rows))


def _as_json(event: Event) -> dict[str, object]:
    began = datetime.datetime.fromtimestamp(event.wall_time, datetime.UTC).isoformat(timespec="milliseconds")
    return {"time": began, **dataclasses.asdict(event), "duration_s": event.duration_s}


def _as_csv(rows: ScoreRows) -> str:
    # The name is quoted as CSV wants it; the numbers need no quoting, and a row each is too many for the module.
    quoted = io.StringIO()
    csv.writer(quoted, lineterminator="\r\n").writerow([rows.source])
    name, threshold = quoted.getvalue().removesuffix("\r\n"), f"{rows.threshold:.9g}"
    lines = [
        f"{name},{(rows.first + i) * rows.hop_s:.4f},{error:.9g},{_blank_if_nan(score)},{threshold}\n"
        for i, (error, score) in enumerate(zip(rows.error.tolist(), rows.score.tolist(), strict=True))
    ]
    return "".join(lines)


def _blank_if_nan(score: float) -> str:
    return "" if math.isnan(score) else f"{score:.9g}"
