"""Determines the thresholds of scores and of their cumulative sum from normal sound, with their uncertainty."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.bundle.threshold import Threshold
from monitor.config.schema import Config
from monitor.core.text import duration_text
from monitor.core.types import DoubleArray
from monitor.detection.alarm_rules import decisions_per_window, kth_of_last, rows_per_decision
from monitor.detection.cusum import CUSUM_SLACK, SURPRISE_CAP, cusum_step, surprise
from monitor.scoring.scorer import rolling_length
from train.calibration import highest_scores
from train.calibration.normal_pool import NormalPool
from train.calibration.recording_threshold import recording_threshold
from train.calibration.tail_model import cusum_limits, seconds_to_prove, tail_thresholds, upper_rate

if TYPE_CHECKING:
    pass

MIN_CUSUM_LIMIT = 3 * (SURPRISE_CAP - CUSUM_SLACK)  # so that three scores alone are no anomaly, whatever the budget
# The rates that limits are found for, as multiples of the budget: that itself, more sensitive, and less.
RATES = (1.0, 10.0, 0.1)
# The least factor between the limits of two of these rates. Tails that are cut off at a multiple of the highest normal
# score would make limits equal, and then a sensitivity would change nothing.
LEAST_STEP = 1.1
TOO_LITTLE_S = 180.0  # duration of normal sound that is too short to promise a rate of false alarms by
MAX_NORMAL_SCORES = 2000  # scores of normal sound in a bundle: more do not make a p-value of 1/20 more accurate


def with_thresholds(bundle: Bundle, pool: NormalPool, recordings: int) -> Bundle:
    """Returns the bundle with thresholds of the score, error and cumulative sum of streams, and of recordings.

    Its provenance says which recordings have the highest scores, under `limits_set_by`.

    Sudden and lasting anomalies have half of the budget of false alarms a day each. The thresholds for ten times and
    for a tenth of the budget are found as well.

    Args:
        bundle: a model with reference distributions.
        pool: scores of normal sound.
        recordings: number of recordings in the pool.

    Raises:
        DataError: if no recording is long enough, or there is no sound.
    """
    config = bundle.config
    common = Threshold(
        value=0.0, method="normal", recordings=recordings, seconds=float(pool.seconds), expected=0.0,
        date=datetime.date.today().isoformat(),
    )  # fmt: skip
    whole = pool.wholes[~np.isnan(pool.wholes)]
    recording = recording_threshold(pool, config, common)
    set_by = {
        "score": highest_scores.of_stream(zip(pool.places, pool.scores, strict=True), config),
        "recording": highest_scores.of_recordings(zip(pool.whole_places, pool.wholes.tolist(), strict=True)),
    }
    bundle = replace(bundle, normal_dbfs=pool.dbfs, provenance=bundle.provenance | {"limits_set_by": set_by})
    no_cusum = common.model_copy(update={"note": "lasting anomalies are switched off"})
    if config.score.recording == "max":
        # The score of a recording is its highest window score, so streams have the same threshold.
        found = {"score": recording, "error": recording, "recording": recording, "cusum": no_cusum}
        return replace(bundle, thresholds=found, normal_scores=np.empty(0))
    budget = config.calibration.false_alarms_per_day
    budget_each = budget / 2 if config.alarm.lasting else budget
    scores = _non_empty(pool.scores, whole)
    sudden = sudden_thresholds(scores, config, budget_each)
    normal_scores, sums = _cusum(scores, config, budget_each) if config.alarm.lasting else (np.empty(0), [np.inf])
    alarms = sum(_has_alarm(one, sudden[0], sums[0], normal_scores, config) for one in pool.scores)
    common = common.model_copy(update={"expected": float(budget), "note": _note(pool, budget, alarms)})
    confidence = {
        "upper": upper_rate(alarms, pool.seconds),
        "more_s": seconds_to_prove(budget, alarms, pool.seconds),
    }
    errors = sudden_thresholds(_non_empty(pool.errors, np.array([np.nan])), config, budget)
    found = {
        "score": common.model_copy(update=_by_rate(sudden) | confidence),
        "error": common.model_copy(update=_by_rate(errors)),
        "recording": recording,
        "cusum": common.model_copy(update=_by_rate(sums) | confidence) if config.alarm.lasting else no_cusum,
    }
    return replace(bundle, thresholds=found, normal_scores=normal_scores)


def sudden_thresholds(scores: Sequence[DoubleArray], config: Config, per_day: float) -> list[float]:
    """The thresholds that k of the last n scores of normal sound exceed `per_day` times a day, and multiples of that.

    Args:
        scores: (d,) of each recording, at the decisions of the alarm.
        config: settings of the model.
        per_day: times a day.

    Returns:
        a threshold for each of RATES.
    """
    alarm, apart = config.alarm, _decisions_apart(config)
    highest = [
        np.maximum.reduceat(kth_of_last(s, min(alarm.k, len(s)), min(alarm.n, len(s))), np.arange(0, len(s), apart))
        for s in scores
    ]
    return tail_thresholds(np.concatenate(highest), _step_s(config), per_day, RATES)


def _cusum(scores: Sequence[DoubleArray], config: Config, per_day: float) -> tuple[DoubleArray, list[float]]:
    """The normal scores (n,) that surprises are computed with, and the limits of the cumulative sum for RATES."""
    sequences = _independent(scores, config)
    normal_scores = np.sort(np.concatenate(sequences))
    limits = cusum_limits([surprise(one, normal_scores) for one in sequences], _step_s(config), per_day, RATES)
    limits = [max(limit, MIN_CUSUM_LIMIT) if limit else limit for limit in limits]
    if len(normal_scores) > MAX_NORMAL_SCORES:
        normal_scores = np.quantile(normal_scores, np.linspace(0, 1, MAX_NORMAL_SCORES))
    return normal_scores, limits


def _by_rate(limits: Sequence[float]) -> dict[str, float]:
    """The fields of a `Threshold` for the limits at RATES."""
    value, tenfold, tenth = limits
    return {
        "value": value,
        "tenfold": min(tenfold, value / LEAST_STEP),
        "tenth": max(tenth, value * LEAST_STEP),
    }


def _non_empty(scores: Sequence[DoubleArray], otherwise: DoubleArray) -> list[DoubleArray]:
    """The scores of those recordings that have scores; if none has, only `otherwise`."""
    found = [s for s in scores if len(s)]
    return found or [otherwise]


def _decisions_apart(config: Config) -> int:
    """The number of decisions from one score to the next that shares no window with it."""
    per_decision = rows_per_decision(config.alarm, config.features.hop_s)
    return decisions_per_window(rolling_length(config.score, config.features), per_decision)


def _step_s(config: Config) -> float:
    """The seconds from one score that adds to the cumulative sum to the next."""
    return _decisions_apart(config) * rows_per_decision(config.alarm, config.features.hop_s) * config.features.hop_s


def _independent(scores: Sequence[DoubleArray], config: Config) -> list[DoubleArray]:
    """The scores of each recording that add to the cumulative sum: those that share no window."""
    apart = _decisions_apart(config)
    return [s[::apart] for s in scores]


def _has_alarm(scores: DoubleArray, sudden: float, limit: float, normal_scores: DoubleArray, config: Config) -> bool:
    """Whether the scores (d,) of one recording cause a sudden or a lasting anomaly."""
    if not len(scores):
        return False
    alarm = config.alarm
    if (kth_of_last(scores, alarm.k, alarm.n) > sudden).any():
        return True
    if not len(normal_scores):
        return False
    total = np.zeros(1)
    for one in surprise(_independent([scores], config)[0], normal_scores):
        total = cusum_step(total, np.array([one]), limit)
        if total[0] > limit:
            return True
    return False


def _note(pool: NormalPool, budget: float, alarms: int) -> str:
    """Says in words which rate of false alarms a threshold is set for, and from how much sound."""
    if pool.seconds < TOO_LITTLE_S:
        return f"a guess, from only {duration_text(pool.seconds)} of normal sound"
    alarms_a_day = f"{budget:g} false alarm{'' if budget == 1 else 's'} a day"
    found = "measured on" if upper_rate(alarms, pool.seconds) <= budget else "estimated from"
    return f"{alarms_a_day}, {found} {duration_text(pool.seconds)}"
