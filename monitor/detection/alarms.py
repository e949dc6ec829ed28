"""The alarms of many streams in arrays: one update for all streams in which nothing happens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from monitor.core.types import BoolArray, DoubleArray, IndexArray
from monitor.detection.alarm_machine import (
    ANOMALY,
    NORMAL,
    WARNING,
    MeanRowAt,
    Pushed,
    first_true,
)
from monitor.detection.alarm_states import AlarmStates
from monitor.detection.anomaly import Anomaly
from monitor.detection.calm import Calm
from monitor.detection.calm_scores import CalmScores, MeanRowsAt
from monitor.detection.cusum import CUSUM_RELEASE, surprise

LONG = 8  # decisions without a score above the threshold from which on arrays are faster for a single stream, too


class Alarms(AlarmStates):
    """The alarms of `count` streams, each as `monitor.detection.alarm.Alarm` describes it.

    Their states are rows of arrays. Scores that are not above the threshold, and do not raise the cumulative sum above
    its limit, are processed together with those of all other streams of which the same holds (`push_calm`). Otherwise
    the row of a stream is taken out of the arrays, goes from one decision to the next, and is put back (`push`).

    Args:
        count: number of streams; `begin` gives each its settings.
        hop_s: seconds from one score to the next.
        window_rows: number of windows that a score averages over.
    """

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
        number = (record["row"] + first - record["began"]) // per_decision
        calm, found_levels = np.flatnonzero(done), list[tuple[IndexArray, DoubleArray]]()
        numbers = of_rules[streams[calm]]
        for one in np.unique(numbers).tolist():
            which = calm[numbers == one]
            rules = self._rules[int(streams[which[0]])]
            last_n = recent[which, recent.shape[1] - rules.n :]
            found = CalmScores.of(record[which], scores[which], rules)
            sums = found.sums(self._surprises(found, streams[which], of_scores[streams[which]]))
            done[which], levels = self._decide(streams[which], which, found, sums, last_n, mean_rows)
            found_levels.append((which[done[which]], levels))
        return Calm(done, _merged(found_levels, len(streams)), count, first, number, per_decision)

    def _decide(
        self,
        streams: IndexArray,
        which: IndexArray,
        found: CalmScores,
        sums: DoubleArray,
        recent: DoubleArray,
        mean_rows: MeanRowsAt | None,
    ) -> tuple[BoolArray, DoubleArray]:
        """Decides on scores of m streams that are not above their thresholds.

        Args:
            streams: (m,) numbers of the streams.
            which: (m,) their indices in the push.
            found: their scores.
            sums: (m, d) the cumulative sums after each decision.
            recent: (m, n) scores of their last decisions.
            mean_rows: returns mean rows, by `which`.

        Returns:
            for which streams this was done (m,): not where the cumulative sum is above its limit; and their levels, as
            in `Calm`.
        """
        done: BoolArray = np.all(sums <= found.record["limit"][:, None], axis=1)
        if not done.all():
            streams, which, found, recent, sums = streams[done], which[done], found.some(done), recent[done], sums[done]
        levels = found.levels(recent, sums)
        if len(streams):
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
        return done, levels

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
            pushed.trace[part] = calm.trace_of(0)
            pushed.decided += calm.decided(0, part.start)
        return bool(calm.done[0])


def _merged(levels: Sequence[tuple[IndexArray, DoubleArray]], count: int) -> DoubleArray:
    """The levels of `count` streams (count, d + 1, 2), from parts: indices of streams, and their levels."""
    if len(levels) == 1 and len(levels[0][0]) == count:
        return levels[0][1]
    merged = np.full((count, max((one.shape[1] for _, one in levels), default=2), 2), np.nan)
    for which, one in levels:
        merged[which, : one.shape[1]], merged[which, one.shape[1] :] = one, one[:, -1:]
    return merged
