"""Determines the thresholds of scores and of their cumulative sum from normal sound, with their uncertainty."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.bundle.threshold import NOT_MUCH_SHORTER, ShorterLimit, Threshold
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.core.text import counted, duration_text
from monitor.core.types import DoubleArray
from monitor.detection.alarm_rules import decisions_per_window, kth_of_last, rows_per_decision
from monitor.detection.cusum import CUSUM_SLACK, SURPRISE_CAP, cusum_step, surprise
from monitor.scoring.recording_score import RecordingScore
from monitor.scoring.scorer import rolling_length
from train.calibration import highest_scores
from train.calibration.band_error import usual_band_error
from train.calibration.highest_normal import highest_normal, independent_recordings
from train.calibration.highest_scores import Place
from train.calibration.machine_facts import learn_machine, with_usual_sound
from train.calibration.normal_pool import NormalPool, errors_of, scores_by
from train.calibration.observations import PIECE_S, observe, offline_batch, portions_of
from train.calibration.reference import fit_references, pieces_needed
from train.calibration.tail_model import cusum_limits, seconds_to_prove, tail_thresholds, upper_rate
from train.data.feature_cache import Frames
from train.data.sessions import sessions_of_frames

if TYPE_CHECKING:
    import torch

MIN_CUSUM_LIMIT = 3 * (SURPRISE_CAP - CUSUM_SLACK)  # so that three scores alone are no anomaly, whatever the budget
# The rates that limits are found for, as multiples of the budget: that itself, more sensitive, and less.
RATES = (1.0, 10.0, 0.1)
# The least factor between the limits of two of these rates. Tails that are cut off at a multiple of the highest normal
# score would make limits equal, and then a sensitivity would change nothing.
LEAST_STEP = 1.1
TOO_LITTLE_S = 180.0  # duration of normal sound that is too short to promise a rate of false alarms by
MAX_S = 36_000.0  # duration of training sound, and of held-out sound, that reference distributions are fitted to
MAX_NORMAL_SCORES = 2000  # scores of normal sound in a bundle: more do not make a p-value of 1/20 more accurate


@dataclass(frozen=True, slots=True)
class ScoredRecording:
    """A recording and its score."""

    frames: Frames
    score: float  # of the whole recording; NaN if it is too short for score.cut_frames
    seconds: float  # length
    length_factor: float = 1.0  # by how much the limit is higher for this length; NaN if it is too short to judge

    @property
    def comparable(self) -> float:
        """The score as a recording of usual length would have it; NaN if it cannot be compared."""
        return self.score / self.length_factor


def score_recordings(bundle: Bundle, recordings: Iterable[Frames], device: torch.device | str) -> list[ScoredRecording]:
    """Scores recordings, each as a separate stream."""
    features, scorer = bundle.config.features, bundle.scorer()
    scored: list[ScoredRecording] = []
    with offline_batch(bundle, device) as batch:
        for frames in recordings:
            whole = RecordingScore(bundle.config.score, scorer)
            for portion in portions_of(batch, frames):
                whole.push(portion.rows, portion.means, portion.score)
            seconds = len(frames.power) * features.hop_s
            scored.append(ScoredRecording(frames, whole.value(), seconds, bundle.length_factor(seconds)))
    return scored


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
    bundle, rhythm = learn_machine(bundle, [*training, *held_out])
    held = observe(bundle, held_out, device, trained=False, with_cuts=True)
    bundle = replace(bundle, usual_band_error=usual_band_error(bundle, held))
    if config.score.kind == "error":
        bundle = replace(bundle, references={})
        pool = with_max_scores(bundle, held_out, device, scores_by(bundle, held))
        return with_thresholds(bundle, pool, len(held))
    observed = [*observe(bundle, training, device, trained=True, with_cuts=True), *held]
    bundle = with_usual_sound(bundle, observed)
    fitted = fit_references(observed, config, bundle.layout, rhythm)
    bundle = replace(bundle, references=fitted.references, rhythm=fitted.rhythm)
    bundle = with_sessions(bundle, [*training, *held_out])
    # Errors of training recordings are too low, and a single number cannot correct them: use held-out ones only.
    pool = replace(fitted.pool, errors=errors_of(held, config))
    return with_thresholds(bundle, with_max_scores(bundle, held_out, device, pool), len(observed))


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
    bundle = with_sessions(bundle, recordings)
    relearn = relearn and bundle.config.score.kind != "error"
    rhythm = None
    if relearn:
        bundle, rhythm = learn_machine(bundle, recordings)
    observed = observe(bundle, recordings, device, trained=False, with_cuts=True)
    if relearn:
        minutes = pieces_needed(bundle.config) * PIECE_S / 60
        if sum(len(o.pieces) for o in observed) < pieces_needed(bundle.config):
            raise DataError(
                f"New references need {minutes:.0f} minutes of normal sound, and there are "
                f"{sum(o.seconds for o in observed) / 60:.0f}: record more, or calibrate without --relearn."
            )
        bundle = with_usual_sound(bundle, observed)
        fitted = fit_references(observed, bundle.config, bundle.layout, rhythm)
        pool, usual = fitted.pool, usual_band_error(bundle, observed)
        bundle = replace(bundle, references=fitted.references, rhythm=fitted.rhythm, usual_band_error=usual)
    else:
        pool = scores_by(bundle, observed)
    return with_thresholds(bundle, with_max_scores(bundle, recordings, device, pool), len(recordings))


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


def with_sessions(bundle: Bundle, recordings: Sequence[Frames]) -> Bundle:
    """The bundle with the facts of the sessions of its normal sound in its provenance."""
    sessions = sessions_of_frames(recordings, bundle.config.features.hop_s)
    return replace(bundle, provenance=bundle.provenance | {"sessions": sessions.facts()})


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


def _sample(recordings: Sequence[Frames], config: Config) -> Sequence[Frames]:
    """A random sample of about MAX_S of the recordings, because more sound does not improve the result."""
    order = np.random.default_rng(config.train.seed).permutation(len(recordings))
    seconds = np.cumsum([len(recordings[i].power) * config.features.hop_s for i in order])
    chosen = order[: 1 + int(np.searchsorted(seconds, MAX_S))]
    return [recordings[i] for i in sorted(chosen)]


def with_max_scores(
    bundle: Bundle, recordings: Sequence[Frames], device: torch.device | str, pool: NormalPool
) -> NormalPool:
    """The pool; if `score.recording` is `max`, with the highest window scores as the scores of whole recordings."""
    if bundle.config.score.recording != "max":
        return pool
    scored = score_recordings(bundle, recordings, device)
    places = [Place(r.frames.path) for r in scored]
    seconds = np.array([r.seconds for r in scored])
    return replace(pool, wholes=np.array([r.score for r in scored]), whole_places=places, whole_s=seconds)


def recording_threshold(pool: NormalPool, config: Config, common: Threshold) -> Threshold:
    """The threshold of recordings, which a share `calibration.fpr` of normal ones exceeds, and what short ones have.

    Args:
        pool: scores of normal sound.
        config: settings of the model.
        common: the fields that all thresholds have.

    Raises:
        DataError: if no recording is long enough, or there is no sound.
    """
    fpr, scored = config.calibration.fpr, ~np.isnan(pool.wholes)
    if not scored.any():
        raise DataError("No recording is long enough to be scored: make score.cut_frames smaller, or record longer.")
    highest_score = config.score.recording == "max"  # does not depend much on the length of a recording
    length_s = 0.0 if highest_score else float(np.quantile(pool.whole_s[scored], 0.5, method="higher"))
    # The scores of much shorter recordings are higher: they would raise the limit of the others.
    whole = pool.wholes[scored & (pool.whole_s >= NOT_MUCH_SHORTER * length_s)]
    value = _exceeded_by(whole, fpr)
    shorter: list[ShorterLimit] = []
    if not 0 < value < np.inf:
        raise DataError("Normal sound gives no score to set a limit by: is there sound in all of these recordings?")
    independent = independent_recordings(pool.whole_places, pool.whole_s)
    highest = highest_normal(whole, independent)
    for seconds in np.unique(pool.cut_s[pool.cut_s < length_s])[::-1]:
        cuts = pool.cuts[pool.cut_s == seconds]
        longer = shorter[0] if shorter else ShorterLimit(seconds=length_s, factor=1.0, highest=1.0)
        factor, of_highest = max(longer.factor, _exceeded_by(cuts, fpr) / value), None
        if highest and longer.highest and (of_cuts := highest_normal(cuts, independent)):
            of_highest = max(longer.highest, of_cuts / highest)
        shorter.insert(0, ShorterLimit(seconds=float(seconds), factor=factor, highest=of_highest))
    above = int((whole >= value).sum())
    note = f"{counted(len(whole), 'normal recording')}, {above} of them above"
    return common.model_copy(
        update={
            "value": value, "expected": above / len(whole), "note": note, "length_s": length_s, "shorter": shorter,
            "highest": highest,
        }
    )  # fmt: skip


def _exceeded_by(scores: DoubleArray, share: float) -> float:
    """The value that this share of the scores (n,) exceeds.

    It is above one of the scores, because a score equal to a threshold counts as anomalous: by more than the rounding
    of a score that is computed again.
    """
    return float(np.quantile(scores, 1 - share, method="higher")) * (1 + 1e-9)


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
