"""What normal sound is to a trained model: centre and precision of each part of the score, fitted and tested apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf, shrunk_covariance
from torch import Tensor

from monitor.detection.alarm import decision_rows
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.features.mel import FrameLevel
from monitor.scoring.scorer import PARTS, Normal, RollingMean, fuse, part_of, rolling_length
from monitor.streaming.stream import RowStream
from train.data.feature_cache import Frames

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

CHUNK = 4096  # frames pushed at once: memory does not grow with a recording
PIECE_S = 10.0  # of sound whose mean counts as one observation of what is normal
LIGHT = {"residual": 0.01, "spectrum": 0.003}  # shrinkage that tells faults best, where there is enough to learn from
ENOUGH = 1.5  # observations for each number of a statistic
FOLDS = 10
LEVEL_S = 0.5


@dataclass(frozen=True, slots=True)
class Observed:
    """The statistics of one normal recording: rows as `monitor.streaming.stream.RowStream` makes them, averaged."""

    frames: Frames
    seconds: float
    trained: bool  # whether the autoencoder was trained on it
    pieces: Array  # (p, row_width) means of about PIECE_S
    fine: Array  # (q, row_width) means of score.window_s, one after another
    decisions: Array  # (d, row_width) rolling means at each decision of the alarm
    whole: Array  # (row_width,) mean of all but score.cut_frames at the ends
    levels: Array  # (l,) dBFS of each LEVEL_S

    @property
    def wholes(self) -> Array:
        """What has a recording's score (n, row_width): the whole, or where it is long, each piece, to be comparable."""
        return self.whole[None] if len(self.pieces) == 1 else self.pieces


@dataclass(frozen=True, slots=True)
class Pool:
    """What normal sound scores where nothing that judges it was fitted on it."""

    scores: list[Array]  # (d,) of each recording, at the alarm's decisions
    errors: list[Array]  # (d,) rolling reconstruction error there
    wholes: Array  # (n,) scores of whole recordings, or where they are longer, of their pieces
    seconds: float
    dbfs: float  # the quietest it gets


def chunks(frames: Frames) -> Iterator[Tensor]:
    """A recording's power mel frames in pieces (1, t, n_mels)."""
    for start in range(0, len(frames.power), CHUNK):
        yield torch.from_numpy(np.array(frames.power[start : start + CHUNK]))[None]


def observe(bundle: Bundle, recordings: Iterable[Frames], device: torch.device, *, trained: bool) -> list[Observed]:
    """The statistics of recordings, each a stream of its own."""
    config = bundle.config
    stream, level = RowStream(bundle, 1, device), FrameLevel(config.features)
    length = rolling_length(config.score, config.features)
    step = decision_rows(config.alarm, config.features.hop_s)
    return [_observe(config, stream, level, frames, length, step, trained) for frames in recordings]


def _observe(
    config: Config, stream: RowStream, level: FrameLevel, frames: Frames, length: int, step: int, trained: bool
) -> Observed:
    stream.reset()
    rolling = RollingMean(length, stream.width)
    count, cut, hop_s = len(frames.power), config.score.cut_frames, config.features.hop_s
    pieces = _Means(_lengths(count, max(1, int(count * hop_s / PIECE_S))), stream.width)
    fine = _Means([min(length, count)] * max(1, count // length), stream.width)
    whole = _Means([cut, max(0, count - 2 * cut)], stream.width)
    quiet = max(1, round(LEVEL_S / hop_s))
    levels = _Means([min(quiet, count)] * max(1, count // quiet), 1)
    decisions: list[Array] = []
    seen = 0
    for chunk in (*chunks(frames), None):
        rows = (stream.flush() if chunk is None else stream.push(chunk)).cpu()
        for means in (pieces, fine, whole):
            means.push(rows[0].double().numpy())
        if chunk is not None:
            levels.push((10 ** (level(chunk[0]) / 10)).double().numpy()[:, None])
        rolled = rolling.push(rows)[0].numpy()
        beyond = seen - (length - 1)  # rows past the first decision
        decisions.append(rolled[-beyond if beyond < 0 else -beyond % step :: step])
        seen += rows.shape[1]
    return Observed(
        frames, count * hop_s, trained, pieces.done(), fine.done(), np.concatenate(decisions), whole.done()[-1],
        10 * np.log10(np.maximum(levels.done()[:, 0], 1e-20)),
    )  # fmt: skip


def _lengths(total: int, parts: int) -> list[int]:
    edges = [total * i // parts for i in range(parts + 1)]
    return [after - before for before, after in pairwise(edges)]


class _Means:
    """Means of consecutive stretches of rows, of given lengths; what comes after them is not counted."""

    def __init__(self, lengths: list[int], width: int) -> None:
        self._edges = np.cumsum(lengths)
        self._sums = np.zeros((len(lengths), width))
        self._lengths = np.array(lengths, np.float64)
        self._seen = 0

    def push(self, rows: Array) -> None:
        """The next rows (k, width)."""
        stretch = np.searchsorted(self._edges, np.arange(self._seen, self._seen + len(rows)), side="right")
        for number in np.unique(stretch[stretch < len(self._sums)]):
            self._sums[number] += rows[stretch == number].sum(axis=0)
        self._seen += len(rows)

    def done(self) -> Array:
        """The means (stretches, width); NaN for one without rows."""
        with np.errstate(invalid="ignore"):
            means: Array = self._sums / self._lengths[:, None]
        return means


def fit_normal(recordings: Sequence[Observed], config: Config) -> tuple[dict[str, Normal], Pool]:
    """What is normal of each part of the score, and what normal sound scores by it.

    Fitted on all recordings. What they score is found by cross-validation: each fold's recordings are judged by
    what the others say is normal. The autoencoder itself was trained on most of them, and reconstructs those a little
    too well: ln d² of their residuals is moved up by what it is lower on average than that of the held-out ones.

    Raises:
        DataError: if there is too little normal sound.
    """
    parts = PARTS[config.score.kind]
    if not parts:
        wholes = np.concatenate([o.wholes[:, _errors(config)].mean(axis=1) for o in recordings])
        return {}, pool_of(errors_of(recordings, config), wholes, recordings, config)
    observed = _divided(recordings)
    ends = np.cumsum([len(o.decisions) for o in observed])[:-1]
    decisions, wholes = np.concatenate([o.decisions for o in observed]), np.concatenate([o.wholes for o in observed])
    folds = _folds(observed)
    normals: dict[str, Normal] = {}
    by_decision, by_whole = np.empty((len(decisions), len(parts))), np.empty((len(wholes), len(parts)))
    for i, part in enumerate(parts):
        by_decision[:, i], by_whole[:, i] = _out_of_fold(observed, decisions, wholes, part, config, folds)
        if part == "residual":
            _even_out(by_decision[:, i], np.repeat([o.trained for o in observed], [len(o.decisions) for o in observed]))
            _even_out(by_whole[:, i], np.repeat([o.trained for o in observed], [len(o.wholes) for o in observed]))
        usual = [_mean_and_deviation(by_decision[:, i]), _mean_and_deviation(by_whole[:, i])]
        if not np.isfinite(usual[0]).all():  # all recordings are shorter than score.window_s
            usual[0] = usual[1]
        if len(wholes) < 3 or not np.isfinite(usual[1]).all():
            usual[1] = usual[0]
        centre, precision = _gaussian(observed, part, config, slice(None))
        normals[part] = Normal(torch.from_numpy(centre), torch.from_numpy(precision), torch.tensor(usual).double())
    stacked = torch.stack([normals[part].usual for part in parts])
    scores = fuse(torch.from_numpy(by_decision), stacked[:, 0]).numpy()
    pool = pool_of(np.split(scores, ends), fuse(torch.from_numpy(by_whole), stacked[:, 1]).numpy(), observed, config)
    return normals, pool


def pool_of(scores: list[Array], wholes: Array, observed: Sequence[Observed], config: Config) -> Pool:
    """Scores of normal sound, with the recordings' errors and levels."""
    errors = errors_of(observed, config)
    dbfs = float(np.quantile(np.concatenate([o.levels for o in observed]), 0.01))
    return Pool(scores, errors, wholes, sum(o.seconds for o in observed), dbfs)


def errors_of(observed: Sequence[Observed], config: Config) -> list[Array]:
    """The rolling reconstruction error (d,) at each decision of recordings."""
    return [o.decisions[:, _errors(config)].mean(axis=1) for o in observed]


def judge(bundle: Bundle, observed: Sequence[Observed]) -> Pool:
    """What recordings score by a finished bundle that knows none of them."""
    scorer = bundle.scorer()
    scores = [scorer(torch.from_numpy(o.decisions)).numpy() for o in observed]
    wholes = scorer(torch.from_numpy(np.concatenate([o.wholes for o in observed])), whole=True).numpy()
    return pool_of(scores, wholes, observed, bundle.config)


def _errors(config: Config) -> slice:
    return slice(config.features.n_mels, 2 * config.features.n_mels)


def _divided(observed: Sequence[Observed]) -> Sequence[Observed]:
    """Fewer recordings than folds, if they are long, as so many stretches of them."""
    parts = -(-FOLDS // len(observed))
    if parts == 1:
        return observed
    divided: list[Observed] = []
    for o in observed:
        count = min(parts, len(o.pieces))
        if count == 1:
            divided.append(o)
            continue
        split = [np.array_split(rows, count) for rows in (o.pieces, o.fine, o.decisions, o.levels)]
        for pieces, fine, decisions, levels in zip(*split, strict=True):
            divided.append(
                replace(o, seconds=o.seconds / count, pieces=pieces, fine=fine, decisions=decisions,
                        whole=pieces.mean(axis=0), levels=levels)
            )  # fmt: skip
    return divided


def _folds(observed: Sequence[Observed]) -> Indices:
    """The fold of each recording; with fewer recordings than folds, one each."""
    return np.arange(len(observed)) % min(FOLDS, len(observed))


def _out_of_fold(
    observed: Sequence[Observed], decisions: Array, wholes: Array, part: str, config: Config, folds: Indices
) -> tuple[Array, Array]:
    """ln d² of decisions (d,) and of whole recordings (n,) by Gaussians that were not fitted on them."""
    of_decision = np.repeat(folds, [len(o.decisions) for o in observed])
    of_whole = np.repeat(folds, [len(o.wholes) for o in observed])
    by_decision, by_whole = np.empty(len(decisions)), np.empty(len(wholes))
    for fold in range(int(folds.max()) + 1):
        others = np.flatnonzero(folds != fold)
        if sum(len(observed[int(i)].fine) for i in others) < 2:  # there is nothing else to judge it by
            others = np.arange(len(observed))
        centre, precision = _gaussian(observed, part, config, others)
        for rows, which, out in ((decisions, of_decision == fold, by_decision), (wholes, of_whole == fold, by_whole)):
            offset = _columns(rows[which], part, config) - centre
            out[which] = np.log(np.maximum(((offset @ precision) * offset).sum(axis=1), 1e-300))
    return by_decision, by_whole


def _gaussian(observed: Sequence[Observed], part: str, config: Config, which: Indices | slice) -> tuple[Array, Array]:
    chosen = [observed[i] for i in np.arange(len(observed))[which]]
    pieces = np.concatenate([o.pieces for o in chosen])
    if not _many(observed, 2 * config.features.n_mels):
        pieces = np.concatenate([o.fine for o in chosen])
    if len(pieces) < 2:
        raise DataError("Too little normal sound to learn what is normal: two recordings at least, or longer ones.")
    # By all the sound there is, so that a fold is fitted like the whole.
    columns = _columns(pieces, part, config)
    light = LIGHT[part] if _many(observed, ENOUGH * columns.shape[1]) else None
    return gaussian(columns, light if config.score.shrinkage == "auto" else config.score.shrinkage)


def pieces_wanted(config: Config) -> int:
    """Pieces of normal sound that it takes to know all parts of the score well."""
    numbers = [config.features.n_mels * (2 if part == "spectrum" else 1) for part in PARTS[config.score.kind]]
    return round(ENOUGH * max(numbers, default=0))


def _many(observed: Sequence[Observed], wanted: float) -> bool:
    """Whether there are so many independent observations."""
    return sum(len(o.pieces) for o in observed) >= wanted


def gaussian(means: Array, shrinkage: float | str | None) -> tuple[Array, Array]:
    """Centre (p,) and precision (p, p) of observations (n, p), from their covariance S, shrunk.

    A number s gives (1 - s)·S + s·(trace S / p)·I; anything else chooses s by the data (Ledoit & Wolf, 2004).
    """
    size = means.shape[1]
    if not isinstance(shrinkage, float):
        covariance = ledoit_wolf(means)[0]
    else:
        covariance = shrunk_covariance(np.cov(means.T, bias=True), shrinkage)
    # A model that reconstructs perfectly has no covariance: the least that float64 can invert.
    covariance += np.eye(size) * max(1e-12 * float(np.trace(covariance)) / size, 1e-30)
    return means.mean(axis=0), np.linalg.inv(covariance)


def _columns(rows: Array, part: str, config: Config) -> Array:
    columns: Array = part_of(torch.from_numpy(rows), part, config.features.n_mels).numpy()
    return columns


def _even_out(log_distances: Array, trained: NDArray[np.bool_]) -> None:
    """Moves those of recordings that were trained on up by what they are lower on average."""
    if trained.any() and not trained.all() and len(log_distances):
        lower = log_distances[~trained].mean() - log_distances[trained].mean()
        log_distances[trained] += max(0.0, float(np.nan_to_num(lower)))


def _mean_and_deviation(values: Array) -> list[float]:
    return [float(values.mean()), float(values.std())] if len(values) else [np.nan, np.nan]
