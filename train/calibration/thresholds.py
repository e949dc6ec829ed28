"""The thresholds: how high normal sound scores, how much evidence it gathers, and how sure that is."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monitor.detection.alarm import DRIFT, MOST, accumulate, decision_rows, evidence_every, persistent, surprise
from monitor.bundle.bundle import Bundle, Threshold
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.scoring.scorer import RecordingScore, rolling_length, row_width
from monitor.streaming.stream import Scores, ScoreStream
from monitor.core.text import counted, heard
from train.data.feature_cache import Frames
from train.calibration.reference import PIECE_S, Observed, Pool, chunks, errors_of, fit_normal, judge, observe, pieces_wanted
from train.calibration.tail_model import evidence_limit, seconds_to_prove, tail_threshold, upper_rate

LEAST_EVIDENCE = 3 * (MOST - DRIFT)  # so that no three moments alone make an anomaly, however generous the budget
MOST_S = 36_000.0  # of sound that is trained on, and of held-out sound, to learn what is normal from
KEPT_SCORES = 2000  # of normal sound: more tell nothing more about one in twenty

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScoredRecording:
    """A recording and its score as a whole; NaN if it is too short for score.cut_frames."""

    frames: Frames
    score: float
    seconds: float


def scores_of(stream: ScoreStream, frames: Frames) -> Iterator[Scores]:
    """The scores of one recording, in pieces, from its mel frames; a new stream begins and ends with it."""
    stream.reset()
    for chunk in chunks(frames):
        yield stream.push_frames(chunk)
    yield stream.flush_frames()


def score_recordings(bundle: Bundle, recordings: Iterable[Frames], device: torch.device) -> list[ScoredRecording]:
    """Scores recordings one by one, each as a stream of its own."""
    stream = ScoreStream(bundle, 1, device)
    score, features = bundle.config.score, bundle.config.features
    scored: list[ScoredRecording] = []
    for frames in recordings:
        whole = RecordingScore(score, bundle.scorer(), row_width(score, features))
        for scores in scores_of(stream, frames):
            whole.push(scores.rows[0], scores.score[0])
        scored.append(ScoredRecording(frames, whole.value(), len(frames.power) * features.hop_s))
    return scored


def usual_band_error(observed: Sequence[Observed], n_mels: int) -> Tensor:
    """The mean squared error of each band on normal recordings: (n_mels,)."""
    pieces = np.concatenate([o.pieces for o in observed])
    return torch.from_numpy(pieces[:, n_mels : 2 * n_mels].mean(axis=0)).float()


def learn_normal(
    bundle: Bundle, training: Sequence[Frames], held_out: Sequence[Frames], device: torch.device
) -> Bundle:
    """The bundle with what is normal to its autoencoder, and thresholds.

    Raises:
        DataError: if there is too little normal sound.
    """
    config = bundle.config
    held_out, training = (_at_most(part, config) for part in (held_out, training))
    held = observe(bundle, held_out, device, trained=False)
    bundle = replace(bundle, usual_band_error=usual_band_error(held, config.features.n_mels))
    if config.score.kind == "error":
        bundle = replace(bundle, normals={})
        return with_thresholds(bundle, _worst_moments(bundle, held_out, device, judge(bundle, held)), len(held))
    observed = [*observe(bundle, training, device, trained=True), *held]
    normals, pool = fit_normal(observed, config)
    bundle = replace(bundle, normals=normals)
    # The errors of recordings that were trained on cannot be evened out by one number: those of others count.
    pool = replace(pool, errors=errors_of(held, config))
    return with_thresholds(bundle, _worst_moments(bundle, held_out, device, pool), len(observed))


def _at_most(recordings: Sequence[Frames], config: Config) -> Sequence[Frames]:
    """The recordings, or MOST_S of them, drawn by the seed: more sound than that makes nothing surer."""
    order = np.random.default_rng(config.train.seed).permutation(len(recordings))
    seconds = np.cumsum([len(recordings[i].power) * config.features.hop_s for i in order])
    chosen = order[: 1 + int(np.searchsorted(seconds, MOST_S))]
    return [recordings[i] for i in sorted(chosen)]


def calibrate(bundle: Bundle, recordings: Sequence[Frames], device: torch.device, *, relearn: bool = False) -> Bundle:
    """The bundle with thresholds from these normal recordings, which it must not have been trained on.

    Args:
        relearn: what is normal to the autoencoder is learnt from them, too.

    Raises:
        DataError: if there is too little sound.
    """
    observed = observe(bundle, recordings, device, trained=False)
    if relearn and bundle.config.score.kind != "error":
        minutes = pieces_wanted(bundle.config) * PIECE_S / 60
        if sum(len(o.pieces) for o in observed) < pieces_wanted(bundle.config):
            raise DataError(
                f"To learn anew what is normal takes {minutes:.0f} minutes of sound, and there are "
                f"{sum(o.seconds for o in observed) / 60:.0f}: record more, or calibrate without --relearn."
            )
        normals, pool = fit_normal(observed, bundle.config)
        usual = usual_band_error(observed, bundle.config.features.n_mels)
        bundle = replace(bundle, normals=normals, usual_band_error=usual)
    else:
        pool = judge(bundle, observed)
    return with_thresholds(bundle, _worst_moments(bundle, recordings, device, pool), len(recordings))


def _worst_moments(bundle: Bundle, recordings: Sequence[Frames], device: torch.device, pool: Pool) -> Pool:
    """The pool with the scores that whole recordings have where their worst moment is their score."""
    if bundle.config.score.recording != "max":
        return pool
    return replace(pool, wholes=np.array([r.score for r in score_recordings(bundle, recordings, device)]))


def with_thresholds(bundle: Bundle, pool: Pool, recordings: int) -> Bundle:
    """The bundle with thresholds of a stream's score, error and evidence, and of a recording, from normal sound.

    Half of the false alarms that there may be a day are the sudden ones', and half those of the evidence.

    Raises:
        DataError: if no recording is long enough, or there is no sound.
    """
    config, calibration = bundle.config, bundle.config.calibration
    today = datetime.date.today().isoformat()
    common = Threshold(0.0, "normal", recordings, pool.seconds, 0.0, date=today)
    whole = pool.wholes[~np.isnan(pool.wholes)]
    if not len(whole):
        raise DataError("No recording is long enough to be scored: make score.cut_frames smaller, or record longer.")
    # Just above a score that was seen: that recording is not an anomaly.
    value = float(np.nextafter(np.quantile(whole, 1 - calibration.fpr, method="higher"), np.inf))
    if not 0 < value < np.inf:
        raise DataError("Normal sound gives no score to set a threshold by: is there sound in all of these recordings?")
    above = int((whole >= value).sum())
    note = f"{counted(len(whole), 'normal recording')}, {above} of them above"
    recording = replace(common, value=value, expected=above / len(whole), note=note)
    none = replace(common, note="evidence does not count")
    bundle = replace(bundle, normal_dbfs=pool.dbfs)
    if config.score.recording == "max":
        # The score of a recording is its worst moment, so a moment is judged by the same threshold.
        found = {"score": recording, "error": recording, "recording": recording, "evidence": none}
        return replace(bundle, thresholds=found, normal_scores=torch.empty(0, dtype=torch.float64))
    budget = calibration.false_alarms_per_day
    shared = budget / 2 if config.alarm.evidence else budget
    sudden = sudden_threshold(_long_enough(pool.scores, whole), config, shared)
    found = {"recording": recording, "evidence": none}
    normal_scores = np.empty(0)
    limit = np.inf
    if config.alarm.evidence:
        sequences = _apart(_long_enough(pool.scores, whole), config)
        normal_scores = np.sort(np.concatenate(sequences))
        limit = evidence_limit([surprise(s, normal_scores) for s in sequences], _evidence_s(config), shared)
        limit = max(limit, LEAST_EVIDENCE) if limit else limit
        if len(normal_scores) > KEPT_SCORES:
            normal_scores = np.quantile(normal_scores, np.linspace(0, 1, KEPT_SCORES))
    alarms = sum(_alarms(scores, sudden, limit, normal_scores, config) for scores in pool.scores)
    common = replace(common, expected=budget, note=_note(pool, budget, alarms))
    sure = replace(
        common, upper=upper_rate(alarms, pool.seconds), more_s=seconds_to_prove(budget, alarms, pool.seconds)
    )
    found["score"] = replace(sure, value=sudden)
    errors = _long_enough(pool.errors, np.array([np.nan]))
    found["error"] = replace(common, value=sudden_threshold(errors, config, budget))
    if config.alarm.evidence:
        found["evidence"] = replace(sure, value=limit)
    return replace(bundle, thresholds=found, normal_scores=torch.from_numpy(normal_scores))


def _long_enough(scores: Sequence[Array], otherwise: Array) -> list[Array]:
    """The scores of the recordings that have any; where none has, those of whole recordings are the nearest."""
    found = [s for s in scores if len(s)]
    return found or [otherwise]


def sudden_threshold(scores: Sequence[Array], config: Config, per_day: float) -> float:
    """What k of n decisions on normal sound exceed together `per_day` times a day.

    Args:
        scores: (d,) of each recording, at the alarm's decisions.
    """
    features, alarm = config.features, config.alarm
    block = decision_rows(alarm, features.hop_s)
    apart = evidence_every(rolling_length(config.score, features), block)
    highest = [
        np.maximum.reduceat(persistent(s, min(alarm.k, len(s)), min(alarm.n, len(s))), np.arange(0, len(s), apart))
        for s in scores
    ]
    return tail_threshold(np.concatenate(highest), apart * block * features.hop_s, per_day)


def _evidence_s(config: Config) -> float:
    block = decision_rows(config.alarm, config.features.hop_s)
    apart = evidence_every(rolling_length(config.score, config.features), block)
    return apart * block * config.features.hop_s


def _apart(scores: Sequence[Array], config: Config) -> list[Array]:
    """Of each recording's decisions those that add evidence: they share no window."""
    block = decision_rows(config.alarm, config.features.hop_s)
    return [s[:: evidence_every(rolling_length(config.score, config.features), block)] for s in scores]


def _alarms(scores: Array, sudden: float, limit: float, normal_scores: Array, config: Config) -> int:
    """Whether one recording raised an alarm: 0 or 1."""
    if not len(scores):
        return 0
    alarm = config.alarm
    if (persistent(scores, alarm.k, alarm.n) > sudden).any():
        return 1
    if not len(normal_scores):
        return 0
    total = np.zeros(1)
    for evidence in surprise(_apart([scores], config)[0], normal_scores):
        total = accumulate(total, np.array([evidence]), limit)
        if total[0] > limit:
            return 1
    return 0


def _note(pool: Pool, budget: float, alarms: int) -> str:
    alarms_a_day = f"{budget:g} false alarm{'' if budget == 1 else 's'} a day"
    found = "measured on" if upper_rate(alarms, pool.seconds) <= budget else "estimated from"
    return f"{alarms_a_day}, {found} {heard(pool.seconds)}"
