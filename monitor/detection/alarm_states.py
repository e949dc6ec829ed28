"""The states of the alarms of many streams, in arrays with a row for each stream."""

from __future__ import annotations

import math
from collections import deque
from operator import attrgetter
from typing import Any

import numpy as np

from monitor.config import schema
from monitor.core.types import IndexArray
from monitor.detection.alarm_machine import AlarmMachine, AlarmRecord, Rise
from monitor.detection.alarm_rules import Rules
from monitor.detection.anomaly import Anomaly
from monitor.detection.cusum import Limits
from monitor.detection.records import numbered, records
from monitor.detection.spans import RowTotals, Spans

_FIELDS = attrgetter(*AlarmRecord.__dataclass_fields__)


class AlarmStates:
    """The states, settings and limits of the alarms of `count` streams.

    The state of one stream can be taken out of the arrays (`machine`), and put back (`put`).

    Args:
        count: number of streams; `begin` gives each its settings.
        hop_s: seconds from one score to the next.
        window_rows: number of windows that a score averages over.
    """

    def __init__(self, count: int, hop_s: float, window_rows: int) -> None:
        self.record = records(AlarmRecord, count)
        self._hop_s, self._window_rows = hop_s, window_rows
        self._recent = np.full((count, 1), -np.inf)  # scores of the last n decisions, newest last; -inf: not yet
        self._totals = RowTotals(count)
        self._step, self._lasting = Spans(count, self._totals), Spans(count, self._totals)
        self._rises: dict[int, Rise] = {}  # of the streams in which something is unusual
        self._rising = np.zeros(count, bool)  # which these are
        self._rules = [Rules.of(schema.Alarm(), hop_s, window_rows)] * count
        self._normal_scores = [np.zeros(0)] * count
        # Of each stream: numbers of its rules and of its normal scores, equal for equal ones, and its scores for each
        # decision; None: not up to date.
        self._shared: tuple[IndexArray, IndexArray, IndexArray] | None = None
        self._newest: tuple[int, AlarmMachine] | None = None  # what was put last, while it is what the arrays say

    def machine(self, stream: int) -> AlarmMachine:
        """The state of one stream. What is changed in it counts when it is put back."""
        newest, self._newest = self._newest, None
        if newest is not None and newest[0] == stream:
            return newest[1]
        recent, step = self._recent[stream].tolist(), self._step.get(stream)
        arguments: tuple[Any, ...] = (
            *self.record[stream].item(), self._rules[stream], self._normal_scores[stream],
            deque([score for score in recent if score > -math.inf], self._rules[stream].n),
            step or Anomaly(0, "lasting"), self._lasting.get(stream), self._rises.get(stream) or Rise(),
        )  # fmt: skip
        return AlarmMachine(*arguments)

    def put(self, stream: int, machine: AlarmMachine) -> None:
        """Sets the state of one stream."""
        self._newest = stream, machine
        self.record[stream] = _FIELDS(machine)
        recent = self._recent[stream]
        recent[:] = -np.inf
        if machine.recent:
            recent[-len(machine.recent) :] = machine.recent
        self._step.put(stream, machine.step)
        self._lasting.put(stream, machine.lasting)
        self._rising[stream] = not machine.rise.over
        if machine.rise.over:
            self._rises.pop(stream, None)
        else:
            self._rises[stream] = machine.rise

    def take_over(self, stream: int, other: AlarmStates, other_stream: int) -> None:
        """Gives a stream the state, settings and limits of a stream of other alarms, which may not be used any more.

        Sums of mean rows are forgotten, because these may be others here.
        """
        self._rules[stream] = other._rules[other_stream]
        self._normal_scores[stream] = other._normal_scores[other_stream]
        self._shared = None
        self._widen(self._rules[stream].n)
        machine = other.machine(other_stream)
        for candidate in (machine.step, machine.lasting):
            if candidate is not None:
                candidate.rescale(1.0)
        self.put(stream, machine)

    def ongoing(self, stream: int) -> Anomaly | None:
        """The ongoing anomaly of a stream."""
        rise = self._rises.get(stream)
        return None if rise is None else rise.anomaly

    def limits(self, stream: int) -> Limits:
        """The limits of a stream that are in force."""
        record = self.record[stream]
        return Limits(float(record["threshold"]), float(record["limit"]), self._normal_scores[stream])

    def rules(self, stream: int) -> Rules:
        """The settings of a stream that are in force."""
        return self._rules[stream]

    def until_decision(self, stream: int) -> int:
        """The number of scores of a stream up to and including the next decision; before any, those per decision."""
        record, per_decision = self.record, self._rules[stream].per_decision
        row, origin = int(record["row"][stream]), int(record["origin"][stream])
        return -(row - origin) % per_decision + 1 if origin >= 0 else per_decision

    def begin(self, stream: int, settings: schema.Alarm, limits: Limits) -> None:
        """Gives a stream settings and limits, and restarts it."""
        self._use(stream, settings, limits)
        self.reset(stream)

    def reset(self, stream: int) -> None:
        """Restarts a stream: the next score is row 0 of another recording."""
        machine = self.machine(stream)
        machine.row = machine.began = 0
        machine.interrupted = False
        machine.restart(machine.rules.warm_up)
        self.put(stream, machine)

    def change(self, stream: int, settings: schema.Alarm, limits: Limits) -> None:
        """Goes on with other settings and limits, as `monitor.detection.alarm.Alarm.change`."""
        before = self.machine(stream)
        self._use(stream, settings, limits)
        machine = self.machine(stream)
        machine.cap_sum()
        if before.limit == math.inf > machine.limit:  # there were no steps before
            machine.step = Anomaly(machine.row, "lasting")
        self.put(stream, machine)

    def change_model(self, stream: int, settings: schema.Alarm, limits: Limits) -> None:
        """Goes on with the scores of another model, as `monitor.detection.alarm.Alarm.change_model`."""
        machine = self.machine(stream)
        machine.rescale(limits)
        self.put(stream, machine)
        self.change(stream, settings, limits)

    def scale(self, stream: int, factor: float) -> None:
        """Multiplies the threshold and the limit of the cumulative sum by a factor."""
        machine = self.machine(stream)
        machine.threshold, machine.limit = factor * machine.threshold, factor * machine.limit
        machine.cap_sum()
        self.put(stream, machine)

    def finish(self, stream: int) -> Anomaly | None:
        """Ends the ongoing anomaly of a stream, and returns it. The state does not change until `reset`."""
        machine = self.machine(stream)
        ended = machine.finish()
        if ended is not None:
            self.put(stream, machine)
        return ended

    def _use(self, stream: int, settings: schema.Alarm, limits: Limits) -> None:
        rules = Rules.of(settings, self._hop_s, self._window_rows)
        self._rules[stream], self._normal_scores[stream] = rules, limits.normal_scores
        self.record["threshold"][stream], self.record["limit"][stream] = limits.threshold, limits.cusum
        self._shared = self._newest = None
        self._widen(rules.n)
        self._recent[stream, : self._recent.shape[1] - rules.n] = -np.inf

    def _widen(self, n: int) -> None:
        """Makes room for the scores of n decisions."""
        if n > self._recent.shape[1]:
            more = np.full((len(self._recent), n - self._recent.shape[1]), -np.inf)
            self._recent = np.concatenate((more, self._recent), axis=1)

    def _find_shared(self) -> tuple[IndexArray, IndexArray, IndexArray]:
        """Finds out which streams have the same rules and normal scores, so that they are processed together."""
        if self._shared is None:
            of_scores = numbered([id(one) for one in self._normal_scores])
            per_decision = np.array([rules.per_decision for rules in self._rules])
            self._shared = numbered(self._rules), of_scores, per_decision
        return self._shared
