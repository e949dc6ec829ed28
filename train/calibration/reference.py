"""Fits the reference distribution of each score part on normal sound, and scores that sound by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.covariance import ledoit_wolf, shrunk_covariance

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.core.types import BoolArray, DoubleArray, IndexArray
from monitor.scoring.gaussian import TINY, Reference
from monitor.scoring.score_parts import SCORE_KINDS, ScorePart
from monitor.scoring.scorer import fuse
from train.calibration.highest_scores import Place
from train.calibration.observations import Observation

# Observations for each dimension of a part: with fewer, the covariance is shrunk as by Ledoit and Wolf.
OBSERVATIONS_PER_DIMENSION = 1.5
FOLDS = 10  # of the cross-validation


@dataclass(frozen=True, slots=True)
class NormalPool:
    """Scores of normal sound, each by reference distributions that were not fitted on the scored recording."""

    scores: list[DoubleArray]  # (d,) of each recording, at the decisions of the alarm
    errors: list[DoubleArray]  # (d,) rolling reconstruction errors of each recording, at the decisions of the alarm
    wholes: DoubleArray  # (n,) scores of whole recordings; of long recordings, scores of their pieces
    seconds: float  # duration of the sound
    dbfs: float  # level of the quietest sound: the 1 % quantile
    places: list[Place]  # of each recording
    whole_places: list[Place]  # of each of `wholes`
    whole_s: DoubleArray  # (n,) their durations in seconds
    cuts: DoubleArray  # (c,) scores of parts that were cut out of the recordings, and
    cut_s: DoubleArray  # (c,) their durations in seconds


def fit_references(recordings: Sequence[Observation], config: Config) -> tuple[dict[str, Reference], NormalPool]:
    """Fits a reference distribution for each score part on all recordings, and scores these by cross-validation.

    The recordings of each fold are scored by reference distributions fitted on the other folds. The autoencoder was
    trained on most of the recordings and reconstructs those a little too well, so ln d² of their residuals is raised
    by the difference between its means on held-out and on training recordings.

    Args:
        recordings: statistics of normal recordings.
        config: settings of the model.

    Returns:
        the reference distributions by the name of the part, and the scores of the recordings.

    Raises:
        DataError: if there is too little normal sound.
    """
    parts = SCORE_KINDS[config.score.kind]
    if not parts:
        wholes, cuts = (_rows(recordings, name)[:, _errors(config)].mean(axis=1) for name in ("wholes", "cuts"))
        return {}, pool_of(errors_of(recordings, config), wholes, recordings, config, cuts)
    observed = _divide_long(recordings)
    ends = np.cumsum([len(o.decisions) for o in observed])[:-1]
    folds, trained = _folds(observed), np.array([o.trained for o in observed])
    references: dict[str, Reference] = {}
    names = ("decisions", "wholes", "cuts")
    rows, owners = [_rows(observed, name) for name in names], [_owners(observed, name) for name in names]
    by_decision, by_whole, by_cut = log_distances = [np.empty((len(one), len(parts))) for one in rows]
    for i, part in enumerate(parts):
        found = _out_of_fold(observed, rows, owners, part, config, folds)
        for distances, one, owner in zip(log_distances, found, owners, strict=True):
            if part.needs_network:
                _correct_for_training(one, trained[owner])
            distances[:, i] = one
        usual = [_mean_and_deviation(by_decision[:, i]), _mean_and_deviation(by_whole[:, i])]
        if not np.isfinite(usual[0]).all():  # all recordings are shorter than score.window_s
            usual[0] = usual[1]
        if len(by_whole) < 3 or not np.isfinite(usual[1]).all():
            usual[1] = usual[0]
        references[part.name] = Reference(*_gaussian(observed, part, config, np.arange(len(observed))), np.array(usual))
    log_distance = np.stack([references[part.name].log_distance for part in parts])
    scores = fuse(by_decision, log_distance[:, 0])
    wholes, cuts = (fuse(one, log_distance[:, 1]) for one in (by_whole, by_cut))
    return references, pool_of(np.split(scores, ends), wholes, observed, config, cuts)


def pool_of(
    scores: list[DoubleArray],
    wholes: DoubleArray,
    observed: Sequence[Observation],
    config: Config,
    cuts: DoubleArray | None = None,
) -> NormalPool:
    """Combines scores of normal sound with the errors and levels of its recordings.

    Args:
        scores: (d,) of each recording, at the decisions of the alarm.
        wholes: (n,) scores of whole recordings.
        observed: statistics of the recordings.
        config: settings of the model.
        cuts: (c,) scores of parts that were cut out of the recordings, if there are any.
    """
    dbfs = float(np.quantile(np.concatenate([o.levels for o in observed]), 0.01))
    places = [o.place for o in observed]
    whole_places = [place for o in observed for place in o.whole_places]
    seconds = sum(o.seconds for o in observed)
    left_out_s = 2 * config.score.cut_frames * config.features.hop_s  # of a whole that is no piece
    counts = [len(o.wholes) for o in observed]
    whole_s = np.repeat(
        [o.seconds / n - (left_out_s if n == 1 else 0.0) for o, n in zip(observed, counts, strict=True)], counts
    )
    cut_s = np.concatenate([o.cut_s for o in observed])
    return NormalPool(
        scores, errors_of(observed, config), wholes, seconds, dbfs, places, whole_places,
        whole_s, np.empty(0) if cuts is None else cuts, cut_s,
    )  # fmt: skip


def errors_of(observed: Sequence[Observation], config: Config) -> list[DoubleArray]:
    """The rolling reconstruction errors (d,) of each recording, at the decisions of the alarm."""
    return [o.decisions[:, _errors(config)].mean(axis=1) for o in observed]


def scores_by(bundle: Bundle, observed: Sequence[Observation]) -> NormalPool:
    """Scores recordings by the reference distributions of a bundle, which were not fitted on them."""
    scorer = bundle.scorer()
    wholes, cuts = (scorer(_rows(observed, name), whole_recordings=True) for name in ("wholes", "cuts"))
    return pool_of([scorer(o.decisions) for o in observed], wholes, observed, bundle.config, cuts)


def pieces_needed(config: Config) -> int:
    """The number of pieces of normal sound that the reference distributions of all score parts need."""
    sizes = [part.size(config.features.n_mels) for part in SCORE_KINDS[config.score.kind]]
    return round(OBSERVATIONS_PER_DIMENSION * max(sizes, default=0))


def gaussian(means: DoubleArray, shrinkage: float | str | None) -> tuple[DoubleArray, DoubleArray]:
    """Fits a Gaussian with a shrunk covariance, (1 - s)·S + s·(trace S / p)·I for the sample covariance S.

    Args:
        means: (n, p) observations.
        shrinkage: s; if it is not a number, s is estimated from the data (Ledoit & Wolf, 2004).

    Returns:
        centre (p,) and inverse covariance (p, p).
    """
    size = means.shape[1]
    if not isinstance(shrinkage, float):
        covariance = ledoit_wolf(means)[0]
    else:
        covariance = shrunk_covariance(np.cov(means.T, bias=True), shrinkage)
    # Perfect reconstructions have a covariance of 0: add the least variance with which float64 can invert it.
    covariance += np.eye(size) * max(1e-12 * float(np.trace(covariance)) / size, 1e-30)
    return means.mean(axis=0), np.linalg.inv(covariance)


def _errors(config: Config) -> slice:
    """The columns of a mean row with the squared errors of the bands."""
    return slice(config.features.n_mels, 2 * config.features.n_mels)


def _rows(observed: Sequence[Observation], name: str) -> DoubleArray:
    """The mean rows (n, row_width) in a field of all observations, in order."""
    rows: list[DoubleArray] = [getattr(o, name) for o in observed]
    return np.concatenate([one for one in rows if len(one)] or [np.empty((0, observed[0].pieces.shape[1]))])


def _owners(observed: Sequence[Observation], name: str) -> IndexArray:
    """The number (n,) of the observation that each of these rows belongs to."""
    return np.repeat(np.arange(len(observed)), [len(getattr(o, name)) for o in observed])


def _divide_long(observed: Sequence[Observation]) -> Sequence[Observation]:
    """Divides recordings into parts if there are fewer recordings than folds; a recording of one piece stays whole."""
    parts = -(-FOLDS // len(observed))
    if parts == 1:
        return observed
    divided: list[Observation] = []
    for o in observed:
        count = min(parts, len(o.pieces))
        if count == 1:
            divided.append(o)
            continue
        names = ("pieces", "fine", "decisions", "levels", "cuts", "cut_s")
        split = [np.array_split(getattr(o, name), count) for name in names]
        before = 0
        for number, (pieces, fine, decisions, levels, cuts, cut_s) in enumerate(zip(*split, strict=True)):
            divided.append(
                replace(o, seconds=o.seconds / count, pieces=pieces, fine=fine, decisions=decisions,
                        whole=pieces.mean(axis=0), levels=levels, at_s=o.seconds * number / count,
                        decisions_before=before, cuts=cuts, cut_s=cut_s)
            )  # fmt: skip
            before += len(decisions)
    return divided


def _folds(observed: Sequence[Observation]) -> IndexArray:
    """The number of the fold of each recording; with fewer recordings than folds, each has a fold of its own."""
    return np.arange(len(observed)) % min(FOLDS, len(observed))


def _out_of_fold(
    observed: Sequence[Observation],
    rows: Sequence[DoubleArray],
    owners: Sequence[IndexArray],
    part: ScorePart,
    config: Config,
    folds: IndexArray,
) -> list[DoubleArray]:
    """Computes ln d² of each fold by a Gaussian fitted on the other folds.

    Args:
        observed: statistics of the recordings.
        rows: (n, row_width) mean rows, in several arrays.
        owners: (n,) number of the recording that each row belongs to, for each of these arrays.
        part: the score part.
        config: settings of the model.
        folds: number of the fold of each recording.

    Returns:
        ln d² (n,) of each of the arrays.
    """
    columns = part.slice(config.features.n_mels)
    found = [np.empty(len(one)) for one in rows]
    for fold in range(int(folds.max()) + 1):
        others = np.flatnonzero(folds != fold)
        if sum(len(observed[int(i)].fine) for i in others) < 2:  # too little: fit on all recordings
            others = np.arange(len(observed))
        centre, inverse_covariance = _gaussian(observed, part, config, others)
        for one, owner, out in zip(rows, owners, found, strict=True):
            which = folds[owner] == fold
            offset = one[which][:, columns] - centre
            out[which] = np.log(np.maximum(((offset @ inverse_covariance) * offset).sum(axis=1), TINY))
    return found


def _gaussian(
    observed: Sequence[Observation], part: ScorePart, config: Config, which: IndexArray
) -> tuple[DoubleArray, DoubleArray]:
    """The centre and the inverse covariance of a score part, fitted on the recordings `which`."""
    chosen = [observed[int(i)] for i in which]
    means = np.concatenate([o.pieces for o in chosen])
    if not _has_pieces(observed, 2 * config.features.n_mels):
        means = np.concatenate([o.fine for o in chosen])
    if len(means) < 2:
        raise DataError("Too little normal sound for a reference: two recordings at least, or longer ones.")
    # The shrinkage depends on all recordings, so that each fold is fitted in the same way as the whole.
    columns = means[:, part.slice(config.features.n_mels)]
    enough = _has_pieces(observed, OBSERVATIONS_PER_DIMENSION * columns.shape[1])
    light = part.light_shrinkage if enough else None
    return gaussian(columns, light if config.score.shrinkage == "auto" else config.score.shrinkage)


def _has_pieces(observed: Sequence[Observation], needed: float) -> bool:
    """Whether recordings have at least `needed` pieces, which are independent observations."""
    return sum(len(o.pieces) for o in observed) >= needed


def _correct_for_training(log_distances: DoubleArray, trained: BoolArray) -> None:
    """Raises ln d² of training recordings, in place, to the mean of held-out recordings if theirs is lower."""
    if trained.any() and not trained.all() and len(log_distances):
        lower = log_distances[~trained].mean() - log_distances[trained].mean()
        log_distances[trained] += max(0.0, float(np.nan_to_num(lower)))


def _mean_and_deviation(values: DoubleArray) -> list[float]:
    return [float(values.mean()), float(values.std())] if len(values) else [np.nan, np.nan]
