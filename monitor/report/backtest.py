"""What other settings of the alarm would have done with the last weeks, from stored scores and verdicts."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

from monitor.bundle.bundle import Bundle
from monitor.bundle.threshold import Threshold
from monitor.config import schema
from monitor.core.errors import ConfigError, DataError
from monitor.detection.cusum import Limits
from monitor.outputs.score_history import Segment
from monitor.report.alarm_rerun import Found, Rules, anomalies_in
from monitor.scoring.scorer import rolling_length
from monitor.store.records import StoredEvent

DAY_S = 86_400.0
CONFIDENCE = 0.95
NEAR_S = 10.0  # an anomaly that begins so soon after an event, or ends so soon before it, is the same
REAL = "real fault"


T = TypeVar("T")


class Spans(Generic[T]):
    """Times with what happened then; finds what overlaps another time, or is less than `NEAR_S` apart.

    Args:
        items: onset, end and what happened.
    """

    def __init__(self, items: Iterable[tuple[float, float, T]]) -> None:
        self._items = sorted(items, key=lambda one: one[0])
        self._ends = list(accumulate((ended for _, ended, _ in self._items), max))

    def at(self, onset: float, ended: float) -> T | None:
        """The first that meets this time; None if none does."""
        first = bisect_left(self._ends, onset - NEAR_S)
        if first < len(self._items) and self._items[first][0] <= ended + NEAR_S:
            return self._items[first][2]
        return None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What settings do with stored scores."""

    rules: Rules
    anomalies: tuple[Found, ...]
    of_event: dict[str, Found]  # by the id of an event, the first anomaly at its time
    false_alarms: int  # anomalies at no time of a real fault
    seconds: float  # of sound that was decided on

    @property
    def per_day(self) -> float:
        """Anomalies a day."""
        return len(self.anomalies) / self.seconds * DAY_S

    @property
    def false_alarms_upper(self) -> float:
        """The upper 95 % confidence bound of the false alarms a day (Garwood, 1936)."""
        from scipy import stats

        return float(stats.chi2.ppf(CONFIDENCE, 2 * (self.false_alarms + 1)) / 2 / self.seconds * DAY_S)


@dataclass(frozen=True, slots=True)
class Backtest:
    """The outcomes of settings, side by side; the first are the settings in force."""

    outcomes: tuple[Outcome, ...]
    events: tuple[StoredEvent, ...]  # the anomalies in the store at times that were decided on
    events_at: Spans[StoredEvent]
    began: float  # Unix times of the first and last decision
    ended: float
    seconds: float  # of sound that was decided on
    other_models_s: float  # of sound that other models scored, which is left out
    other_limits_s: float  # of sound at which the limits in force were others than those of the first outcome

    def reported(self, verdict: str, outcome: Outcome) -> int:
        """How many of the events with a verdict have an anomaly."""
        return sum(one.id in outcome.of_event for one in self.events if one.verdict == verdict)

    def delays(self, outcome: Outcome) -> list[tuple[StoredEvent, float | None]]:
        """Of each real fault, how much later than with the first settings it is reported, in seconds; None: it is not.

        Where the first settings do not report it, the time is against the stored event.
        """
        first = self.outcomes[0].of_event
        made: list[tuple[StoredEvent, float | None]] = []
        for event in self.events:
            if event.verdict == REAL:
                found = outcome.of_event.get(event.id)
                before = first[event.id].reported if event.id in first else event.reported
                made.append((event, None if found is None else found.reported - before))
        return made

    def vanished(self, outcome: Outcome) -> list[Found]:
        """The anomalies of the first settings at whose time there is none."""
        return _without(self.outcomes[0].anomalies, outcome.anomalies)

    def new(self, outcome: Outcome) -> list[Found]:
        """The anomalies at whose time there is none with the first settings."""
        return _without(outcome.anomalies, self.outcomes[0].anomalies)

    def event_at(self, found: Found) -> StoredEvent | None:
        """The stored event at the time of an anomaly."""
        return self.events_at.at(found.onset, found.ended)


def backtest(
    bundle: Bundle, segments: Sequence[Segment], events: Sequence[StoredEvent], rules: Sequence[Rules]
) -> Backtest:
    """Decides on stored scores with several settings.

    Args:
        bundle: the model in force; scores of other models are left out.
        segments: the stored scores.
        events: anomalies in the store.
        rules: the settings in force first, then others.

    Raises:
        DataError: if there are no scores of this model.
    """
    own = [one for one in segments if one.model_id == bundle.model_id]
    others_s = sum(one.seconds for one in segments if one.model_id != bundle.model_id)
    if not own:
        others = ", only of other models" if segments else ""
        raise DataError(
            f"There are no stored scores of model {bundle.model_id} in this time{others}: `monitor live` keeps them "
            "(store.keep_scores_days)."
        )
    window_rows = rolling_length(bundle.config.score, bundle.config.features)
    limits = rules[0].limits
    known = tuple(one for one in events if one.kind == "anomaly" and _heard(own, one))
    seconds = sum(one.seconds for one in own)
    return Backtest(
        outcomes=tuple(_outcome(own, one, window_rows, known, seconds) for one in rules),
        events=known,
        events_at=Spans((one.onset, _end(one), one) for one in known),
        began=min(float(one.time[0]) for one in own),
        ended=max(float(one.time[-1]) for one in own),
        seconds=seconds,
        other_models_s=others_s,
        other_limits_s=sum(_with_other_limits(one, limits) for one in own),
    )


def rules_for_budget(bundle: Bundle, settings: schema.Alarm, per_day: float) -> Rules:
    """The rules for another number of false alarms a day than the model is calibrated for.

    The calibration knows the limits for its own number, for ten times as many, and for a tenth. Between them, and
    beyond, the logarithm of the limit is taken as linear in the logarithm of the number.

    Args:
        bundle: the model.
        settings: of the alarm.
        per_day: false alarms a day.

    Raises:
        ConfigError: if the limits for other numbers are not known.
    """
    settings = settings.model_copy(update={"threshold": None, "sensitivity": "normal"})
    calibrated = Limits.of(bundle, settings)
    threshold = _for_rate(bundle.thresholds["score"], per_day)
    cusum = _for_rate(bundle.thresholds["cusum"], per_day) if calibrated.cusum < math.inf else math.inf
    return Rules(settings, Limits(threshold, cusum, calibrated.normal_scores))


def is_beyond_calibration(bundle: Bundle, per_day: float) -> bool:
    """Whether a number of false alarms a day is outside of those that the calibration knows limits for."""
    expected = bundle.thresholds["score"].expected
    return not 0.0999 * expected <= per_day <= 10.01 * expected


def _for_rate(threshold: Threshold, per_day: float) -> float:
    tenfold, tenth = threshold.tenfold, threshold.tenth
    if tenfold is None or tenth is None or not 0 < tenfold < threshold.value < tenth or not threshold.expected:
        raise ConfigError(
            "calibration.false_alarms_per_day: this model knows its limits for one number of false alarms only: "
            "calibrate it anew (`monitor calibrate`), or give alarm.threshold."
        )
    decades = math.log10(per_day / threshold.expected)
    other = tenfold if decades > 0 else tenth
    return float(threshold.value * (other / threshold.value) ** abs(decades))


def _outcome(
    segments: Sequence[Segment], rules: Rules, window_rows: int, events: Sequence[StoredEvent], seconds: float
) -> Outcome:
    anomalies = tuple(sorted(anomalies_in(segments, rules, window_rows), key=lambda one: one.reported))
    found = _spans(anomalies)
    of_event = {one.id: at for one in events if (at := found.at(one.onset, _end(one))) is not None}
    faults = Spans((one.onset, _end(one), one) for one in events if one.verdict == REAL)
    false_alarms = sum(faults.at(one.onset, one.ended) is None for one in anomalies)
    return Outcome(rules, anomalies, of_event, false_alarms, seconds)


def _heard(segments: Sequence[Segment], event: StoredEvent) -> bool:
    """Whether an event was reported at a time that there are scores of."""
    return any(one.time[0] - NEAR_S <= event.reported <= one.time[-1] + NEAR_S for one in segments)


def _with_other_limits(segment: Segment, limits: Limits) -> float:
    """The seconds of sound that were decided on with other limits."""
    same = abs(segment.threshold - limits.threshold) <= 1e-9 * limits.threshold
    if limits.cusum < math.inf:
        same &= abs(segment.limit - limits.cusum) <= 1e-9 * limits.cusum
    else:
        same &= segment.limit == math.inf
    return float((~same).sum()) * segment.per_decision * segment.hop_s


def _end(event: StoredEvent) -> float:
    return math.inf if event.ended is None else event.ended


def _spans(anomalies: Iterable[Found]) -> Spans[Found]:
    return Spans((one.onset, one.ended, one) for one in anomalies)


def _without(ones: Sequence[Found], others: Sequence[Found]) -> list[Found]:
    there = _spans(others)
    return [one for one in ones if there.at(one.onset, one.ended) is None]
