"""Decisions of many alarms at once, on scores that begin and end nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.types import BoolArray, DoubleArray, IndexArray
from monitor.detection.alarm_machine import LISTENING, TINY
from monitor.detection.alarm_rules import Rules
from monitor.detection.cusum import cusum_step
from monitor.detection.spans import RowTotals, Spans, Stretch

# Returns the mean rows (m, mean_width) of scores: by the indices of streams in a push, and of scores of each (m,).
MeanRowsAt = Callable[[IndexArray, IndexArray], DoubleArray]


@dataclass(frozen=True, slots=True)
class CalmScores:
    """Scores of n streams that are not above their thresholds, and the d decisions on them at most.

    Attributes:
        rules: of all these streams.
        record: (n,) their `AlarmRecord`s, before these scores.
        scores: (n, k).
        first: (n,) index of the first decision.
        at: (n, d) indices of the scores that are decided on.
        made: (n, d) whether this decision is within the k scores. If not, the score at its place is any.
        adds: (n, d) whether it is made, and is a step of the cumulative sum.
        decided: (n, d) the scores that are decided on.
    """

    rules: Rules
    record: NDArray[Any]
    scores: DoubleArray
    first: IndexArray
    at: IndexArray
    made: BoolArray
    adds: BoolArray
    decided: DoubleArray

    @classmethod
    def of(cls, record: NDArray[Any], scores: DoubleArray, rules: Rules) -> CalmScores:
        """Finds the decisions."""
        count, per_decision = scores.shape[1], rules.per_decision
        first = -(record["row"] - record["origin"]) % per_decision
        at = first[:, None] + np.arange(0, max(1, count - int(first.min())), per_decision)  # one column at least
        made = at < count
        number = ((record["row"] - record["origin"] + first) // per_decision)[:, None] + np.arange(at.shape[1])
        adds = made & (number % rules.per_window == 0) & (record["limit"] < np.inf)[:, None]
        decided = scores[np.arange(len(scores))[:, None], np.minimum(at, count - 1)]
        return cls(rules, record, scores, first, at, made, adds, decided)

    def some(self, which: BoolArray) -> CalmScores:
        """Those of some of the streams, which (n,) says."""
        return CalmScores(
            self.rules, self.record[which], self.scores[which], self.first[which], self.at[which], self.made[which],
            self.adds[which], self.decided[which],
        )  # fmt: skip

    def sums(self, surprises: DoubleArray) -> DoubleArray:
        """The cumulative sums after each decision (n, d), by the surprise of each score that is added (n, d)."""
        columns = np.flatnonzero(self.adds.any(axis=0))
        after = [self.record["sum"]]
        for column in columns.tolist():
            stepped = cusum_step(after[-1], surprises[:, column], self.record["limit"])
            after.append(np.where(self.adds[:, column], stepped, after[-1]))
        sums: DoubleArray = np.stack(after, axis=1)
        return sums[:, np.searchsorted(columns, np.arange(self.at.shape[1]), side="right")]

    def levels(self, recent: DoubleArray, sums: DoubleArray) -> DoubleArray:
        """The share of the limit, and the cumulative sum as a share of its limit: (n, d + 1, 2), as in `Calm`.

        Args:
            recent: (n, rules.n) scores of the last decisions before these scores, -inf where there were fewer.
            sums: (n, d) the cumulative sums after each decision.
        """
        rules, record = self.rules, self.record
        known = np.concatenate((recent, self.decided), axis=1)
        rows, decisions = np.arange(len(known))[:, None], np.arange(self.at.shape[1] + 1)
        windows = np.sort(known[:, decisions[:, None] + np.arange(rules.n)], axis=2)
        number = np.count_nonzero(windows > -np.inf, axis=2)
        place = rules.n - np.clip(number, 1, rules.k)
        highest = windows[rows, decisions, place]
        share = highest / np.maximum(record["threshold"], TINY)[:, None]
        share = np.where(number < rules.k, np.minimum(share, 1.0), share)
        lasting = np.concatenate((record["sum"][:, None], sums), axis=1) / record["limit"][:, None]
        levels = np.stack((np.maximum(share, lasting), lasting), axis=2)
        levels[:, 0][(record["state"] == LISTENING) | (number[:, 0] == 0)] = np.nan
        if not self.made.all():
            levels = levels[rows, np.minimum(decisions, self.made.sum(axis=1)[:, None])]
        return levels

    def recent(self, recent: DoubleArray) -> DoubleArray:
        """The scores of the last decisions (n, rules.n) after these scores; `recent` are those before."""
        known = np.concatenate((recent, self.decided), axis=1)
        newest = self.made.sum(axis=1)[:, None] + np.arange(recent.shape[1])
        found: DoubleArray = known[np.arange(len(known))[:, None], newest]
        return found

    def extend(
        self,
        streams: IndexArray,
        totals: RowTotals,
        step: Spans,
        lasting: Spans,
        sums: DoubleArray,
        mean_rows: MeanRowsAt | None,
    ) -> None:
        """Adds these scores to the candidates for lasting anomalies.

        Args:
            streams: (n,) numbers of the streams in `totals`, `step` and `lasting`.
            totals: of the mean rows.
            step: since the last step of the cumulative sum.
            lasting: `step` of the step that raised the cumulative sum above 0, while it is.
            sums: (n, d) the cumulative sums after each decision.
            mean_rows: returns mean rows.
        """
        before = np.concatenate((self.record["sum"][:, None], sums), axis=1)
        risen = _last(self.adds & (before[:, :-1] == 0) & (sums > 0))
        # The decision after which a span begins; -1: the present one goes on.
        step_after = _last(self.adds)
        lasting_after = _last(self.adds & (np.arange(self.at.shape[1]) < risen[:, None]))
        added = _AddedRows(self, mean_rows)
        added.add_to(totals, streams)
        positive = before[:, -1] > 0
        lasting.drop(streams[~positive])
        from_step = positive & (risen >= 0) & (lasting_after < 0)
        if from_step.any():
            lasting.take(step, streams[from_step])
        lasting_after[risen < 0] = -1
        self._extend(lasting, streams, positive, lasting_after, added)
        self._extend(step, streams, np.ones(len(streams), bool), step_after, added)

    def _extend(
        self, spans: Spans, streams: IndexArray, which: BoolArray, after: IndexArray, added: _AddedRows
    ) -> None:
        """Adds scores to the spans of those of the streams that `which` (n,) says.

        Args:
            spans: the spans.
            streams: (n,) numbers of the streams.
            which: whose spans are extended.
            after: (n,) the decision after which the span begins; -1: the present one goes on.
            added: the mean rows that were added.
        """
        goes_on = which & (after < 0)
        if goes_on.any():
            spans.extend(streams[goes_on], added.stretch(goes_on))
        begins = np.flatnonzero(which & (after >= 0))
        if len(begins):
            start, last = self.at[begins, after[begins]] + 1, after[begins]
            spans.begin(streams[begins], self.record["row"][begins] + start, added.rows_after(begins, last))
            spans.extend(streams[begins], added.stretch_after(begins, last, start))


class _AddedRows:
    """The scores of all streams as one stretch, and the mean rows of their decisions.

    Args:
        scores: the scores.
        mean_rows: returns mean rows.
    """

    def __init__(self, scores: CalmScores, mean_rows: MeanRowsAt | None) -> None:
        self._scores, self._known = scores, mean_rows is not None
        self._peak, self._total = scores.scores.max(axis=1), scores.scores.sum(axis=1)
        self._decisions = scores.made.sum(axis=1) if self._known else np.zeros(len(scores.first), np.int64)
        self._stream, self._decision = np.nonzero(scores.made)
        self._rows: DoubleArray | None = None
        if mean_rows is not None and len(self._stream):
            self._rows = mean_rows(self._stream, scores.at[self._stream, self._decision])

    def add_to(self, totals: RowTotals, streams: IndexArray) -> None:
        """Adds the mean rows to the totals of these streams (n,)."""
        if self._rows is not None:
            stream, sums = self._sums(self._rows, self._stream)
            totals.add(streams[stream], sums)

    def stretch(self, which: BoolArray) -> Stretch:
        """All scores of some streams, which (n,) says."""
        rows = np.full(int(np.count_nonzero(which)), self._scores.scores.shape[1])
        return Stretch(self._peak[which], self._total[which], rows, self._decisions[which])

    def stretch_after(self, which: IndexArray, decision: IndexArray, start: IndexArray) -> Stretch:
        """The scores of streams `which` (m,) from index `start` (m,) on, behind their decision `decision` (m,)."""
        scores = self._scores.scores[which]
        within = np.arange(scores.shape[1]) >= start[:, None]
        peak, total = np.where(within, scores, -np.inf).max(axis=1), np.where(within, scores, 0.0).sum(axis=1)
        decisions = self._decisions[which] - (decision + 1) if self._known else np.zeros(len(which), np.int64)
        return Stretch(peak, total, scores.shape[1] - start, decisions)

    def rows_after(self, which: IndexArray, decision: IndexArray) -> DoubleArray | None:
        """The sum of the mean rows of streams `which` (m,) behind their decision `decision` (m,): (m, mean_width).

        None: there are none.
        """
        last = np.full(len(self._scores.first), self._scores.at.shape[1])
        last[which] = decision
        later = self._decision > last[self._stream]
        if self._rows is None or not later.any():
            return None
        stream, sums = self._sums(self._rows[later], self._stream[later])
        found = np.zeros((len(last), sums.shape[1]))
        found[stream] = sums
        return found[which]

    @staticmethod
    def _sums(rows: DoubleArray, stream: IndexArray) -> tuple[IndexArray, DoubleArray]:
        """The sum of mean rows (m, mean_width) of each stream in `stream` (m,), which is ascending.

        Returns:
            the streams (s,), and the sums (s, mean_width).
        """
        edges = np.flatnonzero(np.diff(stream, prepend=-1))
        return stream[edges], rows if len(edges) == len(stream) else np.add.reduceat(rows, edges, axis=0)


def _last(flags: BoolArray) -> IndexArray:
    """The index of the last True of each row (n, d), -1 if there is none: (n,)."""
    count = flags.shape[1]
    return np.where(flags.any(axis=1), count - 1 - flags[:, ::-1].argmax(axis=1), -1)
