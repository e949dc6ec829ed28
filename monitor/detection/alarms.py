"""The alarms of many streams in arrays: one update for all streams in which nothing happens."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from monitor.config import schema
from monitor.core.types import BoolArray, DoubleArray, IndexArray
from monitor.detection.alarm_machine import (
    ANOMALY,
    NORMAL,
    WARNING,
    AlarmMachine,
    AlarmRecord,
    MeanRowAt,
    Pushed,
    Rise,
    first_true,
)
from monitor.detection.alarm_rules import Rules
from monitor.detection.anomaly import Anomaly
from monitor.detection.calm_scores import CalmScores, MeanRowsAt
from monitor.detection.cusum import CUSUM_RELEASE, Limits, surprise
from monitor.detection.records import numbered, records
from monitor.detection.spans import RowTotals, Spans

LONG = 8  # decisions without a score above the threshold from which on arrays are faster for a single stream, too
_FIELDS = attrgetter(*AlarmRecord.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Calm:
    """What alarms made of k scores of each of n streams, where these began and ended nothing."""

    done: BoolArray  # (n,) for which streams this holds; nothing has changed for the others
    trace: DoubleArray  # (n, k, 2) as in `Pushed`; any values where it is not done
    first: IndexArray  # (n,) index of the first decision
    number: IndexArray  # (n,) number of that decision since the scores began
    per_decision: IndexArray  # (n,) scores from one decision to the next

    def decided(self, i: int, offset: int = 0) -> list[tuple[int, int]]:
        """The decisions on the scores of a stream, as in `Pushed`.

        Args:
            i: index of the stream in the push.
            offset: is added to the indices of the scores.
        """
        first, number = int(self.first[i]), int(self.number[i])
        indices = range(offset + first, offset + self.trace.shape[1], int(self.per_decision[i]))
        return list(zip(indices, range(number, number + len(indices)), strict=True))


class Alarms:
    """The alarms of `count` streams, each as `monitor.detection.alarm.Alarm` describes it.

    Their states are rows of arrays. Scores that are not above the threshold, and do not raise the cumulative sum above
    its limit, are processed together with those of all other streams of which the same holds (`push_calm`). Otherwise
    the row of a stream is taken out of the arrays, goes from one decision to the next, and is put back (`push`).

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

    def take_over(self, stream: int, other: Alarms, other_stream: int) -> None:
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

    def push(self, stream: int, scores: DoubleArray, mean_row_at: MeanRowAt | None = None) -> Pushed:
        """Processes the next scores of one stream.

        Args:
            stream: its number.
            scores: (k,), NaN if there is no score.
            mean_row_at: returns the mean row of a score by its index in `scores`; it is called for decisions only.
        """
        pushed = Pushed(np.full((len(scores), 2), np.nan))
        position, machine = 0, self.machine(stream)
        stop = 0  # arrays need not be tried before this score
        while position < len(scores):
            if position >= stop and machine.calm:
                stop = position + first_true(~(scores[position:] <= machine.threshold))
                if stop - position >= LONG * machine.rules.per_decision:
                    self.put(stream, machine)
                    done = self._push_stretch(stream, scores, slice(position, stop), mean_row_at, pushed)
                    machine = self.machine(stream)
                    if done:
                        position = stop
                        continue
            before = machine.levels
            count = machine.advance(scores, position, mean_row_at, pushed)
            # There is a decision only at the last of these scores.
            if not np.isnan(scores[position]):
                pushed.trace[position : position + count - 1] = before
                pushed.trace[position + count - 1] = machine.levels
            position += count
        self.put(stream, machine)
        return pushed

    def push_all(self, streams: IndexArray, scores: DoubleArray) -> list[list[Anomaly]]:
        """Processes the next scores (n, k) of streams (n,), and returns what each reports, as in `Pushed`."""
        calm = self.push_calm(streams, scores).done.tolist()
        return [
            [] if done else self.push(stream, scores[i]).reported
            for i, (stream, done) in enumerate(zip(streams.tolist(), calm, strict=True))
        ]

    def push_calm(self, streams: IndexArray, scores: DoubleArray, mean_rows: MeanRowsAt | None = None) -> Calm:
        """Processes the next scores of those of n streams in which these begin and end nothing.

        Args:
            streams: (n,) numbers of the streams.
            scores: (n, k), NaN if there is no score.
            mean_rows: returns mean rows, which are asked for at decisions only.
        """
        self._newest = None
        of_rules, of_scores, per_decision = self._find_shared()
        record, recent, count = self.record[streams], self._recent[streams], scores.shape[1]
        per_decision, threshold = per_decision[streams], record["threshold"][:, None]
        first = -(record["row"] - record["origin"]) % per_decision
        done = ~self._rising[streams] & (record["state"] != ANOMALY) & (record["origin"] >= 0)
        done &= (first >= count) | (record["row"] + first >= record["ready"])
        done &= (scores <= threshold).all(axis=1) & (recent <= threshold).all(axis=1)
        trace = np.empty((*scores.shape, 2))
        number = (record["row"] + first - record["began"]) // per_decision
        calm = np.flatnonzero(done)
        numbers = of_rules[streams[calm]]
        for one in np.unique(numbers).tolist():
            which = calm[numbers == one]
            rules = self._rules[int(streams[which[0]])]
            last_n = recent[which, recent.shape[1] - rules.n :]
            found = CalmScores.of(record[which], scores[which], rules)
            sums = found.sums(self._surprises(found, streams[which], of_scores[streams[which]]))
            done[which] = self._decide(streams[which], which, found, sums, last_n, trace, mean_rows)
        return Calm(done, trace, first, number, per_decision)

    def _decide(
        self,
        streams: IndexArray,
        which: IndexArray,
        found: CalmScores,
        sums: DoubleArray,
        recent: DoubleArray,
        trace: DoubleArray,
        mean_rows: MeanRowsAt | None,
    ) -> BoolArray:
        """Decides on scores of m streams that are not above their thresholds.

        Args:
            streams: (m,) numbers of the streams.
            which: (m,) their indices in the push.
            found: their scores.
            sums: (m, d) the cumulative sums after each decision.
            recent: (m, n) scores of their last decisions.
            trace: (…, k, 2) is filled, by `which`.
            mean_rows: returns mean rows, by `which`.

        Returns:
            for which streams this was done (m,): not where the cumulative sum is above its limit.
        """
        done: BoolArray = np.all(sums <= found.record["limit"][:, None], axis=1)
        if not done.all():
            streams, which, found, recent, sums = streams[done], which[done], found.some(done), recent[done], sums[done]
        if len(streams):
            trace[which] = found.trace(recent, sums)
            self._recent[streams, self._recent.shape[1] - found.rules.n :] = found.recent(recent)
            if (found.record["limit"] < math.inf).any():
                of_push = None if mean_rows is None else lambda rows, at: mean_rows(which[rows], at)
                found.extend(streams, self._totals, self._step, self._lasting, sums, of_push)
            total = sums[:, -1]
            warns = np.where(total > CUSUM_RELEASE * found.record["limit"], WARNING, NORMAL)
            decided = found.first < found.scores.shape[1]
            self.record["state"][streams] = np.where(decided, warns, found.record["state"])
            self.record["sum"][streams] = total
            self.record["row"][streams] += found.scores.shape[1]
        return done

    def _surprises(self, found: CalmScores, streams: IndexArray, numbers: IndexArray) -> DoubleArray:
        """The surprise of each score that is added to a cumulative sum (m, d), 0 of the others.

        Args:
            found: the scores.
            streams: (m,) numbers of the streams.
            numbers: (m,) numbers of their normal scores, equal for equal ones.
        """
        surprises = np.zeros(found.adds.shape)
        if found.adds.any():
            for one in np.unique(numbers[found.adds.any(axis=1)]).tolist():
                which = found.adds & (numbers == one)[:, None]
                normal_scores = self._normal_scores[int(streams[(numbers == one).argmax()])]
                surprises[which] = surprise(found.decided[which], normal_scores)
        return surprises

    def _push_stretch(
        self, stream: int, scores: DoubleArray, part: slice, mean_row_at: MeanRowAt | None, pushed: Pushed
    ) -> bool:
        """Processes a part of the scores of one stream in arrays, and adds it to `pushed`; returns whether it could."""

        def mean_rows(_: IndexArray, at: IndexArray) -> DoubleArray:
            assert mean_row_at is not None
            return np.stack([mean_row_at(part.start + one) for one in at.tolist()])

        calm = self.push_calm(np.array([stream]), scores[None, part], None if mean_row_at is None else mean_rows)
        if calm.done[0]:
            pushed.trace[part] = calm.trace[0]
            pushed.decided += calm.decided(0, part.start)
        return bool(calm.done[0])

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
