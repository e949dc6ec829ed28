"""The score log as Parquet: scores with their times, states and shares of the limit, in a new file each day."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from monitor.core.atomic_io import remove_leftovers
from monitor.core.errors import MonitorError
from monitor.core.events import ScoreRows
from monitor.core.text import counted, printable
from monitor.outputs.background import BackgroundSink
from monitor.outputs.parquet_day import DAY_S, ParquetDay

PART_S = 600.0  # rows are written after so many seconds
PART_ROWS = 200_000  # or when there are so many, which take about 15 MB of memory
ROUNDING = 1e-6  # of positions and times in seconds
IDLE_S = 3600.0  # the file of a day is completed when for so long no row of that day has come
OPEN_DAYS = 20  # that are not completed at most: recordings of many days are replayed in minutes


class ParquetLog(BackgroundSink):
    """Writes scores as Parquet into a folder: scores-2026-01-31.parquet for each day (UTC) of the scores.

    Columns: time (time stamp, UTC), stream, source, time_s (position in the recording), error (reconstruction error),
    score, threshold, share (how near the alarm is; 1 is the alarm), state. Missing values are null. In a row for a
    second, error, score and share are the highest of that second.

    Rows are written every ten minutes, into parts that can be read at once (scores-2026-01-31.part-0001.parquet …).
    When a day or the monitoring is over, they are replaced by the file of the day. kill -9 loses the rows of the last
    ten minutes; the parts written before stay. No file is overwritten: if a name is taken, a number is added to it.

    Args:
        folder: is created if it is missing.
        each: whether there is a row for each hop, or for each second.
        wait: as in `monitor.outputs.background.BackgroundSink`.

    Raises:
        MonitorError: if pyarrow is not installed, or the folder cannot be written.
    """

    def __init__(self, folder: Path, *, each: Literal["hop", "second"] = "second", wait: bool = True) -> None:
        try:
            import pyarrow.parquet  # noqa: F401 - it takes a while, and there is time now
        except ImportError:
            raise MonitorError(f"{folder}: Parquet needs pyarrow: pip install 'acoustic-monitor[parquet]'.") from None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MonitorError(f"{folder}: cannot be a folder for scores: {error.strerror}.") from None
        remove_leftovers(folder)
        self._folder, self._seconds = folder, Seconds() if each == "second" else None
        self._days: dict[int, _Day] = {}  # by days since 1970
        self._rows = 0  # that are in memory
        self._due = math.inf  # on the monotonic clock: when the rows in memory are to be written
        super().__init__(str(folder), wait=wait, size=256, amount=lambda count: counted(count, "score"))

    def scores(self, rows: ScoreRows) -> None:
        """Writes the scores of windows."""
        self._put(lambda: self._add(rows), len(rows.score))

    def close(self) -> None:
        """Writes the remaining rows, and completes the files."""
        self._worker.close(last=self._finish)
        self._worker.lost += self._rows  # those that could not be written
        self._rows = 0

    def _add(self, rows: ScoreRows) -> None:
        now = time.monotonic()
        # It may fail, and this job is run again then; what follows cannot.
        if self._rows >= PART_ROWS or now >= self._due:
            self._write()
            by_age = sorted(self._days, key=lambda number: self._days[number].added)
            for number in by_age:
                if now - self._days[number].added > IDLE_S or len(self._days) > OPEN_DAYS:
                    self._days.pop(number).file.finish()
        self._keep([rows] if self._seconds is None else self._seconds.push(rows))

    def _keep(self, blocks: Sequence[ScoreRows]) -> None:
        for block in blocks:
            for number, part in _by_day(block):
                if number not in self._days:
                    self._days[number] = _Day(ParquetDay(self._folder, number), [])
                self._days[number].blocks.append(part)
                self._days[number].added = time.monotonic()
                self._rows += len(part.score)
        if self._rows and self._due == math.inf:
            self._due = time.monotonic() + PART_S

    def _write(self) -> None:
        for day in self._days.values():
            if day.blocks:
                day.file.write(_table(day.blocks))
                self._rows -= sum(len(block.score) for block in day.blocks)
                day.blocks = []
        self._due = math.inf

    def _finish(self) -> None:
        if self._seconds is not None:
            self._keep(self._seconds.flush())
        self._write()
        for day in self._days.values():
            day.file.finish()
        self._days.clear()


@dataclass
class _Day:
    """The file of a day, and rows that are not in it yet."""

    file: ParquetDay
    blocks: list[ScoreRows]
    added: float = 0.0  # on the monotonic clock: when the last row came


class Seconds:
    """Makes a row for each second from the rows of all hops: the highest error, score and share of the second."""

    def __init__(self) -> None:
        self._begun: dict[str, list[ScoreRows]] = defaultdict(list)  # rows of the second that is not over, by stream

    def push(self, rows: ScoreRows) -> list[ScoreRows]:
        """Adds rows, and returns those of the seconds that are over."""
        seconds = ((rows.first + np.arange(len(rows.score))) * rows.hop_s + ROUNDING).astype(np.int64)
        done: list[ScoreRows] = []
        for part in _cut(rows, (np.flatnonzero(np.diff(seconds)) + 1).tolist()):
            begun = self._begun[rows.stream]
            if begun and not _same_second(begun[-1], part):
                done.append(_highest(begun))
                begun.clear()
            begun.append(part)
        return done

    def flush(self) -> list[ScoreRows]:
        """Returns the rows of the seconds that are not over."""
        done = [_highest(begun) for begun in self._begun.values() if begun]
        self._begun.clear()
        return done


def _same_second(before: ScoreRows, rows: ScoreRows) -> bool:
    """Whether rows continue those before, in the same second."""
    follows = rows.source == before.source and rows.first == before.first + len(before.score)
    return follows and math.floor(rows.first * rows.hop_s + ROUNDING) == math.floor(
        before.first * before.hop_s + ROUNDING
    )


def _highest(parts: Sequence[ScoreRows]) -> ScoreRows:
    """One row with the highest values of several rows, which begins as the first one does."""

    def highest(name: str) -> Any:
        return np.fmax.reduce(np.concatenate([getattr(part, name) for part in parts]), keepdims=True)

    return replace(
        parts[0], error=highest("error"), score=highest("score"), share=highest("share"), state=parts[-1].state,
        threshold=parts[-1].threshold,
    )  # fmt: skip


def _by_day(rows: ScoreRows) -> list[tuple[int, ScoreRows]]:
    """Rows by their days since 1970 (UTC)."""
    midnight = (rows.wall_time // DAY_S + 1) * DAY_S
    first = math.ceil((midnight - rows.wall_time - ROUNDING) / rows.hop_s)
    return [(int((part.wall_time + ROUNDING) // DAY_S), part) for part in _cut(rows, [first])]


def _cut(rows: ScoreRows, at: Sequence[int]) -> list[ScoreRows]:
    """Rows in pieces, which begin at these windows; numbers outside the rows do not matter."""
    count = len(rows.score)
    bounds = [0, *(i for i in at if 0 < i < count), count]
    return [
        replace(
            rows, first=rows.first + i, error=rows.error[i:j], score=rows.score[i:j], share=rows.share[i:j],
            wall_time=rows.wall_time + i * rows.hop_s,
        )
        for i, j in pairwise(bounds)
        if j > i
    ]  # fmt: skip


def _table(blocks: Sequence[ScoreRows]) -> Any:
    """The pyarrow table of rows."""
    import pyarrow as pa

    counts = [len(block.score) for block in blocks]

    def names(name: str) -> Any:
        values = [printable(getattr(block, name)) for block in blocks]
        number = {value: i for i, value in enumerate(dict.fromkeys(values))}
        codes = np.repeat(np.array([number[value] for value in values], np.int32), counts)
        return pa.DictionaryArray.from_arrays(codes, pa.array(list(number), pa.string()))

    def numbers(arrays: list[Any], kind: Any) -> Any:
        return pa.array(np.concatenate(arrays), kind, from_pandas=True)  # NaN is null

    position = [(block.first + np.arange(count)) * block.hop_s for block, count in zip(blocks, counts, strict=True)]
    begun = [block.wall_time - block.first * block.hop_s for block in blocks]
    times = [np.round((one + since) * 1e6).astype(np.int64) for one, since in zip(position, begun, strict=True)]
    return pa.table(
        {
            "time": pa.array(np.concatenate(times), pa.timestamp("us", tz="UTC")),
            "stream": names("stream"),
            "source": names("source"),
            "time_s": numbers(position, pa.float64()),
            "error": numbers([block.error for block in blocks], pa.float32()),
            "score": numbers([block.score for block in blocks], pa.float64()),
            "threshold": numbers(
                [np.full(count, block.threshold) for block, count in zip(blocks, counts, strict=True)], pa.float64()
            ),
            "share": numbers([block.share for block in blocks], pa.float32()),
            "state": names("state"),
        }
    )
