"""Determines the thresholds of scores and of their cumulative sum from normal sound, with their uncertainty."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.bundle.threshold import Threshold
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.core.text import counted, duration_text
from monitor.core.types import DoubleArray, FloatArray
from monitor.detection.alarm import decisions_per_window, kth_of_last, rows_per_decision
from monitor.detection.cusum import CUSUM_SLACK, SURPRISE_CAP, cusum_step, surprise
from monitor.scoring.recording_score import RecordingScore
from monitor.scoring.scorer import rolling_length
from train.calibration.observations import PIECE_S, Observation, observe, offline_batch, portions_of
from train.calibration.reference import NormalPool, errors_of, fit_references, pieces_needed, scores_by
from train.calibration.tail_model import cusum_limit, seconds_to_prove, tail_threshold, upper_rate
from train.data.feature_cache import Frames

if TYPE_CHECKING:
    import torch

MIN_CUSUM_LIMIT = 3 * (SURPRISE_CAP - CUSUM_SLACK)  # so that three scores alone are no anomaly, whatever the budget
MAX_S = 36_000.0  # duration of training sound, and of held-out sound, that reference distributions are fitted to
MAX_NORMAL_SCORES = 2000  # scores of normal sound in a bundle: more do not make a p-value of 1/20 more accurate


@dataclass(frozen=True, slots=True)
class ScoredRecording:
    """A recording and its score."""

    frames: Frames
    score: float  # of the whole recording; NaN if it is too short for score.cut_frames
    seconds: float  # length


def score_recordings(bundle: Bundle, recordings: Iterable[Frames], device: torch.device | str) -> list[ScoredRecording]:
    """Scores recordings, each as a separate stream."""
    features, scorer = bundle.config.features, bundle.scorer()
    scored: list[ScoredRecording] = []
    with offline_batch(bundle, device) as batch:
        for frames in recordings:
            whole = RecordingScore(bundle.config.score, scorer, batch.row_width)
            for portion in portions_of(batch, frames):
                whole.push(portion.rows, portion.score)
            scored.append(ScoredRecording(frames, whole.value(), len(frames.power) * features.hop_s))
    return scored


def usual_band_error(observed: Sequence[Observation], n_mels: int) -> FloatArray:
    """The mean squared error (n_mels,) of each band on normal recordings."""
    pieces = np.concatenate([o.pieces for o in observed])
    mean: FloatArray = pieces[:, n_mels : 2 * n_mels].mean(axis=0).astype(np.float32)
    return mean


def calibrate_new(
    bundle: Bundle, training: Sequence[Frames], held_out: Sequence[Frames], device: torch.device | str
) -> Bundle:
    """Fits the reference distributions and thresholds of an autoencoder that has just been trained.

    Args:
        bundle: the model without reference distributions and thresholds.
        training: recordings that the autoencoder was trained on.
        held_out: other normal recordings.
        device: where the network computes.

    Returns:
        the complete bundle.

    Raises:
        DataError: if there is too little normal sound.
    """
    config = bundle.config
    held_out, training = (_sample(part, config) for part in (held_out, training))
    held = observe(bundle, held_out, device, trained=False)
    bundle = replace(bundle, usual_band_error=usual_band_error(held, config.features.n_mels))
    if config.score.kind == "error":
        bundle = replace(bundle, references={})
        pool = _with_max_scores(bundle, held_out, device, scores_by(bundle, held))
        return with_thresholds(bundle, pool, len(held))
    observed = [*observe(bundle, training, device, trained=True), *held]
    references, pool = fit_references(observed, config)
    bundle = replace(bundle, references=references)
    # Errors of training recordings are too low, and a single number cannot correct them: use held-out ones only.
    pool = replace(pool, errors=errors_of(held, config))
    return with_thresholds(bundle, _with_max_scores(bundle, held_out, device, pool), len(observed))


def recalibrate(
    bundle: Bundle, recordings: Sequence[Frames], device: torch.device | str, *, relearn: bool = False
) -> Bundle:
    """Returns the bundle with new thresholds.

    Args:
        bundle: a complete model.
        recordings: normal recordings that the autoencoder was not trained on.
        device: where the network computes.
        relearn: whether to fit new reference distributions to the recordings, too.

    Raises:
        DataError: if there is too little sound.
    """
    observed = observe(bundle, recordings, device, trained=False)
    if relearn and bundle.config.score.kind != "error":
        minutes = pieces_needed(bundle.config) * PIECE_S / 60
        if sum(len(o.pieces) for o in observed) < pieces_needed(bundle.config):
            raise DataError(
                f"New references need {minutes:.0f} minutes of normal sound, and there are "
                f"{sum(o.seconds for o in observed) / 60:.0f}: record more, or calibrate without --relearn."
            )
        references, pool = fit_references(observed, bundle.config)
        usual = usual_band_error(observed, bundle.config.features.n_mels)
        bundle = replace(bundle, references=references, usual_band_error=usual)
    else:
        pool = scores_by(bundle, observed)
    return with_thresholds(bundle, _with_max_scores(bundle, recordings, device, pool), len(recordings))


def with_thresholds(bundle: Bundle, pool: NormalPool, recordings: int) -> Bundle:
    """Returns the bundle with thresholds of the score, error and cumulative sum of streams, and of recordings.

    Sudden and lasting anomalies have half of the budget of false alarms a day each.

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
    recording = _recording_threshold(whole, config.calibration.fpr, common)
    bundle = replace(bundle, normal_dbfs=pool.dbfs)
    no_cusum = common.model_copy(update={"note": "lasting anomalies are switched off"})
    if config.score.recording == "max":
        # The score of a recording is its highest window score, so streams have the same threshold.
        found = {"score": recording, "error": recording, "recording": recording, "cusum": no_cusum}
        return replace(bundle, thresholds=found, normal_scores=np.empty(0))
    budget = config.calibration.false_alarms_per_day
    budget_each = budget / 2 if config.alarm.lasting else budget
    scores = _non_empty(pool.scores, whole)
    sudden = sudden_threshold(scores, config, budget_each)
    normal_scores, limit = _cusum(scores, config, budget_each) if config.alarm.lasting else (np.empty(0), np.inf)
    alarms = sum(_has_alarm(one, sudden, limit, normal_scores, config) for one in pool.scores)
    common = common.model_copy(update={"expected": float(budget), "note": _note(pool, budget, alarms)})
    confidence = {
        "upper": upper_rate(alarms, pool.seconds),
        "more_s": seconds_to_prove(budget, alarms, pool.seconds),
    }
    errors = sudden_threshold(_non_empty(pool.errors, np.array([np.nan])), config, budget)
    found = {
        "score": common.model_copy(update={"value": sudden, **confidence}),
        "error": common.model_copy(update={"value": errors}),
        "recording": recording,
        "cusum": common.model_copy(update={"value": limit, **confidence}) if config.alarm.lasting else no_cusum,
    }
    return replace(bundle, thresholds=found, normal_scores=normal_scores)


def sudden_threshold(scores: Sequence[DoubleArray], config: Config, per_day: float) -> float:
    """The threshold that k of the last n scores of normal sound exceed `per_day` times a day.

    Args:
        scores: (d,) of each recording, at the decisions of the alarm.
        config: settings of the model.
        per_day: times a day.
    """
    alarm, apart = config.alarm, _decisions_apart(config)
    highest = [
        np.maximum.reduceat(kth_of_last(s, min(alarm.k, len(s)), min(alarm.n, len(s))), np.arange(0, len(s), apart))
        for s in scores
    ]
    return tail_threshold(np.concatenate(highest), _step_s(config), per_day)


def _sample(recordings: Sequence[Frames], config: Config) -> Sequence[Frames]:
    """A random sample of about MAX_S of the recordings, because more sound does not improve the result."""
    order = np.random.default_rng(config.train.seed).permutation(len(recordings))
    seconds = np.cumsum([len(recordings[i].power) * config.features.hop_s for i in order])
    chosen = order[: 1 + int(np.searchsorted(seconds, MAX_S))]
    return [recordings[i] for i in sorted(chosen)]


def _with_max_scores(
    bundle: Bundle, recordings: Sequence[Frames], device: torch.device | str, pool: NormalPool
) -> NormalPool:
    """The pool; if `score.recording` is `max`, with the highest window scores as the scores of whole recordings."""
    if bundle.config.score.recording != "max":
        return pool
    return replace(pool, wholes=np.array([r.score for r in score_recordings(bundle, recordings, device)]))


def _recording_threshold(whole: DoubleArray, fpr: float, common: Threshold) -> Threshold:
    """The threshold of recordings, which a share `fpr` of the scores `whole` (n,) exceeds."""
    if not len(whole):
        raise DataError("No recording is long enough to be scored: make score.cut_frames smaller, or record longer.")
    # Just above the score of a normal recording, because a score equal to the threshold counts as anomalous.
    value = float(np.nextafter(np.quantile(whole, 1 - fpr, method="higher"), np.inf))
    if not 0 < value < np.inf:
        raise DataError("Normal sound gives no score to set a limit by: is there sound in all of these recordings?")
    above = int((whole >= value).sum())
    note = f"{counted(len(whole), 'normal recording')}, {above} of them above"
    return common.model_copy(update={"value": value, "expected": above / len(whole), "note": note})


def _cusum(scores: Sequence[DoubleArray], config: Config, per_day: float) -> tuple[DoubleArray, float]:
    """The normal scores (n,) that surprises are computed with, and the limit of the cumulative sum."""
    sequences = _independent(scores, config)
    normal_scores = np.sort(np.concatenate(sequences))
    limit = cusum_limit([surprise(one, normal_scores) for one in sequences], _step_s(config), per_day)
    limit = max(limit, MIN_CUSUM_LIMIT) if limit else limit
    if len(normal_scores) > MAX_NORMAL_SCORES:
        normal_scores = np.quantile(normal_scores, np.linspace(0, 1, MAX_NORMAL_SCORES))
    return normal_scores, limit


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
    alarms_a_day = f"{budget:g} false alarm{'' if budget == 1 else 's'} a day"
    found = "measured on" if upper_rate(alarms, pool.seconds) <= budget else "estimated from"
    return f"{alarms_a_day}, {found} {duration_text(pool.seconds)}"
