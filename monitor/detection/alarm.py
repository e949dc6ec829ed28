"""From anomaly score to state: sudden faults by k of n decisions, lasting ones by evidence that adds up."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from monitor.config import schema as config
from monitor.bundle.bundle import Bundle
from monitor.core.snapshot import State

MOST = 3.0  # evidence of one decision at most: no single moment counts for more than one in twenty, however loud
DRIFT = 1.5  # that each decision takes off: twice what normal sound adds at most in the mean
CEILING = 1.25  # times the limit that evidence can reach, so that it is over in sensible time
OVER = 0.5  # times the limit at which an anomaly by evidence is over

Array = NDArray[np.float64]


def surprise(scores: Array, normal_scores: Array) -> Array:
    """The evidence in scores: -ln p for the share p of normal scores (n,), ascending, that are as high; MOST at most.

    p = (1 + how many are as high) / (1 + n) is the p-value of conformal prediction (Vovk, 2005): for normal sound it
    is uniform whatever the distribution of the scores.
    """
    above = len(normal_scores) - np.searchsorted(normal_scores, scores, side="left")
    evidence: Array = np.minimum(-np.log((1 + above) / (1 + len(normal_scores))), MOST)
    return evidence


def accumulate(total: Array, evidence: Array, limit: float) -> Array:
    """One step of the cumulative sum (CUSUM; Page, 1954): never below 0, nor far above its limit."""
    grown: Array = np.minimum(np.maximum(total + evidence - DRIFT, 0.0), CEILING * limit)
    return grown


def persistent(scores: Array, k: int, n: int) -> Array:
    """The score that k of the last n decisions exceed, at each of some decisions (m,): (m,)."""
    padded = np.concatenate((np.full(n - 1, -np.inf), scores))
    last = np.lib.stride_tricks.sliding_window_view(padded, n)
    kth: Array = np.sort(last, axis=1)[:, n - k]
    return kth


def decision_rows(settings: config.Alarm, hop_s: float) -> int:
    """Scores from decision to decision, 1 at least."""
    return max(1, round(settings.block_s / hop_s))


def evidence_every(window_rows: int, block: int) -> int:
    """Decisions from one that adds evidence to the next: scores that share no window."""
    return -(-window_rows // block)


@dataclass(frozen=True, slots=True)
class Limits:
    """What scores are compared with."""

    threshold: float
    evidence: float  # infinity where evidence does not count
    normal_scores: Array  # (n,) ascending

    @classmethod
    def of(cls, bundle: Bundle, settings: config.Alarm) -> Limits:
        """Those of a bundle; a threshold that was set by hand moves the evidence's limit in proportion."""
        calibrated, evidence = bundle.thresholds["score"].value, bundle.thresholds["evidence"].value
        threshold = settings.threshold or calibrated
        counts = settings.evidence and evidence > 0 and len(bundle.normal_scores) > 0
        limit = evidence * threshold / calibrated if counts else math.inf
        return cls(threshold, limit, bundle.normal_scores.numpy())


@dataclass(slots=True)
class Anomaly:
    """An anomaly while it lasts, and afterwards. Times are row numbers of the scores."""

    start: int  # where the scores rose
    cause: str  # "sudden" or "evidence"
    told: int = -1  # the row at which the state became ANOMALY
    end: int | None = None  # the first row of what is normal again, None while it lasts
    reminders: int = 0
    peak: float = -np.inf
    total: float = 0.0
    rows: int = 0
    profile: Array = field(default_factory=lambda: np.zeros(1))  # sum of the mean rows at the decisions in it
    decisions: int = 0

    @property
    def mean(self) -> float:
        """The mean score from start to end."""
        return self.total / max(1, self.rows)

    @property
    def mean_profile(self) -> Array:
        """The mean row (row_width,) of the model's statistics."""
        mean: Array = self.profile / max(1, self.decisions)
        return mean

    def take(self, scores: Array, profile: Array | None = None) -> None:
        """Counts these scores in, and the mean row at the decision that they end with."""
        if len(scores):
            self.peak = max(self.peak, float(scores.max()))
            self.total += float(scores.sum())
            self.rows += len(scores)
        if profile is not None:
            self.profile = self.profile + profile
            self.decisions += 1


class Alarm:
    """The state of one stream.

    Every `block_s` there is a decision. It is an ANOMALY when k of the last n scores are above the threshold, or when
    the evidence is above its limit; a WARNING while one of them threatens. It ends when the score has been below
    `release_ratio` times the threshold, and the evidence below half its limit, for `release_s`, `hold_s` after it
    began at the earliest. Where a score is NaN, as of a machine that is off, everything begins anew, and `run_up_s`
    afterwards is not judged.
    """

    state: State
    anomaly: Anomaly | None  # the one that lasts

    def __init__(self, settings: config.Alarm, limits: Limits, hop_s: float, window_rows: int) -> None:
        self._settings, self._hop_s = settings, hop_s
        self.threshold, self._limit, self._normal_scores = limits.threshold, limits.evidence, limits.normal_scores
        self._block = decision_rows(settings, hop_s)
        self._every = evidence_every(window_rows, self._block)
        # The mean behind a hole is still of what was before it, too.
        self._run_up = max(round(settings.run_up_s / hop_s), window_rows - 1)
        self._rows_of = {
            name: round(getattr(settings, f"{name}_s") / hop_s)
            for name in ("warm_up", "hold", "release", "cool_down", "remind")
        }
        self.reset()

    def reset(self) -> None:
        """Begins anew: the next row is row 0 of another stream."""
        self._row, self._hole = 0, False  # whether there was a score, and then none
        self._begin(self._rows_of["warm_up"])

    @property
    def evidence(self) -> float:
        """How much there is, as a share of what makes an anomaly."""
        return self._evidence / self._limit if self._limit < math.inf else 0.0

    @property
    def until_decision(self) -> int:
        """Scores from here to the next decision, it included; where there are none yet, those between two decisions."""
        return -(self._row - self._origin) % self._block + 1 if self._origin >= 0 else self._block

    def scale(self, factor: float) -> None:
        """Multiplies what scores are compared with."""
        self.threshold *= factor
        self._limit *= factor

    def update(self, scores: Array, mean_row: Callable[[int], Array] | None = None) -> list[Anomaly]:
        """Takes the next scores (k,), NaN where there is none, and what gives the mean row that one was made of.

        Returns:
            the anomalies that began, were told again, or ended by them.
        """
        told: list[Anomaly] = []
        position = 0
        while position < len(scores):
            position += self._advance(scores, position, mean_row, told)
        return told

    def finish(self) -> Anomaly | None:
        """Ends the stream: returns the anomaly that still lasted, ended. The state stays until `reset`."""
        lasting = self.anomaly
        if lasting is not None:
            lasting.end = self._row
            self._take_pending(lasting)
        self.anomaly = None
        return lasting

    def _begin(self, unjudged: int) -> None:
        self.state = State.LISTENING
        self.anomaly = None
        self._ready = self._row + unjudged
        self._origin = -1  # the first row that has a score; decisions are counted from there
        self._above: deque[bool] = deque(maxlen=self._settings.n)
        self._crossed: Anomaly | None = None  # since when the scores have been above the threshold
        self._latest = Anomaly(self._row, "evidence")  # since the last decision that added evidence
        self._evidence = 0.0
        self._excess: Anomaly | None = None  # what may become a sudden anomaly
        self._growth: Anomaly | None = None  # what may become one by evidence
        self._pending: list[tuple[Array, Array | None]] = []  # what came since an anomaly looks over
        self._quiet_from: int | None = None
        self._cool_until = 0
        self._told_at = 0

    def _advance(
        self, scores: Array, position: int, mean_row: Callable[[int], Array] | None, told: list[Anomaly]
    ) -> int:
        """Goes on to the next decision, or to the end of what has no score; returns how many rows that took."""
        scores = scores[position:]
        known = ~np.isnan(scores[: self._block])
        if not known[0]:
            return self._skip(_first(~np.isnan(scores)), told)
        if self._origin < 0:
            self._origin = self._row
            if self._hole:
                self._ready, self._hole = self._row + self._run_up, False
            self._latest = Anomaly(self._row, "evidence")
        if self._block == 1 and self._idle and (count := _first(~(scores <= self.threshold))):
            self._row += count
            return count
        count = min(-(self._row - self._origin) % self._block + 1, _first(~known), len(scores))
        part, row = scores[:count], self._row + count - 1
        decides = (row - self._origin) % self._block == 0
        profile = mean_row(position + count - 1) if decides and mean_row is not None else None
        self._follow(part, profile)
        self._row += count
        if self.anomaly is not None:
            # Whether the score of a decision is still part of it is known when it is decided.
            before = part[:-1] if decides else part
            self._pending.append((before, None)) if self._quiet_from is not None else self.anomaly.take(before)
        if decides:
            adds = self._limit < math.inf and (row - self._origin) // self._block % self._every == 0
            if row >= self._ready:
                self._decide(float(part[-1]), profile, adds, told)
            if adds:
                self._latest = Anomaly(self._row, "evidence")
        return count

    @property
    def _idle(self) -> bool:
        """Whether nothing can come of scores below the threshold."""
        return self.state is State.NORMAL and self._limit == math.inf and not any(self._above) and not self._pending

    def _skip(self, count: int, told: list[Anomaly]) -> int:
        if self._origin >= 0:
            if lasting := self.finish():
                told.append(lasting)
            self._begin(0)
            self._hole = True
        self._row += count
        return count

    def _follow(self, part: Array, profile: Array | None) -> None:
        """Keeps account of everything that an anomaly may turn out to have begun with."""
        below = np.flatnonzero(part <= self.threshold)
        after = int(below[-1]) + 1 if len(below) else 0
        if after == len(part):
            self._crossed = None
        elif self._crossed is None or after:
            self._crossed = Anomaly(self._row + after, "sudden")
        if self._crossed is not None:
            self._crossed.take(part[after:], profile)
        for candidate in (self._latest, self._excess, self._growth):
            if candidate is not None:
                candidate.take(part, profile)

    def _decide(self, score: float, profile: Array | None, adds_evidence: bool, told: list[Anomaly]) -> None:
        row = self._row - 1
        self._above.append(score > self.threshold)
        if adds_evidence:
            self._add_evidence(score)
        if self._excess is None and self._above[-1] and self._crossed is not None:
            self._excess = replace(self._crossed)
        elif not any(self._above):
            self._excess = None
        if self.anomaly is None:
            self._begin_or_warn(row, told)
        else:
            self._end_or_remind(self.anomaly, score, profile, row, told)

    def _add_evidence(self, score: float) -> None:
        evidence = surprise(np.array([score]), self._normal_scores)
        self._evidence = float(accumulate(np.array([self._evidence]), evidence, self._limit)[0])
        if not self._evidence:
            self._growth = None
        elif self._growth is None:
            self._growth = replace(self._latest)

    def _begin_or_warn(self, row: int, told: list[Anomaly]) -> None:
        sudden, grown = sum(self._above) >= self._settings.k, self._evidence > self._limit
        begun = self._excess if sudden else self._growth if grown else None
        if begun is not None and row >= self._cool_until:
            self.state, self.anomaly, self._told_at = State.ANOMALY, begun, row
            begun.told = row
            self._excess = self._growth = None
            told.append(begun)
        elif any(self._above) or self._evidence > OVER * self._limit:
            self.state = State.WARNING
        else:
            self.state = State.NORMAL

    def _end_or_remind(
        self, anomaly: Anomaly, score: float, profile: Array | None, row: int, told: list[Anomaly]
    ) -> None:
        quiet = score < self._settings.release_ratio * self.threshold and not self._evidence > OVER * self._limit
        self._pending.append((np.array([score]), profile))
        if not quiet:
            self._take_pending(anomaly)
        elif self._quiet_from is None:
            self._quiet_from = row
        if (
            self._quiet_from is not None
            and row + 1 - self._quiet_from >= self._rows_of["release"]
            and row + 1 - anomaly.told >= self._rows_of["hold"]
        ):
            anomaly.end = self._quiet_from
            told.append(anomaly)
            self._begin(0)
            self._origin, self.state = row, State.NORMAL
            self._cool_until = row + self._rows_of["cool_down"]
        elif row - self._told_at >= self._rows_of["remind"]:
            self._told_at = row
            anomaly.reminders += 1
            told.append(anomaly)

    def _take_pending(self, anomaly: Anomaly) -> None:
        """The scores that looked as if it were over for a moment only are part of the anomaly."""
        for part, profile in self._pending:
            anomaly.take(part, profile)
        self._pending, self._quiet_from = [], None


def _first(mask: NDArray[np.bool_]) -> int:
    """The index of the first True, or the length where there is none."""
    index = int(mask.argmax()) if len(mask) else 0
    return index if len(mask) and mask[index] else len(mask)
