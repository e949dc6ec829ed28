"""The score history: the score of each decision of the alarm, kept for some weeks in small files."""

from __future__ import annotations

import calendar
import contextlib
import datetime
import errno
import math
import os
import re
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.errors import MonitorError
from monitor.core.events import Decisions, ScoreRows
from monitor.core.text import counted, stream_folder
from monitor.core.types import BoolArray, DoubleArray
from monitor.outputs.collecting import CollectingSink
from monitor.outputs.score_blocks import LARGEST, Block, as_bytes, blocks_in

BLOCK_S = 60.0  # sound in a block: as much is lost by kill -9
IDLE_S = 60.0  # a block is written at the latest when no decision has followed for so long
DAY_S = 86_400.0
FILE = re.compile(r"\d{8}\.scores")  # a day (UTC): 20261127.scores


class ScoreHistory(CollectingSink[ScoreRows]):
    """Keeps the score of each decision of the alarm, of all streams: in FOLDER/STREAM/20261127.scores for each day.

    With the scores stand what is needed to decide again with other settings: when, how many windows apart, the model,
    its limits, and which scores were held back. A pause (machine off, unknown mode, interruption) is where decisions
    are missing. Files are only appended to, a block for each minute of sound.

    Args:
        folder: with a folder for each stream; it is created.
        keep_days: files that were last written before so many days are deleted.
        wait: as in `monitor.outputs.background.BackgroundSink`.
        now: returns the Unix time, for the age of files.
    """

    def __init__(
        self, folder: Path, *, keep_days: float, wait: bool = False, now: Callable[[], float] = time.time
    ) -> None:
        self._folder, self._keep_days, self._now = folder, keep_days, now
        self._open: dict[str, _OpenBlock] = {}  # by stream; only the worker's thread uses it, as the next two
        self._paths: dict[str, Path] = {}  # the file that was written last
        self._runs: deque[_Run] = deque()  # of the oldest item, those that are not added
        super().__init__(str(folder), wait=wait, amount=lambda count: counted(count, "score"))

    def scores(self, rows: ScoreRows) -> None:
        """Keeps the decisions among these scores."""
        if rows.decisions is not None and len(rows.decisions.index):
            self._collect(rows)

    def close(self) -> None:
        """Writes the decisions that are still in memory."""
        super().close()
        self._worker.lost += sum(one.count for one in self._open.values())
        self._open.clear()

    def _process(self, items: deque[ScoreRows]) -> None:
        now = time.monotonic()
        for stream, one in list(self._open.items()):
            if now - one.touched > IDLE_S:
                self._write(stream)
        while items:
            if not self._runs:
                self._runs.extend(_runs_of(items[0]))
            while self._runs:
                self._add(self._runs[0])
                self._runs.popleft()
            items.popleft()

    def _weight(self, item: ScoreRows) -> int:
        return 0 if item.decisions is None else len(item.decisions.index)

    def _add(self, run: _Run) -> None:
        """Adds decisions to the block of their stream. It may fail before anything is added, and is then repeated."""
        known = self._open.get(run.stream)
        if known is not None and not known.takes(run):
            self._write(run.stream)
        if known is None or not known.parts:
            continues = known is not None and known.is_followed_by(run)
            known = self._open[run.stream] = _OpenBlock(replace(run.block, continues=continues))
        known.add(run)

    def _last(self) -> None:
        for stream in list(self._open):
            self._write(stream)

    def _write(self, stream: str) -> None:
        """Appends the block of a stream to its file, if there is anything in it."""
        one = self._open[stream]
        if not one.parts:
            return
        block = one.block()
        day = datetime.datetime.fromtimestamp(block.time, datetime.UTC)
        path = self._folder / stream_folder(stream) / f"{day:%Y%m%d}.scores"
        new = path != self._paths.get(stream)
        if new:
            path.parent.mkdir(parents=True, exist_ok=True)
        _append(path, as_bytes(block))
        one.parts.clear()
        one.count = 0
        if new:
            self._paths[stream] = path
            delete_old(path.parent, before=self._now() - self._keep_days * DAY_S)


@dataclass(frozen=True, slots=True)
class _Run:
    """Successive decisions, none of which is missing."""

    stream: str
    row: int  # number of the first one's score in its recording
    block: Block


def _runs_of(rows: ScoreRows) -> Iterator[_Run]:
    """The decisions among these scores: divided where one is missing, and into as many as a block can hold."""
    made = rows.decisions
    assert made is not None
    gaps = np.flatnonzero((np.diff(made.index) != made.per_decision) | (np.diff(made.number) != 1)) + 1
    for part in np.split(np.arange(len(made.index)), gaps):
        for start in range(0, len(part), LARGEST):
            yield _run_of(rows, made, part[start : start + LARGEST])


def _run_of(rows: ScoreRows, made: Decisions, part: NDArray[Any]) -> _Run:
    first = int(made.index[part[0]])
    return _Run(
        rows.stream,
        rows.first + first,
        Block(
            rows.wall_time + first * rows.hop_s, int(made.number[part[0]]), False, made.per_decision, rows.hop_s,
            rows.threshold, made.limit, made.model_id, rows.score[made.index[part]], made.held_back[part],
        ),
    )  # fmt: skip


class _OpenBlock:
    """A block that grows, until it is written; it then knows what would follow it."""

    def __init__(self, first: Block) -> None:
        self.parts: list[Block] = []
        self.count = 0  # decisions in `parts`
        self.touched = time.monotonic()
        self._first = first
        self._next_row, self._next_number = 0, 0

    def is_followed_by(self, run: _Run) -> bool:
        """Whether decisions are the very next ones, whatever made them."""
        step = self._first.per_decision == run.block.per_decision and self._first.hop_s == run.block.hop_s
        return step and (run.row, run.block.number) == (self._next_row, self._next_number)

    def takes(self, run: _Run) -> bool:
        """Whether decisions belong into this block."""
        first, other = self._first, run.block
        same = (first.threshold, first.limit, first.model_id) == (other.threshold, other.limit, other.model_id)
        room = self.count + len(other.score) <= LARGEST and self.count * first.step_s < BLOCK_S
        return same and room and self.is_followed_by(run)

    def add(self, run: _Run) -> None:
        """Adds decisions."""
        self.parts.append(run.block)
        self.count += len(run.block.score)
        self.touched = time.monotonic()
        self._next_row = run.row + len(run.block.score) * run.block.per_decision
        self._next_number = run.block.number + len(run.block.score)

    def block(self) -> Block:
        """All decisions in one block."""
        score, held_back = (
            np.concatenate([getattr(one, name) for one in self.parts]) for name in ("score", "held_back")
        )
        return replace(self._first, score=score, held_back=held_back)


def _append(path: Path, content: bytes) -> None:
    """Appends to a file; what a full disk cuts off is removed again.

    Raises:
        OSError: if it could not be written as a whole.
    """
    with path.open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            written = file.write(content)
            if written != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(size)
            raise


def delete_old(folder: Path, *, before: float) -> None:
    """Deletes the files in the folder of a stream that were last written before a Unix time.

    Raises:
        MonitorError: if the folder cannot be read.
    """
    for path in _files(folder):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < before:
                path.unlink()


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Scores of successive decisions without a break, made with one model; the limits may have changed in it."""

    time: DoubleArray  # (n,) Unix time of each decision
    score: DoubleArray  # (n,)
    held_back: BoolArray  # (n,) whether the score counted as the threshold at most
    threshold: DoubleArray  # (n,) in force
    limit: DoubleArray  # (n,) of the cumulative sum; infinity if lasting anomalies were not detected
    number: int  # of the first decision, since the stream began or went on
    per_decision: int
    hop_s: float
    model_id: str

    @property
    def end(self) -> int:
        """The number of the decision that would be next."""
        return self.number + len(self.score)

    @property
    def seconds(self) -> float:
        """The length of the sound."""
        return len(self.score) * self.per_decision * self.hop_s


def read_scores(folder: Path, *, since: float = -math.inf, until: float = math.inf) -> list[Segment]:
    """The stored scores of a stream.

    Args:
        folder: of the stream.
        since, until: Unix times; blocks that have a part between them are taken whole.

    Returns:
        segments in the order in which they were written. Blocks that are torn or damaged are left out, and end a
        segment. Of a recording that was replayed several times with one model, each part is there once.

    Raises:
        MonitorError: if the folder or a file cannot be read.
    """
    joined: list[list[Block]] = []
    for path, day in _files(folder).items():
        if day >= until or day + 2 * DAY_S < since:
            continue
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # it has just become too old
        except OSError as error:
            raise MonitorError(f"{path}: cannot be read: {error.strerror}.") from None
        for block in blocks_in(data):
            if block.end <= since or block.time >= until:
                continue
            if joined and _continues(joined[-1][-1], block):
                joined[-1].append(block)
            else:
                joined.append([block])
    return _without_repeats([_segment(blocks) for blocks in joined])


def _files(folder: Path) -> dict[Path, float]:
    """The files of a stream with the Unix times at which their days began, in this order.

    Raises:
        MonitorError: if the folder cannot be read.
    """
    found: dict[Path, float] = {}
    try:
        paths = sorted(folder.iterdir())
    except FileNotFoundError:
        return found
    except OSError as error:
        raise MonitorError(f"{folder}: cannot be read: {error.strerror}.") from None
    for path in paths:
        with contextlib.suppress(ValueError):  # a file of somebody else: there is no such day
            if FILE.fullmatch(path.name):
                found[path] = calendar.timegm(time.strptime(path.stem, "%Y%m%d"))
    return found


def _continues(before: Block, block: Block) -> bool:
    one, other = ((each.per_decision, each.hop_s, each.model_id) for each in (before, block))
    return one == other and block.continues and block.number == before.number + len(before.score)


def _without_repeats(segments: list[Segment]) -> list[Segment]:
    """Leaves out what is there twice; of segments that overlap, the longest stays.

    Decision number 0 has the same time in each replay of a recording. In live sound it never has: a clock that is set
    back moves it, too.
    """
    kept: defaultdict[tuple[object, ...], list[Segment]] = defaultdict(list)
    for one in sorted(segments, key=lambda segment: -len(segment.score)):
        step_s = one.per_decision * one.hop_s
        same = kept[one.model_id, step_s, round(float(one.time[0]) - one.number * step_s, 2)]
        if not any(one.number < other.end and other.number < one.end for other in same):
            same.append(one)
    chosen = {id(one) for ones in kept.values() for one in ones}
    return [one for one in segments if id(one) in chosen]


def _segment(blocks: list[Block]) -> Segment:
    first = blocks[0]
    lengths = [len(one.score) for one in blocks]
    return Segment(
        time=np.concatenate([one.time + one.step_s * np.arange(len(one.score)) for one in blocks]),
        score=np.concatenate([one.score for one in blocks]),
        held_back=np.concatenate([one.held_back for one in blocks]),
        threshold=np.repeat([one.threshold for one in blocks], lengths),
        limit=np.repeat([one.limit for one in blocks], lengths),
        number=first.number,
        per_decision=first.per_decision,
        hop_s=first.hop_s,
        model_id=first.model_id,
    )
