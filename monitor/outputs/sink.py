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

from monitor.core.errors import MonitorError
from monitor.core.snapshot import Event, FloatArray, State


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
    stream: str = ""  # the name of the stream where there are several


class Sink(Protocol):
    """Takes mel frames, events and scores; never raises into the engine."""

    error: MonitorError | None  # what made it stop writing
    dropped: int  # items it had no room for

    def frames(self, first: int, power: FloatArray) -> None:
        """Power mel frames (t, n_mels) have come, the first of them number `first` of its recording.

        What they are judged to be comes after them.
        """

    def event(self, event: Event) -> None:
        """An event began, was told again, or ended."""

    def scores(self, rows: ScoreRows) -> None:
        """Windows have been scored."""

    def close(self) -> None:
        """Writes what is waiting, and ends."""


class BackgroundSink:
    """Does what there is to do, one after another, on a thread of its own.

    A full queue drops its oldest item and counts it, unless `wait` is set: then it makes the engine wait, as a
    replay should, which has all the time there is.
    """

    def __init__(self, name: str, *, wait: bool, size: int) -> None:
        self.error: MonitorError | None = None
        self.dropped = 0
        self._wait = wait
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(size)
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        self._thread.start()

    def frames(self, first: int, power: FloatArray) -> None:
        """Not for this sink."""

    def event(self, event: Event) -> None:
        """Not for this sink."""

    def scores(self, rows: ScoreRows) -> None:
        """Not for this sink."""

    def close(self) -> None:
        """Does what is waiting, and ends."""
        self._queue.put(None)
        self._thread.join()

    def _put(self, job: Callable[[], None]) -> None:
        if self._wait:
            self._queue.put(job)
            return
        while True:
            with contextlib.suppress(queue.Full):
                self._queue.put_nowait(job)
                return
            with contextlib.suppress(queue.Empty):
                self._queue.get_nowait()
                self.dropped += 1

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            if self.error is None:
                job()


class _FileSink(BackgroundSink):
    """Writes lines of text to a file."""

    def __init__(self, path: Path, *, wait: bool, append: bool, size: int = 256) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = path.open(
                "a" if append else "w", encoding="utf-8", errors="backslashreplace", newline=""
            )
        except OSError as error:
            raise MonitorError(f"{path}: cannot be written: {error.strerror}.") from None
        super().__init__(path.name, wait=wait, size=size)

    def _write(self, line: Callable[[], str]) -> None:
        """Writes, on the sink's thread, what `line` makes there."""
        self._put(lambda: self._write_now(line()))

    def _write_now(self, text: str) -> None:
        self._attempt(partial(self._file.write, text))
        if self._queue.empty():  # so that somebody who follows the file sees it, without a flush a line
            self._attempt(self._file.flush)

    def _run(self) -> None:
        super()._run()
        self._attempt(self._file.close)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            self.error = MonitorError(f"{self._path}: cannot be written any more: {reason}.")


class EventLog(_FileSink):
    """Events as JSON lines, appended: one when an event begins, one when it ends, and one for each reminder between.

    A line is an object with the fields of `monitor.core.snapshot.Event`, before them `time`, the start in ISO form (UTC),
    and behind them `duration_s`. `end_s` and `duration_s` are null while it lasts. `bands` is a list of objects,
    the largest share first: {"low_hz": 2100.0, "high_hz": 2800.0, "share": 0.62, "change": "new"}. `cause` and
    `model_id` are empty, and `bands` is, where the event is no anomaly.
    """

    def __init__(self, path: Path, *, wait: bool = False) -> None:
        super().__init__(path, wait=wait, append=True)

    def event(self, event: Event) -> None:
        """An event began, was told again, or ended."""
        self._write(lambda: json.dumps(_as_json(event)) + "\n")


class ScoreLog(_FileSink):
    """Scores as CSV, a line per hop: recording, seconds, reconstruction error, anomaly score, threshold.

    Of several streams (`named`) the stream's name is the first column.
    """

    def __init__(self, path: Path, *, wait: bool = True, named: bool = False) -> None:
        super().__init__(path, wait=wait, append=False)
        self._named = named
        self._write(lambda: f"{'stream,' if named else ''}source,time_s,error,score,threshold\n")

    def scores(self, rows: ScoreRows) -> None:
        """Windows have been scored."""
        self._write(lambda: _as_csv(rows, named=self._named))


def _as_json(event: Event) -> dict[str, object]:
    began = datetime.datetime.fromtimestamp(event.wall_time, datetime.UTC).isoformat(timespec="milliseconds")
    return {"time": began, **dataclasses.asdict(event), "duration_s": event.duration_s}


def _as_csv(rows: ScoreRows, *, named: bool) -> str:
    # The name is quoted as CSV wants it; the numbers need no quoting, and a row each is too many for the module.
    quoted = io.StringIO()
    csv.writer(quoted, lineterminator="\r\n").writerow([rows.stream, rows.source] if named else [rows.source])
    name, threshold = quoted.getvalue().removesuffix("\r\n"), f"{rows.threshold:.9g}"
    lines = [
        f"{name},{(rows.first + i) * rows.hop_s:.4f},{error:.9g},{_blank_if_nan(score)},{threshold}\n"
        for i, (error, score) in enumerate(zip(rows.error.tolist(), rows.score.tolist(), strict=True))
    ]
    return "".join(lines)


def _blank_if_nan(score: float) -> str:
    return "" if math.isnan(score) else f"{score:.9g}"
