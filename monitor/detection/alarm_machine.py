"""The alarm of one stream, score by score: what it does while something is unusual, or begins and ends."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from monitor.core.events import State, new_event_id
from monitor.core.types import BoolArray, DoubleArray
from monitor.detection.alarm_rules import Rules
from monitor.detection.anomaly import Anomaly
from monitor.detection.cusum import CUSUM_CAP, CUSUM_RELEASE, Limits, cusum_step, surprise

MeanRowAt = Callable[[int], DoubleArray]  # index of a score in a push -> its mean row (mean_width,)

STATES = (State.LISTENING, State.NORMAL, State.WARNING, State.ANOMALY)
LISTENING, NORMAL, WARNING, ANOMALY = range(4)  # their numbers
TINY = 1e-30  # a threshold of 0 is exceeded by any score


@dataclass(slots=True)
class AlarmRecord:
    """The part of an alarm's state that is kept in arrays. Rows are counted from the beginning of the recording."""

    row: int  # the number of the next score
    began: int  # the first row that has a score, whatever anomalies there have been
    origin: int  # the first row that has a score; decisions are counted from it; -1: none yet
    ready: int  # the first row that may be a decision
    cool_until: int  # the first row at which an anomaly may begin
    interrupted: bool  # there have been scores, and then NaN
    state: int  # number in STATES
    sum: float  # the cumulative sum
    threshold: float
    limit: float  # of the cumulative sum


@dataclass(slots=True)
class Pushed:
    """What an alarm made of k scores of its stream."""

    trace: DoubleArray  # (k, 2) share of the limit, and cumulative sum, after each score; NaN if none
    # Of each decision: the index of the score, and the number of the decision since the scores began, which ongoing and
    # ended anomalies do not change.
    decided: list[tuple[int, int]] = field(default_factory=list)
    # Copies of the anomalies that began, were reported again, or ended, in this order of time.
    reported: list[Anomaly] = field(default_factory=list)


@dataclass(slots=True)
class Rise:
    """What an alarm remembers only while scores are, or just have been, above the threshold, or an anomaly lasts."""

    anomaly: Anomaly | None = None  # the ongoing anomaly
    crossed: Anomaly | None = None  # candidate: since the scores have been above the threshold without a break
    sudden: Anomaly | None = None  # `crossed` of the first decision above the threshold, while any is above
    # Scores since the ongoing anomaly became quiet: part of the anomaly only if the scores rise again.
    pending: list[tuple[DoubleArray, DoubleArray | None]] = field(default_factory=list)
    quiet_from: int | None = None  # the row from which on they have been below the release levels
    reported_at: int = 0  # the row of the last report of the ongoing anomaly

    @property
    def over(self) -> bool:
        """Whether there is nothing to remember."""
        return self.anomaly is None and self.crossed is None and self.sudden is None and not self.pending


@dataclass(slots=True)
class AlarmMachine(AlarmRecord):
    """The alarm of one stream, as `monitor.detection.alarm.Alarm` describes it.

    Candidates: an anomaly that begins later contains the scores since one of `step`, `lasting`, `Rise.crossed` and
    `Rise.sudden` started.
    """

    rules: Rules
    normal_scores: DoubleArray  # ascending
    recent: deque[float]  # scores of the last n decisions
    step: Anomaly  # candidate: since the last step of the cumulative sum
    lasting: Anomaly | None  # `step` of the step that raised the cumulative sum above 0
    rise: Rise

    @property
    def calm(self) -> bool:
        """Whether nothing is unusual, so that `monitor.detection.alarms.Alarms.push_calm` may go on from here."""
        started = self.origin >= 0 and self.ready <= self.row
        return started and self.rise.over and self.state != ANOMALY and not self.above

    @property
    def above(self) -> int:
        """How many of the last n decisions were above the threshold."""
        return sum(score > self.threshold for score in self.recent)

    @property
    def lasting_sum(self) -> float:
        """The cumulative sum as a share of its limit; 0 if lasting anomalies are not detected."""
        return self.sum / self.limit if self.limit < math.inf else 0.0

    @property
    def share_of_limit(self) -> float:
        """How near the alarm is; NaN where it makes no decisions."""
        if self.state == LISTENING or not self.recent:
            return math.nan
        share = sorted(self.recent)[-min(self.rules.k, len(self.recent))] / max(self.threshold, TINY)
        if len(self.recent) < self.rules.k:
            share = min(share, 1.0)
        return max(share, self.lasting_sum)

    @property
    def levels(self) -> tuple[float, float]:
        """The share of the limit, and the cumulative sum as a share of its limit; NaN without decisions."""
        share = self.share_of_limit
        return share, math.nan if math.isnan(share) else self.lasting_sum

    def restart(self, delay: int) -> None:
        """Forgets all scores. There are no decisions for the next `delay` rows."""
        self.state, self.sum, self.origin = LISTENING, 0.0, -1
        self.ready, self.cool_until = self.row + delay, 0
        self.recent.clear()
        self.step, self.lasting, self.rise = Anomaly(self.row, "lasting"), None, Rise()

    def rescale(self, limits: Limits) -> None:
        """Makes of what was found so far what it would be, as a share of the limits, with those of another model."""
        factor, share = limits.threshold / max(self.threshold, TINY), self.lasting_sum
        self.recent = deque((factor * score for score in self.recent), self.recent.maxlen)
        rise = self.rise
        for one in (rise.anomaly, rise.crossed, self.step, rise.sudden, self.lasting):
            if one is not None:
                one.rescale(factor)
        rise.pending = [(factor * scores, None) for scores, _ in rise.pending]
        self.sum = share * limits.cusum if limits.cusum < math.inf else 0.0

    def cap_sum(self) -> None:
        """Keeps the sum within a limit that has changed."""
        self.sum = min(self.sum, CUSUM_CAP * self.limit) if self.limit < math.inf else 0.0
        self.lasting = self.lasting if self.sum else None

    def finish(self) -> Anomaly | None:
        """Ends the ongoing anomaly, if there is one, and returns it."""
        ongoing = self.rise.anomaly
        if ongoing is not None:
            ongoing.end = self.row
            self._add_pending(ongoing)
        self.rise.anomaly = None
        return ongoing

    def advance(
        self,
        scores: DoubleArray,
        position: int,
        mean_row_at: MeanRowAt | None,
        pushed: Pushed,
    ) -> int:
        """Processes scores up to the next decision, or a run of NaN; returns how many were processed.

        Args:
            scores: (k,) of a push.
            position: index of the first of them.
            mean_row_at: returns the mean row of a score by its index in `scores`.
            pushed: receives what was reported, and what was decided on.
        """
        scores = scores[position:]
        known = ~np.isnan(scores[: self.rules.per_decision])
        if not known[0]:
            return self._skip(first_true(~np.isnan(scores)), pushed.reported)
        if self.origin < 0:
            self.origin = self.began = self.row
            if self.interrupted:
                self.ready, self.interrupted = self.row + self.rules.run_up, False
            self.step = Anomaly(self.row, "lasting")
        per_decision = self.rules.per_decision
        count = min(-(self.row - self.origin) % per_decision + 1, first_true(~known), len(scores))
        part, row = scores[:count], self.row + count - 1
        decides = (row - self.origin) % per_decision == 0
        mean_row = mean_row_at(position + count - 1) if decides and mean_row_at is not None else None
        self._update_candidates(part, mean_row)
        self.row += count
        if self.rise.anomaly is not None:
            # `_decide` finds out whether the score of the decision itself is part of the anomaly.
            before, rise = part[:-1] if decides else part, self.rise
            rise.pending.append((before, None)) if rise.quiet_from is not None else self.rise.anomaly.add(before)
        if decides:
            adds = self.limit < math.inf and (row - self.origin) // per_decision % self.rules.per_window == 0
            if row >= self.ready:
                pushed.decided.append((position + count - 1, (row - self.began) // per_decision))
                self._decide(float(part[-1]), mean_row, adds, pushed.reported)
            if adds:
                self.step = Anomaly(self.row, "lasting")
        return count

    def _skip(self, count: int, reported: list[Anomaly]) -> int:
        """Skips NaN scores; the first of them ends the ongoing anomaly and restarts the alarm."""
        if self.origin >= 0:
            if ended := self.finish():
                reported.append(ended)
            self.restart(0)
            self.interrupted = True
        self.row += count
        return count

    def _update_candidates(self, part: DoubleArray, mean_row: DoubleArray | None) -> None:
        """Adds scores (k,) to the candidates, from one of which the next anomaly will begin."""
        rise, below = self.rise, np.flatnonzero(part <= self.threshold)
        after = int(below[-1]) + 1 if len(below) else 0
        if after == len(part):
            rise.crossed = None
        elif rise.crossed is None or after:
            rise.crossed = Anomaly(self.row + after, "sudden")
        if rise.crossed is not None:
            rise.crossed.add(part[after:], mean_row)
        for candidate in (self.step, rise.sudden, self.lasting):
            if candidate is not None:
                candidate.add(part, mean_row)

    def _decide(self, score: float, mean_row: DoubleArray | None, adds: bool, reported: list[Anomaly]) -> None:
        """Makes one decision; with `adds` its score is a step of the cumulative sum."""
        row, rise = self.row - 1, self.rise
        self.recent.append(score)
        if adds:
            self._add_to_sum(score)
        if rise.sudden is None and score > self.threshold and rise.crossed is not None:
            rise.sudden = replace(rise.crossed)
        elif not self.above:
            rise.sudden = None
        if rise.anomaly is None:
            self._begin_or_warn(row, reported)
        else:
            self._end_or_remind(rise.anomaly, score, mean_row, row, reported)

    def _add_to_sum(self, score: float) -> None:
        surprises = surprise(np.array([score]), self.normal_scores)
        self.sum = float(cusum_step(np.array([self.sum]), surprises, self.limit)[0])
        if not self.sum:
            self.lasting = None
        elif self.lasting is None:
            self.lasting = replace(self.step)

    def _begin_or_warn(self, row: int, reported: list[Anomaly]) -> None:
        above, rise = self.above, self.rise
        sudden, lasting = above >= self.rules.k, self.sum > self.limit
        begun = rise.sudden if sudden else self.lasting if lasting else None
        if begun is not None and row >= self.cool_until:
            self.state, rise.anomaly, rise.reported_at = ANOMALY, begun, row
            begun.reported, begun.id = row, new_event_id()
            rise.sudden = self.lasting = None
            reported.append(replace(begun))
        elif above or self.sum > CUSUM_RELEASE * self.limit:
            self.state = WARNING
        else:
            self.state = NORMAL

    def _end_or_remind(
        self, anomaly: Anomaly, score: float, mean_row: DoubleArray | None, row: int, reported: list[Anomaly]
    ) -> None:
        rules, rise = self.rules, self.rise
        quiet = score < rules.release_ratio * self.threshold and not self.sum > CUSUM_RELEASE * self.limit
        rise.pending.append((np.array([score]), mean_row))
        if not quiet:
            self._add_pending(anomaly)
        elif rise.quiet_from is None:
            rise.quiet_from = row
        if (
            rise.quiet_from is not None
            and row + 1 - rise.quiet_from >= rules.release
            and row + 1 - anomaly.reported >= rules.hold
        ):
            anomaly.end = rise.quiet_from
            reported.append(anomaly)
            self.restart(0)
            self.origin, self.state = row, NORMAL
            self.recent.append(score)
            self.cool_until = row + rules.cool_down
        elif row - rise.reported_at >= rules.remind:
            rise.reported_at = row
            anomaly.reminders += 1
            reported.append(replace(anomaly))

    def _add_pending(self, anomaly: Anomaly) -> None:
        """Adds the pending scores to the anomaly, because it was quiet only for a moment."""
        for part, mean_row in self.rise.pending:
            anomaly.add(part, mean_row)
        self.rise.pending, self.rise.quiet_from = [], None


def first_true(mask: BoolArray) -> int:
    """The index of the first True, or the length if there is none."""
    index = int(mask.argmax()) if len(mask) else 0
    return index if len(mask) and mask[index] else len(mask)
