"""Adds up the scores of one stream, minute by minute."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.core.events import ScoreRows, State
from monitor.store.minute_row import MINUTE_S, STATES, MinuteRow
from monitor.store.running_values import RunningValues

ROUNDING_S = 1e-6  # of Unix times: so that it does not decide to which minute a window belongs
SILENCE_POWER = 1e-20  # of -200 dBFS
STEP_BACK_S = 5.0  # a larger step back in time is a change of the clock, or another recording
LONGEST_GAP_S = 3600.0  # a longer step forward is one of the clock, or the computer slept: nobody listened meanwhile
_NAMES = {State(name.replace("_", " ").upper()): name for name in STATES if name != "not_heard"}


class MinuteTally:
    """Makes the minute values of one stream.

    Seconds of states are counted by windows, so they are right for replays of any speed. Seconds that have no scores
    between the first and the last known moment were not heard. A minute is written as soon as it is over. If the clock
    is set back, or another recording begins, a minute may be written in several parts, which are to be merged.

    Args:
        stream: name of the stream.
        write: receives the minutes.
    """

    def __init__(self, stream: str, write: Callable[[MinuteRow], None]) -> None:
        self._stream, self._write = stream, write
        self._minutes: dict[int, _Minute] = {}  # those that are not written
        self._until = math.nan  # Unix time up to which all is known

    def scores(self, rows: ScoreRows) -> None:
        """Adds the scores of windows."""
        start, count = rows.wall_time, len(rows.score)
        if rows.first == 0:
            self._restart(start)
        self._reach(start)
        begin = 0
        while begin < count:
            minute = int((start + begin * rows.hop_s + ROUNDING_S) / MINUTE_S)
            end = min(count, max(begin + 1, math.ceil(((minute + 1) * MINUTE_S - start - ROUNDING_S) / rows.hop_s)))
            self._minute(minute).add(rows, slice(begin, end))
            begin = end
        self._reach(start + count * rows.hop_s)

    def level(self, dbfs: float) -> None:
        """Adds the present level of the sound."""
        if not math.isnan(self._until):
            one = self._minute(int(self._until // MINUTE_S))
            one.power += 10 ** (dbfs / 10) if dbfs > -math.inf else 0.0
            one.levels += 1

    def not_heard_until(self, time: float) -> None:
        """There is no sound at present; `time` is the Unix time."""
        self._reach(time)

    def flush(self) -> None:
        """Writes all minutes, also the one that is not over."""
        for minute in sorted(self._minutes):
            if self._minutes[minute].known:
                self._write(self._minutes[minute].row(self._stream, minute))
        self._minutes.clear()
        self._until = math.nan

    def _restart(self, time: float) -> None:
        self.flush()
        self._until = time

    def _reach(self, time: float) -> None:
        """All is known up to a Unix time: what is not scored up to then was not heard. Writes minutes that are over."""
        if not -STEP_BACK_S <= time - self._until <= LONGEST_GAP_S:  # also if nothing is known so far
            self._restart(time)
        while self._until < time:
            minute = int(self._until // MINUTE_S)
            end = min(time, (minute + 1) * MINUTE_S)
            self._minute(minute).known += end - self._until
            self._until = end
        present = int(self._until // MINUTE_S)
        for minute in sorted(minute for minute in self._minutes if minute < present):
            self._write(self._minutes.pop(minute).row(self._stream, minute))

    def _minute(self, minute: int) -> _Minute:
        return self._minutes.setdefault(minute, _Minute())


@dataclass(slots=True)
class _Minute:
    """What is known of a minute so far."""

    error: RunningValues = field(default_factory=RunningValues)
    score: RunningValues = field(default_factory=RunningValues)
    share: RunningValues = field(default_factory=RunningValues)
    power: float = 0.0
    levels: int = 0
    seconds: dict[str, float] = field(default_factory=dict)  # by state
    known: float = 0.0  # seconds of this minute in which the stream was watched, with sound or without

    def add(self, rows: ScoreRows, part: slice) -> None:
        self.error.add(RunningValues.of(rows.error[part]))
        self.score.add(RunningValues.of(rows.score[part]))
        self.share.add(RunningValues.of(rows.share[part]))
        state = _NAMES.get(rows.state, "listening")
        self.seconds[state] = self.seconds.get(state, 0.0) + (part.stop - part.start) * rows.hop_s

    def row(self, stream: str, minute: int) -> MinuteRow:
        level = 10 * math.log10(max(self.power / self.levels, SILENCE_POWER)) if self.levels else math.nan
        heard = sum(self.seconds.values())
        seconds = {**self.seconds, "not_heard": max(0.0, self.known - heard)}
        # A source that runs faster than the clock, or a clock that is set back, brings more than a minute's sound.
        scale = min(1.0, MINUTE_S / max(heard, 1.0))
        return MinuteRow(
            stream, minute, self.error.mean, self.error.highest, self.score.mean, self.score.highest,
            self.share.mean, self.share.highest, level, {state: scale * value for state, value in seconds.items()},
        )  # fmt: skip
