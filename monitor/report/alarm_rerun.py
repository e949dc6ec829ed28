"""Stored scores decided on again, by the alarm itself: which anomalies there would have been with given settings.

Weeks have millions of decisions, nearly all of which change nothing. The alarm itself is run only where a score is
above the threshold, or the cumulative sum above its limit, and from a moment before at which it cannot have remembered
anything: no score above the threshold, and a sum of 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from monitor.config import schema
from monitor.core.events import State
from monitor.core.types import DoubleArray
from monitor.detection.alarm import Alarm
from monitor.detection.alarm_rules import decisions_per_window
from monitor.detection.anomaly import Anomaly
from monitor.detection.cusum import CUSUM_CAP, CUSUM_SLACK, Limits, surprise
from monitor.outputs.score_history import Segment

PORTION = 4096  # decisions that are looked through at once


@dataclass(frozen=True, slots=True)
class Rules:
    """What an alarm decides by."""

    settings: schema.Alarm
    limits: Limits


@dataclass(frozen=True, slots=True)
class Found:
    """An anomaly in stored scores; Unix times."""

    onset: float  # when the scores began to rise, to a decision
    reported: float
    ended: float
    cause: str  # "sudden" or "lasting"
    peak: float  # highest score


def anomalies_in(segments: Iterable[Segment], rules: Rules, window_rows: int) -> list[Found]:
    """The anomalies that an alarm reports in stored scores.

    Args:
        segments: all of one model.
        rules: settings and limits of the alarm. Decisions are made where they were made, whatever `block_s`,
            `warm_up_s` and `run_up_s` are.
        window_rows: number of windows that a score averages over.
    """
    found: list[Found] = []
    for segment in segments:
        found += _SegmentRun(segment, rules, window_rows).anomalies()
    return found


class _SegmentRun:
    """The alarm on one segment. Decision `i` of the segment is row `_row(i)` of the alarm that is running."""

    def __init__(self, segment: Segment, rules: Rules, window_rows: int) -> None:
        self._segment, self._window_rows, self._limits = segment, window_rows, rules.limits
        per_decision = segment.per_decision
        self._settings = rules.settings.model_copy(update={"block_s": per_decision * segment.hop_s})
        self._per_window = decisions_per_window(window_rows, per_decision)
        threshold = rules.limits.threshold
        held_back = segment.held_back & (segment.score > threshold)
        self._score: DoubleArray = np.where(held_back, threshold, segment.score)
        self._lasting = rules.limits.cusum < math.inf
        cool_down = round(self._settings.cool_down_s / segment.hop_s)
        self._cool_down = -(-cool_down // per_decision)  # decisions
        self._found: list[Found] = []
        self._ended = -math.inf  # the decision that ended the last anomaly

    def anomalies(self) -> list[Found]:
        """All anomalies of the segment; one that lasts at its end ends there."""
        count = len(self._score)
        # The first decision may be any one of those from one step of the sum to the next.
        offset = self._segment.number % self._per_window
        self._begin(0, offset)
        phase = -offset  # a decision at which a step was added to the sum
        i, last_sum, until = 0, 0.0, -1
        while i < count:
            adds = self._lasting and (i - phase) % self._per_window == 0
            if self._push(i):  # an anomaly has ended, from which the steps are counted now
                phase, last_sum, adds = i, 0.0, False
            total = self._alarm.lasting_sum
            settled = total == 0.0 == last_sum and (adds or not self._lasting)
            last_sum = total if adds else last_sum
            if settled and i > until and self._alarm.state is State.NORMAL and i - self._ended > self._cool_down:
                start, until = self._quiet_until(i)
                if start > i:
                    self._begin(start, 0)
                    i, phase, last_sum = start, start, 0.0
                    if until >= count:  # nothing happens any more
                        return self._found
                    continue
            i += 1
        if ongoing := self._alarm.finish():
            self._note(ongoing)
        return self._found

    def _begin(self, i: int, offset: int) -> None:
        """Makes an alarm whose decision number `offset` is decision `i`; it decides on nothing before that one."""
        hop_s, per_decision = self._segment.hop_s, self._segment.per_decision
        self._base, self._offset = i, offset
        settings = self._settings.model_copy(update={"warm_up_s": offset * per_decision * hop_s})
        self._alarm = Alarm(settings, self._limits, hop_s, self._window_rows)
        if offset:
            self._alarm.push(np.zeros((offset - 1) * per_decision + 1))

    def _row(self, i: int) -> int:
        return (i - self._base + self._offset) * self._segment.per_decision

    def _push(self, i: int) -> bool:
        """Lets the alarm decide on a score; returns whether that ended an anomaly."""
        rows = 1 if self._row(i) == 0 else self._segment.per_decision
        ended = [one for one in self._alarm.push(np.full(rows, self._score[i])) if one.end is not None]
        for one in ended:
            self._note(one)
            self._ended = i
        return bool(ended)

    def _note(self, anomaly: Anomaly) -> None:
        onset, reported, ended = (self._time(row) for row in (anomaly.start, anomaly.reported, anomaly.end or 0))
        self._found.append(Found(onset, reported, ended, anomaly.cause, anomaly.peak))

    def _time(self, row: int) -> float:
        """The Unix time of a row of the alarm that is running."""
        per_decision = self._segment.per_decision
        i = min(max(self._base - self._offset - (-row // per_decision), 0), len(self._score) - 1)
        return float(self._segment.time[i]) - (self._row(i) - row) * self._segment.hop_s

    def _quiet_until(self, i: int) -> tuple[int, int]:
        """Looks for what happens next after decision `i`, at which the sum is 0 and a step was added to it.

        Returns:
            the last decision before it at which that is so again; and the decision at which it happens, or the number
            of decisions if nothing does.
        """
        settled, total, count = i, 0.0, len(self._score)
        limit, per_window = self._limits.cusum, self._per_window if self._lasting else 1
        for start in range(i, count, PORTION * per_window):
            stop = min(start + PORTION * per_window, count)
            above = np.flatnonzero(self._score[start:stop] > self._limits.threshold)
            end = start + int(above[0]) if len(above) else stop
            if not self._lasting:
                settled = end - 1 if end > start else settled
            else:
                steps = surprise(self._score[start:end:per_window], self._limits.normal_scores) - CUSUM_SLACK
                for number, step in enumerate(steps.tolist()):
                    before, total = total, min(max(total + step, 0.0), CUSUM_CAP * limit)
                    if total > limit:
                        return settled, start + number * per_window
                    if before == total == 0.0:
                        settled = start + number * per_window
            if len(above):
                return settled, end
        return settled, count
