"""Adds up the scores of all streams, minute by minute: in arrays with a row for each stream."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.events import State
from monitor.core.types import DoubleArray, IndexArray
from monitor.store.minute_row import MINUTE_S, STATES, MinuteRow
from monitor.store.score_sums import ERROR, SCORE, SHARE, ScoreSums, where_new

SILENCE_POWER = 1e-20  # of -200 dBFS
STEP_BACK_S = 5.0  # a larger step back in time is a change of the clock, or another recording
LONGEST_GAP_S = 3600.0  # a longer step forward is one of the clock, or the computer slept: nobody listened meanwhile
HEARD = STATES[:-1]  # the last one is "not_heard"
_COLUMNS = {State(name.replace("_", " ").upper()): column for column, name in enumerate(HEARD)}
# What is known of a minute so far.
_MINUTE = np.dtype(
    [
        ("total", np.float64, 3),  # of error, score and share of the limit, as in `ScoreSums`
        ("count", np.int64, 3),
        ("highest", np.float64, 3),
        ("power", np.float64),  # sum of the levels
        ("levels", np.int64),  # number of them
        ("seconds", np.float64, len(HEARD)),  # with scores, by state
        ("known", np.float64),  # seconds of this minute in which the stream was watched, with sound or without
    ]
)
_EMPTY = np.zeros(1, _MINUTE)
_EMPTY["highest"] = np.nan


class MinuteTally:
    """Makes the minute values of all streams, which are numbered from 0.

    Seconds of states are counted by windows, so they are right for replays of any speed. Seconds that have no scores
    between the first and the last known moment were not heard. A minute is written as soon as it is over. If the clock
    is set back, or another recording begins, a minute may be written in several parts, which are to be merged.

    Args:
        write: receives the minutes that are over, all that become so at the same time together.
    """

    def __init__(self, write: Callable[[Sequence[MinuteRow]], None]) -> None:
        self._write = write
        self._names: list[str] = []
        self._minute = np.zeros(0, _MINUTE)  # (streams,) the minute that is not over
        self._until = np.zeros(0)  # (streams,) Unix time up to which all is known; NaN: nothing is

    def begin(self, stream: int, name: str) -> None:
        """A stream begins; its number was not used before, or its earlier stream was flushed."""
        if stream == len(self._names):
            self._names.append(name)
        self._names[stream] = name
        if stream >= len(self._until):
            more = len(self._until) + 1  # twice as many, so that this happens seldom
            self._minute = np.concatenate([self._minute, np.repeat(_EMPTY, more)])
            self._until = np.concatenate([self._until, np.full(more, np.nan)])

    def scores(self, streams: IndexArray, states: Sequence[State], scores: ScoreSums) -> None:
        """Adds a block of scores of each of n different streams.

        Args:
            streams: (n,) their numbers.
            states: (n,) of the streams after these blocks.
            scores: of the blocks, in the same order.
        """
        begins = scores.first == 0
        self._restart(streams[begins], scores.begin[begins])
        self._reach(streams, scores.begin)
        starts = where_new(scores.block, scores.minute)
        sums, seconds = scores.sums.over(starts), np.add.reduceat(scores.seconds, starts)
        block, minute = scores.block[starts], scores.minute[starts]
        column = np.array([_COLUMNS.get(state, 0) for state in states])[block]
        number = np.arange(len(block)) - np.searchsorted(block, block)  # of each part in its block
        for turn in range(int(number.max()) + 1):  # nearly always one, because minutes are longer than blocks
            [at] = np.nonzero(number == turn)
            self._advance(streams[block[at]], minute[at] * float(MINUTE_S))
            late = at[minute[at] < self._present(streams[block[at]])]
            if len(late):  # the clock was set back a little, and this minute is written already
                parts = np.repeat(_EMPTY, len(late))
                for name in ("total", "count", "highest"):
                    parts[name] = getattr(sums, name)[:, late].T
                parts["seconds"][np.arange(len(late)), column[late]] = seconds[late]
                self._write_parts(streams[block[late]], minute[late], parts)
                at = np.setdiff1d(at, late)
            rows, kept = streams[block[at]], self._minute
            kept["total"][rows] += sums.total[:, at].T
            kept["count"][rows] += sums.count[:, at].T
            kept["highest"][rows] = np.fmax(kept["highest"][rows], sums.highest[:, at].T)
            kept["seconds"][rows, column[at]] += seconds[at]
        self._reach(streams, scores.end)

    def level(self, stream: int, dbfs: float) -> None:
        """Adds the present level of the sound of a stream."""
        if not math.isnan(self._until[stream]):
            self._minute["power"][stream] += 10 ** (dbfs / 10) if dbfs > -math.inf else 0.0
            self._minute["levels"][stream] += 1

    def not_heard_until(self, stream: int, time: float) -> None:
        """There is no sound of a stream at present; `time` is the Unix time."""
        self._reach(np.array([stream]), np.array([time]))

    def flush(self, streams: IndexArray) -> None:
        """Writes the minutes of streams (n,) that are not over."""
        known = streams[self._minute["known"][streams] > 0]
        self._write_parts(known, self._present(known), self._minute[known])
        self._minute[streams] = _EMPTY
        self._until[streams] = np.nan

    def _restart(self, streams: IndexArray, times: DoubleArray) -> None:
        if len(streams):
            self.flush(streams)
            self._until[streams] = times

    def _reach(self, streams: IndexArray, times: DoubleArray) -> None:
        """All is known up to Unix times (n,): what is not scored up to then was not heard."""
        step = times - self._until[streams]
        jumped = ~((step >= -STEP_BACK_S) & (step <= LONGEST_GAP_S))  # also if nothing is known so far
        self._restart(streams[jumped], times[jumped])
        self._advance(streams, times)

    def _advance(self, streams: IndexArray, times: NDArray[np.floating]) -> None:
        """Goes on to these times (n,), where they are not reached yet; writes minutes that are over."""
        while len(behind := np.flatnonzero(self._until[streams] < times)):
            streams, times = streams[behind], times[behind]
            minute = self._present(streams)
            over = (minute + 1) * float(MINUTE_S)
            until = np.minimum(times, over)
            self._minute["known"][streams] += until - self._until[streams]
            self._until[streams] = until
            ended = until == over
            self._write_parts(streams[ended], minute[ended], self._minute[streams[ended]])
            self._minute[streams[ended]] = _EMPTY

    def _present(self, streams: IndexArray) -> IndexArray:
        """The minutes (n,) of streams that are not over."""
        minute: IndexArray = (self._until[streams] // MINUTE_S).astype(np.int64)
        return minute

    def _write_parts(self, streams: IndexArray, minutes: IndexArray, parts: NDArray[np.void]) -> None:
        """Writes minutes, or parts of them: what is known of them is in `parts`, (n,) of _MINUTE."""
        if len(streams):
            names = [self._names[stream] for stream in streams.tolist()]
            self._write([_row(*one) for one in zip(names, minutes.tolist(), parts.tolist(), strict=True)])


def _row(stream: str, minute: int, part: tuple[Any, ...]) -> MinuteRow:
    total, count, highest, power, levels, by_state, known = part
    mean = np.divide(total, count, out=np.full(3, np.nan), where=count > 0).tolist()
    level = 10 * math.log10(max(power / levels, SILENCE_POWER)) if levels else math.nan
    seconds = {state: value for state, value in zip(HEARD, by_state.tolist(), strict=True) if value}
    heard = sum(seconds.values())
    seconds["not_heard"] = max(0.0, known - heard)
    # A source that runs faster than the clock, or a clock that is set back, brings more than a minute's sound.
    scale = min(1.0, MINUTE_S / max(heard, 1.0))
    return MinuteRow(
        stream, minute, mean[ERROR], float(highest[ERROR]), mean[SCORE], float(highest[SCORE]),
        mean[SHARE], float(highest[SHARE]), level, {state: scale * value for state, value in seconds.items()},
    )  # fmt: skip
