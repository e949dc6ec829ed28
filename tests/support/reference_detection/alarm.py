"""From anomaly scores to a state: sudden anomalies by k of n decisions, lasting anomalies by a cumulative sum."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from monitor.config import schema
from monitor.core.events import State, new_event_id
from monitor.core.types import BoolArray, DoubleArray
from support.reference_detection.anomaly import Anomaly
from support.reference_detection.cusum import CUSUM_CAP, CUSUM_RELEASE, Limits, cusum_step, surprise

MeanRowAt = Callable[[int], DoubleArray]  # index of a score in a push -> its mean row (mean_width,)

_TINY = 1e-30  # a threshold of 0 is exceeded by any score


def kth_of_last(scores: DoubleArray, k: int, n: int) -> DoubleArray:
    """The k-th largest of the last n scores, at each decision: k of n exceed a threshold if this one does.

    Args:
        scores: (m,) scores of successive decisions.

    Returns:
        (m,); -inf for decisions with fewer than k scores up to them.
    """
    padded = np.concatenate((np.full(n - 1, -np.inf), scores))
    last = np.lib.stride_tricks.sliding_window_view(padded, n)
    kth: DoubleArray = np.sort(last, axis=1)[:, n - k]
    return kth


def rows_per_decision(settings: schema.Alarm, hop_s: float) -> int:
    """The number of scores from one decision of the alarm to the next; at least 1."""
    return max(1, round(settings.block_s / hop_s))


def decisions_per_window(window_rows: int, per_decision: int) -> int:
    """The number of decisions from one step of the cumulative sum to the next, so that the scores share no window.

    Args:
        window_rows: number of windows that a score averages over.
        per_decision: number of scores from one decision to the next.
    """
    return -(-window_rows // per_decision)


class Alarm:
    """Decides the state of one stream, and finds its anomalies.

    There is a decision every `block_s`. The state becomes ANOMALY when the scores of k of the last n decisions are
    above the threshold (sudden), or when the cumulative sum is above its limit (lasting). It is WARNING when one of
    these scores is above the threshold, or the sum is above CUSUM_RELEASE times its limit. An anomaly ends when the
    score has been below `release_ratio` times the threshold, and the sum below CUSUM_RELEASE times its limit, for
    `release_s`, but not before `hold_s` after it began; the next one begins `cool_down_s` later at the earliest. NaN
    scores, as of a machine that is off, restart the alarm; there are no decisions for `run_up_s` after them.

    Args:
        settings: times, k, n and ratios.
        limits: threshold, limit of the cumulative sum, and normal scores.
        hop_s: seconds from one score to the next.
        window_rows: number of windows that a score averages over.
    """

    state: State
    anomaly: Anomaly | None  # the ongoing anomaly
    trace: DoubleArray  # (k, 2) share of the limit, and cumulative sum, after each score of the last push; NaN if none
    # Of each decision on a score of the last push: the index of the score, and the number of the decision since the
    # scores began, which ongoing and ended anomalies do not change.
    decided: list[tuple[int, int]]
    _recent: deque[float]  # scores of the last n decisions
    _above: deque[bool]  # whether they were above the threshold
    # Scores since the ongoing anomaly became quiet: part of the anomaly only if the scores rise again.
    _pending: list[tuple[DoubleArray, DoubleArray | None]]
    _sum: float  # the cumulative sum
    _lasting: Anomaly | None  # `_step` of the step that raised the cumulative sum above 0

    def __init__(self, settings: schema.Alarm, limits: Limits, hop_s: float, window_rows: int) -> None:
        self._hop_s, self._window_rows = hop_s, window_rows
        self._use(settings, limits)
        self.reset()

    def reset(self) -> None:
        """Restarts: the next score is row 0 of another stream."""
        self._row = self._began = 0  # `_began`: the first row that has a score, whatever anomalies there have been
        self._interrupted = False  # there have been scores, and then NaN
        self._restart(self._rows_of["warm_up"])

    @property
    def lasting_sum(self) -> float:
        """The cumulative sum for lasting anomalies, as a share of its limit; 0 if these are not detected."""
        return self._sum / self._limit if self._limit < math.inf else 0.0

    @property
    def share_of_limit(self) -> float:
        """How near the alarm is: the larger share of its limit, of the scores for sudden anomalies and of the sum.

        The share of scores is that of the k-th largest of the last n decisions, so the alarm begins above exactly 1.
        NaN where the alarm makes no decisions.
        """
        if self.state is State.LISTENING or not self._recent:
            return math.nan
        score = sorted(self._recent)[-min(self._settings.k, len(self._recent))]
        share = score / max(self.threshold, _TINY)
        if len(self._recent) < self._settings.k:
            share = min(share, 1.0)
        return max(share, self.lasting_sum)

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return Limits(self.threshold, self._limit, self._normal_scores)

    @property
    def per_decision(self) -> int:
        """The number of scores from one decision to the next."""
        return self._per_decision

    @property
    def until_decision(self) -> int:
        """The number of scores up to and including the next decision; before the first score, those per decision."""
        return -(self._row - self._origin) % self._per_decision + 1 if self._origin >= 0 else self._per_decision

    def change(self, settings: schema.Alarm, limits: Limits) -> None:
        """Goes on with other settings and limits, from the next decision on; arguments as for the class.

        Nothing is forgotten: the scores of the last decisions are compared with the new threshold, and an ongoing
        anomaly goes on or ends by the new settings.
        """
        self._use(settings, limits)
        self._recent = deque(self._recent, maxlen=settings.n)
        self._above = deque((score > self.threshold for score in self._recent), maxlen=settings.n)
        self._sum = min(self._sum, CUSUM_CAP * self._limit) if self._limit < math.inf else 0.0
        self._lasting = self._lasting if self._sum else None

    def change_model(self, settings: schema.Alarm, limits: Limits) -> None:
        """Goes on with the scores of another model, from the next decision on; arguments as for `change`.

        What was found with the model before counts on, as a share of its limits: an ongoing anomaly goes on, and ends
        by the scores of the new model.
        """
        factor, share = limits.threshold / max(self.threshold, _TINY), self.lasting_sum
        self._recent = deque((factor * score for score in self._recent), maxlen=self._recent.maxlen)
        for one in (self.anomaly, self._crossed, self._step, self._sudden, self._lasting):
            if one is not None:
                one.rescale(factor)
        self._pending = [(factor * scores, None) for scores, _ in self._pending]
        self._sum = share * limits.cusum if limits.cusum < math.inf else 0.0
        self.change(settings, limits)

    def scale(self, factor: float) -> None:
        """Multiplies the threshold and the limit of the cumulative sum by a factor."""
        limits = Limits(factor * self.threshold, factor * self._limit, self._normal_scores)
        self.change(self._settings, limits)

    def push(self, scores: DoubleArray, mean_row_at: MeanRowAt | None = None) -> list[Anomaly]:
        """Processes the next scores.

        Args:
            scores: (k,), NaN if there is no score.
            mean_row_at: returns the mean row of a score by its index in `scores`; it is called for decisions only.

        Returns:
            the anomalies that began, were reported again, or ended, in this order of time. Each is a copy as of its
            report.
        """
        reported: list[Anomaly] = []
        position = 0
        self.trace, self.decided = np.full((len(scores), 2), np.nan), []
        while position < len(scores):
            if count := self._skip_idle(scores[position:], self.trace[position:]):
                first = self._row - count - self._began
                self.decided += zip(range(position, position + count), range(first, first + count), strict=True)
                position += count
                continue
            before = self._levels
            count = self._advance(scores, position, mean_row_at, reported)
            # There is a decision only at the last of these scores.
            if not np.isnan(scores[position]):
                self.trace[position : position + count - 1] = before
                self.trace[position + count - 1] = self._levels
            position += count
        return reported

    @property
    def _levels(self) -> tuple[float, float]:
        """The share of the limit, and the cumulative sum as a share of its limit; NaN without decisions."""
        share = self.share_of_limit
        return share, math.nan if math.isnan(share) else self.lasting_sum

    def finish(self) -> Anomaly | None:
        """Ends the ongoing anomaly, if there is one, and returns it. The state does not change until `reset`."""
        ongoing = self.anomaly
        if ongoing is not None:
            ongoing.end = self._row
            self._add_pending(ongoing)
        self.anomaly = None
        return ongoing

    def _use(self, settings: schema.Alarm, limits: Limits) -> None:
        self._settings = settings
        self.threshold, self._limit, self._normal_scores = limits.threshold, limits.cusum, limits.normal_scores
        self._per_decision = rows_per_decision(settings, self._hop_s)
        self._per_window = decisions_per_window(self._window_rows, self._per_decision)
        # For so long the mean after a gap still contains windows from before it.
        self._run_up = max(round(settings.run_up_s / self._hop_s), self._window_rows - 1)
        self._rows_of = {
            name: round(getattr(settings, f"{name}_s") / self._hop_s)
            for name in ("warm_up", "hold", "release", "cool_down", "remind")
        }

    def _restart(self, delay: int) -> None:
        """Forgets all scores. There are no decisions for the next `delay` rows."""
        self.state = State.LISTENING
        self.anomaly = None
        self._ready = self._row + delay  # the first row that may be a decision
        self._origin = -1  # the first row that has a score; decisions are counted from it
        self._recent = deque(maxlen=self._settings.n)
        self._above = deque(maxlen=self._settings.n)
        self._sum = 0.0
        # Candidates: an anomaly that begins later contains the scores since one of these starts.
        self._crossed: Anomaly | None = None  # since the scores have been above the threshold without a break
        self._step = Anomaly(self._row, "lasting")  # since the last step of the cumulative sum
        self._sudden: Anomaly | None = None  # `_crossed` of the first decision above the threshold, while any is above
        self._lasting = None
        self._pending = []
        self._quiet_from: int | None = None  # the row from which on they have been below the release levels
        self._cool_until = 0  # the first row at which an anomaly may begin
        self._reported_at = 0  # the row of the last report of the ongoing anomaly

    def _advance(
        self, scores: DoubleArray, position: int, mean_row_at: MeanRowAt | None, reported: list[Anomaly]
    ) -> int:
        """Processes scores up to the next decision, or a run of NaN; returns how many were processed."""
        scores = scores[position:]
        known = ~np.isnan(scores[: self._per_decision])
        if not known[0]:
            return self._skip(_first(~np.isnan(scores)), reported)
        if self._origin < 0:
            self._origin = self._began = self._row
            if self._interrupted:
                self._ready, self._interrupted = self._row + self._run_up, False
            self._step = Anomaly(self._row, "lasting")
        count = min(-(self._row - self._origin) % self._per_decision + 1, _first(~known), len(scores))
        part, row = scores[:count], self._row + count - 1
        decides = (row - self._origin) % self._per_decision == 0
        mean_row = mean_row_at(position + count - 1) if decides and mean_row_at is not None else None
        self._update_candidates(part, mean_row)
        self._row += count
        if self.anomaly is not None:
            # `_decide` finds out whether the score of the decision itself is part of the anomaly.
            before = part[:-1] if decides else part
            self._pending.append((before, None)) if self._quiet_from is not None else self.anomaly.add(before)
        if decides:
            adds = self._limit < math.inf and (row - self._origin) // self._per_decision % self._per_window == 0
            if row >= self._ready:
                self.decided.append((position + count - 1, (row - self._began) // self._per_decision))
                self._decide(float(part[-1]), mean_row, adds, reported)
            if adds:
                self._step = Anomaly(self._row, "lasting")
        return count

    def _skip_idle(self, scores: DoubleArray, trace: DoubleArray) -> int:
        """Skips the scores below the threshold, if they change nothing; returns how many, and fills their trace."""
        idle = self.state is State.NORMAL and self._limit == math.inf and not any(self._above) and not self._pending
        count = _first(~(scores <= self.threshold)) if idle and self._per_decision == 1 else 0
        if count:
            known = np.concatenate((list(self._recent), scores[:count]))
            kth = kth_of_last(known, self._settings.k, self._settings.n)[-count:]
            lowest = np.minimum.accumulate(known)[-count:]  # of fewer than k scores
            trace[:count, 0] = np.where(np.isfinite(kth), kth, lowest) / max(self.threshold, _TINY)
            trace[:count, 1] = 0.0
            self._recent.extend(scores[:count].tolist())
            self._row += count
        return count

    def _skip(self, count: int, reported: list[Anomaly]) -> int:
        """Skips NaN scores; the first of them ends the ongoing anomaly and restarts the alarm."""
        if self._origin >= 0:
            if ended := self.finish():
                reported.append(ended)
            self._restart(0)
            self._interrupted = True
        self._row += count
        return count

    def _update_candidates(self, part: DoubleArray, mean_row: DoubleArray | None) -> None:
        """Adds scores (k,) to the candidates, from one of which the next anomaly will begin."""
        below = np.flatnonzero(part <= self.threshold)
        after = int(below[-1]) + 1 if len(below) else 0
        if after == len(part):
            self._crossed = None
        elif self._crossed is None or after:
            self._crossed = Anomaly(self._row + after, "sudden")
        if self._crossed is not None:
            self._crossed.add(part[after:], mean_row)
        for candidate in (self._step, self._sudden, self._lasting):
            if candidate is not None:
                candidate.add(part, mean_row)

    def _decide(self, score: float, mean_row: DoubleArray | None, adds: bool, reported: list[Anomaly]) -> None:
        """Makes one decision; with `adds` its score is a step of the cumulative sum."""
        row = self._row - 1
        self._recent.append(score)
        self._above.append(score > self.threshold)
        if adds:
            self._add_to_sum(score)
        if self._sudden is None and self._above[-1] and self._crossed is not None:
            self._sudden = replace(self._crossed)
        elif not any(self._above):
            self._sudden = None
        if self.anomaly is None:
            self._begin_or_warn(row, reported)
        else:
            self._end_or_remind(self.anomaly, score, mean_row, row, reported)

    def _add_to_sum(self, score: float) -> None:
        surprises = surprise(np.array([score]), self._normal_scores)
        self._sum = float(cusum_step(np.array([self._sum]), surprises, self._limit)[0])
        if not self._sum:
            self._lasting = None
        elif self._lasting is None:
            self._lasting = replace(self._step)

    def _begin_or_warn(self, row: int, reported: list[Anomaly]) -> None:
        sudden, lasting = sum(self._above) >= self._settings.k, self._sum > self._limit
        begun = self._sudden if sudden else self._lasting if lasting else None
        if begun is not None and row >= self._cool_until:
            self.state, self.anomaly, self._reported_at = State.ANOMALY, begun, row
            begun.reported, begun.id = row, new_event_id()
            self._sudden = self._lasting = None
            reported.append(replace(begun))
        elif any(self._above) or self._sum > CUSUM_RELEASE * self._limit:
            self.state = State.WARNING
        else:
            self.state = State.NORMAL

    def _end_or_remind(
        self, anomaly: Anomaly, score: float, mean_row: DoubleArray | None, row: int, reported: list[Anomaly]
    ) -> None:
        quiet = score < self._settings.release_ratio * self.threshold and not self._sum > CUSUM_RELEASE * self._limit
        self._pending.append((np.array([score]), mean_row))
        if not quiet:
            self._add_pending(anomaly)
        elif self._quiet_from is None:
            self._quiet_from = row
        if (
            self._quiet_from is not None
            and row + 1 - self._quiet_from >= self._rows_of["release"]
            and row + 1 - anomaly.reported >= self._rows_of["hold"]
        ):
            anomaly.end = self._quiet_from
            reported.append(anomaly)
            self._restart(0)
            self._origin, self.state = row, State.NORMAL
            self._recent.append(score)
            self._cool_until = row + self._rows_of["cool_down"]
        elif row - self._reported_at >= self._rows_of["remind"]:
            self._reported_at = row
            anomaly.reminders += 1
            reported.append(replace(anomaly))

    def _add_pending(self, anomaly: Anomaly) -> None:
        """Adds the pending scores to the anomaly, because it was quiet only for a moment."""
        for part, mean_row in self._pending:
            anomaly.add(part, mean_row)
        self._pending, self._quiet_from = [], None


def _first(mask: BoolArray) -> int:
    """The index of the first True, or the length if there is none."""
    index = int(mask.argmax()) if len(mask) else 0
    return index if len(mask) and mask[index] else len(mask)
