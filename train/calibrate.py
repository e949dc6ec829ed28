"""What normal sound is to a trained model: the residual's centre and precision, and the thresholds."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from sklearn.covariance import ledoit_wolf, shrunk_covariance
from torch import Tensor

from monitor.bundle import Bundle, Threshold
from monitor.config import Calibration, Score
from monitor.errors import DataError
from monitor.scoring import NormalResidual, RecordingScore, Scorer, rolling_length
from monitor.stream import ErrorStream, Scores, ScoreStream
from monitor.words import counted
from train.frames import Frames

DAY_S = 86400.0
CHUNK = 4096  # frames pushed at once: memory does not grow with a recording
PIECE_S = 10.0  # of sound whose mean residual counts as one observation of what is normal
LIGHT_SHRINKAGE = 0.01
TAIL_SHARE = 0.1  # of the decisions: the tail that is extrapolated
SURE_EVENTS = 10  # of the rare kind that normal sound has to show before their rate is known within a third
MAX_STRETCH = 2.0  # a threshold is not extrapolated further than this times the highest normal score

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScoredRecording:
    """A recording and all that the thresholds are made of."""

    frames: Frames
    score: float  # of the whole recording; NaN if it is too short for score.cut_frames
    seconds: float
    score_blocks: Array  # (blocks,) highest anomaly score in each run of score.window_s
    error_blocks: Array  # (blocks,) highest rolling error in each


def scores_of(stream: ScoreStream, frames: Frames) -> Iterator[Scores]:
    """The scores of one recording, in pieces, from its mel frames; a new stream begins and ends with it."""
    stream.reset()
    for chunk in _chunks(frames):
        yield stream.push_frames(chunk)
    yield stream.flush_frames()


def _chunks(frames: Frames) -> Iterator[Tensor]:
    """A recording's mel frames in pieces (1, t, n_mels)."""
    for start in range(0, len(frames.power), CHUNK):
        yield torch.from_numpy(np.array(frames.power[start : start + CHUNK]))[None]


def score_recordings(bundle: Bundle, recordings: Iterable[Frames], device: torch.device) -> list[ScoredRecording]:
    """Scores recordings one by one, each as a stream of its own."""
    stream = ScoreStream(bundle, 1, device)
    config = bundle.config
    length = rolling_length(config.score, config.features)
    scored: list[ScoredRecording] = []
    for frames in recordings:
        whole = RecordingScore(config.score, Scorer(config.score, bundle.normal_residual), config.features.n_mels)
        rolling: list[Array] = []
        errors: list[Array] = []
        for scores in scores_of(stream, frames):
            whole.push(scores.residual[0], scores.band_error[0], scores.score[0])
            rolling.append(scores.score[0].numpy())
            errors.append(scores.rolling_error[0].numpy())
        seconds = len(frames.power) * config.features.hop_s
        blocks = (_block_maxima(np.concatenate(part), length) for part in (rolling, errors))
        scored.append(ScoredRecording(frames, whole.value(), seconds, *blocks))
    return scored


def _block_maxima(rolling: Array, length: int) -> Array:
    """The highest of each run of `length` rolling scores: decisions that share no window. Short rests count too."""
    valid = rolling[~np.isnan(rolling)]
    if not len(valid):
        return valid
    return np.maximum.reduceat(valid, np.arange(0, len(valid), length))


def normal_residual(bundle: Bundle, recordings: Sequence[Frames], device: torch.device) -> NormalResidual:
    """The centre and the precision of the mean residual on normal sound.

    One observation is the mean residual of ten seconds of a recording (or of all of it, where it is shorter), so
    that what differs from recording to recording is part of what is normal; where that gives fewer than two
    observations a band, of score.window_s.

    Raises:
        DataError: if there are fewer than two observations.
    """
    config = bundle.config
    short = rolling_length(config.score, config.features)
    merged = max(1, round(PIECE_S / (short * config.features.hop_s)))
    stream = ErrorStream(bundle, 1, device)
    fine = [_residual_pieces(stream, frames, short) for frames in recordings]
    pieces = np.concatenate([_piece_means(piece, merged) for piece in fine])
    if len(pieces) < 2 * config.features.n_mels:
        pieces = np.concatenate(fine)
    if len(pieces) < 2:
        raise DataError("Too little normal sound to learn what is normal: two recordings at least, or longer ones.")
    return fit_normal_residual(pieces, config.score)


def fit_normal_residual(means: Array, score: Score) -> NormalResidual:
    """Centre and precision of mean residuals (n, n_mels), the covariance shrunk as `score.shrinkage` says.

    A number s gives (1 - s)·S + s·(trace S / n_mels)·I; `ledoit-wolf` chooses s (Ledoit & Wolf, 2004); `auto` is
    LIGHT_SHRINKAGE, which tells faults best, or `ledoit-wolf` where there are too few observations to be so bold.
    """
    count, n_mels = means.shape
    centre = means.mean(axis=0)
    shrinkage = score.shrinkage
    if shrinkage == "auto":
        shrinkage = LIGHT_SHRINKAGE if count >= 2 * n_mels else "ledoit-wolf"
    if shrinkage == "ledoit-wolf":
        covariance = ledoit_wolf(means)[0]
    else:
        covariance = shrunk_covariance(np.cov(means.T, bias=True), shrinkage)
    # A model that reconstructs perfectly has no covariance: the least that float64 can invert.
    covariance += np.eye(n_mels) * max(1e-12 * float(np.trace(covariance)) / n_mels, 1e-30)
    return NormalResidual(torch.from_numpy(centre), torch.from_numpy(np.linalg.inv(covariance)))


def _residual_pieces(stream: ErrorStream, frames: Frames, length: int) -> Array:
    """The mean residual of each run of `length` windows of a recording: (pieces, n_mels)."""
    stream.reset()
    n_mels = frames.power.shape[1]
    waiting = torch.empty(0, n_mels)
    pieces: list[Array] = []
    for chunk in (*_chunks(frames), None):
        rows = stream.flush() if chunk is None else stream.push(chunk)
        waiting = torch.cat((waiting, rows[0, :, :n_mels].cpu()))
        whole = len(waiting) // length * length
        if whole or (chunk is None and not pieces):
            pieces.append(_piece_means(waiting[: whole or None].double().numpy(), length))
        waiting = waiting[whole:]
    return np.concatenate(pieces)


def _piece_means(rows: Array, length: int) -> Array:
    """Means of runs of `length` rows (n, M), a shorter rest left out unless it is all there is."""
    count = max(1, len(rows) // length)
    length = min(length, len(rows))
    means: Array = rows[: count * length].reshape(count, length, -1).mean(axis=1)
    return means


def usual_band_error(bundle: Bundle, recordings: Sequence[Frames], device: torch.device) -> Tensor:
    """The mean squared error of each band on normal recordings: (n_mels,)."""
    stream = ScoreStream(bundle, 1, device)
    total, count = torch.zeros(bundle.config.features.n_mels, dtype=torch.float64), 0
    for frames in recordings:
        for scores in scores_of(stream, frames):
            total += scores.band_error[0].double().sum(dim=0)
            count += scores.band_error.shape[1]
    return (total / count).float()


def thresholds_from_normal(bundle: Bundle, scored: Sequence[ScoredRecording]) -> dict[str, Threshold]:
    """The thresholds of a stream's score and error, and of a recording's score, from normal sound alone."""
    calibration, score = bundle.config.calibration, bundle.config.score
    seconds = sum(recording.seconds for recording in scored)
    block_s = rolling_length(score, bundle.config.features) * bundle.config.features.hop_s
    common = Threshold(0.0, "normal", len(scored), seconds, 0.0, "", datetime.date.today().isoformat())
    whole = np.array([r.score for r in scored])
    whole = whole[~np.isnan(whole)]
    if not len(whole):
        raise DataError("No recording is long enough to be scored: make score.cut_frames smaller, or record longer.")
    # Just above a score that was seen: that recording is not an anomaly.
    value = float(np.nextafter(np.quantile(whole, 1 - calibration.fpr, method="higher"), np.inf))
    if not 0 < value < np.inf:
        raise DataError("Normal sound gives no score to set a threshold by: is there sound in all of these recordings?")
    above = int((whole >= value).sum())
    note = f"{counted(len(whole), 'normal recording')}, {above} of them above"
    recording = replace(common, value=value, expected=above / len(whole), note=note)
    if score.recording == "max":
        # The score of a recording is its worst moment, so a moment is judged by the same threshold.
        return {"score": recording, "error": recording, "recording": recording}
    found = {"recording": recording}
    for name, blocks in (
        ("score", np.concatenate([r.score_blocks for r in scored])),
        ("error", np.concatenate([r.error_blocks for r in scored])),
    ):
        if not len(blocks):  # all recordings are shorter than score.window_s: their own scores are the nearest there is
            blocks = whole
        value, note = tail_threshold(blocks, block_s, calibration, seconds)
        found[name] = replace(common, value=value, expected=calibration.false_alarms_per_day, note=note)
    return found


def tail_threshold(decisions: Array, decision_s: float, calibration: Calibration, seconds: float) -> tuple[float, str]:
    """The value that normal sound exceeds `false_alarms_per_day` times a day, and a note on how sure that is.

    The highest tenth of the decisions is fitted with a generalised Pareto distribution (Pickands, 1975) and
    extrapolated to the rare level asked for, but never beyond twice the highest normal score seen.

    Args:
        decisions: independent scores of normal sound, one every `decision_s` seconds.
        seconds: of sound that they come from.
    """
    per_day = DAY_S / decision_s
    rate = min(0.5, calibration.false_alarms_per_day / per_day)
    highest = float(decisions.max())
    start = float(np.quantile(decisions, 1 - TAIL_SHARE))
    excess = decisions[decisions > start] - start
    if rate * len(decisions) >= SURE_EVENTS:
        value = float(np.quantile(decisions, 1 - rate))
    elif len(excess) >= 5 and excess.std() > 0:
        shape, _, scale = stats.genpareto.fit(excess, floc=0)
        shape = float(np.clip(shape, 0.0, 0.5))  # a bounded tail promises too much, a heavier one is a bad fit
        scale = float(excess.mean() * (1 - shape))
        value = start + float(stats.genpareto.isf(rate * len(decisions) / len(excess), shape, scale=scale))
        value = min(max(value, highest), MAX_STRETCH * highest)
    else:
        value = MAX_STRETCH * highest
    heard = f"{seconds / 60:.0f} min" if seconds >= 180 else f"{seconds:.0f} s"
    wanted = calibration.false_alarms_per_day
    found = "measured on" if rate * len(decisions) >= SURE_EVENTS else "estimated from"
    return value, f"{wanted:g} false alarm{'' if wanted == 1 else 's'} a day, {found} {heard}"


def calibrate(bundle: Bundle, recordings: Sequence[Frames], device: torch.device) -> Bundle:
    """The bundle with thresholds from these normal recordings, which it must not have been trained on."""
    scored = score_recordings(bundle, recordings, device)
    return replace(bundle, thresholds=thresholds_from_normal(bundle, scored))
