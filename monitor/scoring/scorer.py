"""The anomaly score: the distances of the score parts, each relative to normal sound, combined into one number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from monitor.config.schema import Config, Features, Score
from monitor.core.array_backend import NUMPY, ArrayBackend, namespace, on_device
from monitor.core.types import Array, DoubleArray, FloatArray, IndexArray
from monitor.scoring.attribution import signed_contributions
from monitor.scoring.gaussian import TINY, Reference, SquaredDistance
from monitor.scoring.rhythm import Rhythm
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.score_parts import PEAKS, parts_of


class Scorer:
    """Computes anomaly scores from mean rows of window statistics, as `score.kind` says.

    Kind `error` is the mean reconstruction error. The other kinds have one or more parts. The squared Mahalanobis
    distance of each part is divided by its geometric mean on normal sound, and the fused score is the weighted
    geometric mean of these ratios: a part whose distance varies less on normal sound has a larger weight. So a score of
    1 is typical of normal sound, for every machine and kind.

    A machine that clicks or strokes has alternatives, too: its peaks, and its rhythm. Each is a ratio on the same scale
    as the fused score, and the anomaly score is the highest of them.

    Args:
        config: settings of the model.
        references: reference distributions by the name of the part.
        usual_band_error: (n_mels,) mean squared error of each band on normal sound.
        layout: of the mean rows; None: that of `config`, without anything that depends on the machine.
        rhythm: of normal sound, if the machine has one.
        streams: number of streams, each with its own centres, which `recentre` can move. 0: no streams are
            distinguished, and all rows are scored with the model's centres.
        backend: where scores are computed. Shares and contributions are computed in host memory.

    Raises:
        ValueError: if the reference distribution of a part is missing.
    """

    def __init__(
        self,
        config: Config,
        references: Mapping[str, Reference],
        usual_band_error: FloatArray,
        *,
        layout: RowLayout | None = None,
        rhythm: Rhythm | None = None,
        streams: int = 0,
        backend: ArrayBackend = NUMPY,
    ) -> None:
        self.kind, self.parts = config.score.kind, parts_of(config.score)
        self.layout = layout or RowLayout.of(config)
        self._columns = [self.layout.columns(part) for part in self.parts]
        self._n_mels, self._backend, self._rhythm = config.features.n_mels, backend, rhythm
        self._usual_error = usual_band_error.astype(np.float64)
        if missing := [part.name for part in self.parts if part.name not in references]:
            raise ValueError(f"the {self.kind} score needs reference distributions of: {', '.join(missing)}")
        self._fitted = [references[part.name] for part in self.parts]
        self._peaks = references.get(PEAKS.name) if self.layout.peaks else None
        # Of the fused parts, and last of the peaks, if the machine has any.
        compared = self._fitted if self._peaks is None else [*self._fitted, self._peaks]
        self._distances = [SquaredDistance(one, backend) for one in compared]
        self._host_distances = self._distances if backend is NUMPY else [SquaredDistance(one) for one in compared]
        shifts = [np.zeros((streams, one.size)) for one in self._fitted]
        self._any_shift = False  # whether a stream has been recentred
        # With numpy these share the arrays of `_shifts`, so that a shift changes in both.
        self._shifts, self._shifts_on_device = shifts, [backend.upload(one) for one in shifts]
        # The mean of ln d² of each part, and the weights of the parts: for means over score.window_s, and over whole
        # recordings.
        stats = np.stack([one.log_distance for one in self._fitted], axis=1) if self._fitted else np.zeros((2, 0, 2))
        self._fusion = [list(zip(one[:, 0].tolist(), part_weights(one).tolist(), strict=True)) for one in stats]

    def __call__(
        self, means: Array, *, whole_recordings: bool = False, streams: IndexArray | slice | None = None
    ) -> Array:
        """Computes the anomaly scores of mean rows.

        Args:
            means: (…, mean_width) mean rows, as `layout` describes them; (n, k, mean_width) if `streams` is given.
            whole_recordings: whether the means are over whole recordings, not over score.window_s.
            streams: (n,) numbers of the streams, or a slice if they follow one another; None: their own centres are not
                used.

        Returns:
            scores (…) float64.
        """
        xp = namespace(means)
        if self.kind == "error":
            return xp.astype(self.layout.reconstruction_error(means), xp.float64)
        shifts: list[Array | float] = [0.0] * len(self.parts)
        if streams is not None and self._any_shift:
            which = on_device(streams, self._backend)
            shifts = [shift[which][:, None] for shift in self._shifts_on_device]
        log_score = self._log_fused(means, self._distances, shifts, self._fusion[int(whole_recordings)])
        for other in self._alternatives(means, int(whole_recordings)):
            log_score = xp.where(other > log_score, other, log_score)  # where there is none (NaN), it is not higher
        return xp.exp(log_score)

    def shares(
        self, means: FloatArray | DoubleArray, *, whole_recordings: bool = False, stream: int | None = None
    ) -> tuple[DoubleArray, DoubleArray]:
        """The share of each band in the scores of mean rows, and whether the band has new or missing sound.

        Args:
            means: (…, mean_width).
            whole_recordings: as in `__call__`.
            stream: number of the stream, if each stream has its own centres.

        Returns:
            shares (…, n_mels), which add up to 1; single ones can be negative. For kind `error` they are shares in the
            excess over the usual band error, and their absolute values add up to 1. Where the peaks are more unusual
            than all else, they are the shares of the peaks. The rhythm has no bands: where it is, they are 0.
            directions (…, n_mels): > 0 for bands with more sound than normal, < 0 for bands with less.
        """
        bands = self._n_mels
        means = means.astype(np.float64)
        if self.kind == "error":
            excess = means[..., self.layout.error_columns] - self._usual_error
            total = np.maximum(np.abs(excess).sum(axis=-1, keepdims=True), TINY)
            return excess / total, -means[..., :bands]
        share, direction = np.zeros((*means.shape[:-1], bands)), np.zeros((*means.shape[:-1], bands))
        mode_shares = self.layout.mode_shares(means)
        stats = np.stack([one.log_distance[int(whole_recordings)] for one in self._fitted])
        parts = zip(self.parts, self._columns, self._fitted, self._shifts, part_weights(stats), strict=True)
        for part, columns, reference, shift, weight in parts:
            own_shift = 0.0 if stream is None else shift[stream]
            part_share, offset = reference.terms(means[..., columns], mode_shares, own_shift)
            share += weight * part_share.reshape(*part_share.shape[:-1], len(part.statistics), bands).sum(axis=-2)
            direction = part.sign_of_new * offset[..., :bands]
        if self._peaks is not None or self._rhythm is not None:
            self._replace_by_alternative(means, share, direction, int(whole_recordings), stream)
        return share, direction

    def contributions(
        self,
        means: FloatArray | DoubleArray,
        score: DoubleArray | float,
        *,
        whole_recordings: bool = False,
        stream: int | None = None,
    ) -> FloatArray:
        """The contribution of each band to scores, in units of the score; negative for bands with missing sound.

        The absolute values add up to the score. They are 0 if there is no score (NaN).

        Args:
            means: (…, mean_width).
            score: (…) scores of `means`.
            whole_recordings: as in `__call__`.
            stream: as in `shares`.

        Returns:
            contributions (…, n_mels).
        """
        shares = self.shares(means, whole_recordings=whole_recordings, stream=stream)
        return signed_contributions(*shares, np.asarray(score))

    def recentre(self, offsets: Mapping[str, DoubleArray] | None, stream: int) -> None:
        """Sets the centres of one stream to the model's centres plus an offset (p,) for each part, by its name.

        None: to the model's centres.
        """
        self._any_shift = self._any_shift or offsets is not None
        for part, host, device in zip(self.parts, self._shifts, self._shifts_on_device, strict=True):
            host[stream] = 0.0 if offsets is None else offsets[part.name]
            if device is not host:
                device[stream] = self._backend.upload(host[stream])

    def _replace_by_alternative(
        self, means: DoubleArray, share: DoubleArray, direction: DoubleArray, row: int, stream: int | None
    ) -> None:
        """Replaces the shares (…, n_mels) of the fused parts, in place, where an alternative is more unusual."""
        shifts: list[Array | float] = [0.0 if stream is None else shift[stream] for shift in self._shifts]
        highest = self._log_fused(means, self._host_distances, shifts, self._fusion[row])
        if self._peaks is not None:
            ratio = np.asarray(self._log_ratio_of_peaks(means, self._host_distances[-1], self._peaks, row))
            of_peaks, offset = self._peaks.terms(means[..., self.layout.peak_columns])
            higher = ratio > highest
            share[...] = np.where(higher[..., None], of_peaks, share)
            direction[...] = np.where(higher[..., None], offset, direction)
            highest = np.fmax(highest, ratio)
        if self._rhythm is not None:
            ratio = np.asarray(log_ratio(mean_surprise(means, self.layout), self._rhythm.log_distance[row]))
            share[...] = np.where((ratio > highest)[..., None], 0.0, share)

    def _alternatives(self, means: Array, row: int) -> list[Array]:
        """The logarithm of the ratio (…) of each alternative, NaN where it cannot be computed.

        `row` is that of `log_distance`: 0 for means over score.window_s, 1 for means over whole recordings.
        """
        found: list[Array] = []
        if self._peaks is not None:
            found.append(self._log_ratio_of_peaks(means, self._distances[-1], self._peaks, row))
        if self._rhythm is not None:
            found.append(log_ratio(mean_surprise(means, self.layout), self._rhythm.log_distance[row]))
        return found

    def _log_ratio_of_peaks(self, means: Array, distance: SquaredDistance, peaks: Reference, row: int) -> Array:
        squared = distance(means[..., self.layout.peak_columns])
        return log_ratio(namespace(means).log(squared + TINY), peaks.log_distance[row])

    def _log_fused(
        self,
        means: Array,
        distances: Sequence[SquaredDistance],
        shifts: Sequence[Array | float],
        fusion: Sequence[tuple[float, float]],
    ) -> Array:
        """The logarithm of the fused score (…) of mean rows; `fusion` has mean ln d² and the weight of each part."""
        log, mode_shares = namespace(means).log, self.layout.mode_shares(means)
        total = 0.0
        parts = zip(self._columns, distances, shifts, fusion, strict=False)  # without the distance of the peaks
        for columns, distance, shift, (mean_log, weight) in parts:
            squared = distance(means[..., columns], mode_shares, shift)
            total = total + (log(squared + TINY) - mean_log) * weight
        return total


def part_weights(normal_stats: DoubleArray) -> DoubleArray:
    """The weights of the parts in the fused score: inverse to the standard deviation of ln d² on normal sound.

    Args:
        normal_stats: (parts, 2) mean and standard deviation of ln d² of each part.

    Returns:
        weights (parts,), which add up to 1.
    """
    inverse: DoubleArray = 1 / np.maximum(normal_stats[:, 1], 1e-3)
    return inverse / inverse.sum() if len(inverse) else inverse


def fuse(log_distances: DoubleArray, normal_stats: DoubleArray) -> DoubleArray:
    """Fuses the distances of the parts into scores.

    Args:
        log_distances: (…, parts) ln d² of each part.
        normal_stats: (parts, 2) mean and standard deviation of ln d² of each part on normal sound.

    Returns:
        scores (…).
    """
    scores: DoubleArray = np.exp((log_distances - normal_stats[:, 0]) @ part_weights(normal_stats))
    return scores


def mean_surprise(means: Array, layout: RowLayout) -> Array:
    """The mean surprise (…) of the intervals in mean rows (…, mean_width); NaN if there is none."""
    xp = namespace(means)
    surprise, intervals = means[..., layout.surprise_column], means[..., layout.impulse_column]
    some = intervals > 0
    return xp.where(some, surprise / xp.where(some, intervals, xp.ones_like(intervals)), xp.nan * intervals)


def log_ratio(log_distances: Array, normal_stats: Array) -> Array:
    """ln d² of an alternative part, or the surprise, on the scale of the logarithm of the fused score.

    Args:
        log_distances: (…).
        normal_stats: (2,) their mean on normal sound, and their standard deviation relative to that of the logarithm of
            the fused score.
    """
    return (log_distances - normal_stats[0]) / normal_stats[1]


def rolling_length(score: Score, features: Features) -> int:
    """The number of frames that the anomaly score of a stream averages over; at least 1."""
    return max(1, round(score.window_s / features.hop_s))
