"""The anomaly score: the distances of the score parts, each relative to normal sound, fused into one number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from monitor.config.schema import Config, Features, Score
from monitor.core.array_backend import NUMPY, ArrayBackend, namespace
from monitor.core.types import Array, DoubleArray, FloatArray, IndexArray
from monitor.scoring.attribution import signed_contributions
from monitor.scoring.gaussian import TINY, Reference
from monitor.scoring.score_parts import SCORE_KINDS
from monitor.scoring.window_stats import reconstruction_error


class Scorer:
    """Computes anomaly scores from mean rows of window statistics, as `score.kind` says.

    Kind `error` is the mean reconstruction error. The other kinds have one or more parts. The squared Mahalanobis
    distance of each part is divided by its geometric mean on normal sound, and the score is the weighted geometric mean
    of these ratios: a part whose distance varies less on normal sound has a larger weight. So a score of 1 is typical
    of normal sound, for every machine and kind.

    Args:
        config: settings of the model.
        references: reference distributions by the name of the part.
        usual_band_error: (n_mels,) mean squared error of each band on normal sound.
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
        streams: int = 0,
        backend: ArrayBackend = NUMPY,
    ) -> None:
        self.kind, self.parts = config.score.kind, SCORE_KINDS[config.score.kind]
        self._n_mels, self._backend = config.features.n_mels, backend
        self._usual_error = usual_band_error.astype(np.float64)
        if missing := [part.name for part in self.parts if part.name not in references]:
            raise ValueError(f"the {self.kind} score needs reference distributions of: {', '.join(missing)}")
        self._fitted = [references[part.name] for part in self.parts]
        self._on_host = [one.for_streams(streams) if streams else one for one in self._fitted]
        # With numpy these share the arrays of `_on_host`, so that a moved centre changes in both.
        self._on_device = [one.uploaded(backend) for one in self._on_host]
        # The mean of ln d² of each part, and the weights of the parts: for means over score.window_s, and over whole
        # recordings.
        stats = np.stack([one.log_distance for one in self._fitted], axis=1) if self._fitted else np.zeros((2, 0, 2))
        self._fusion = [(backend.upload(one[:, 0].copy()), backend.upload(part_weights(one))) for one in stats]

    def __call__(self, means: Array, *, whole_recordings: bool = False, streams: IndexArray | None = None) -> Array:
        """Computes the anomaly scores of mean rows.

        Args:
            means: (…, row_width) means of rows of window statistics; (n, k, row_width) if `streams` is given.
            whole_recordings: whether the means are over whole recordings, not over score.window_s.
            streams: (n,) numbers of the streams, if each stream has its own centres.

        Returns:
            scores (…) float64.
        """
        xp = namespace(means)
        if self.kind == "error":
            return xp.astype(reconstruction_error(means, self._n_mels), xp.float64)
        indices = None if streams is None else self._backend.upload(streams)
        columns = [part.slice(self._n_mels) for part in self.parts]
        squared = xp.stack(
            [
                reference.squared_distance(means[..., part_columns], indices)
                for reference, part_columns in zip(self._on_device, columns, strict=True)
            ],
            axis=-1,
        )
        mean_log, weights = self._fusion[int(whole_recordings)]
        return xp.exp((xp.log(xp.clip(squared, TINY, None)) - mean_log) @ weights)

    def shares(
        self, means: FloatArray | DoubleArray, *, whole_recordings: bool = False, stream: int | None = None
    ) -> tuple[DoubleArray, DoubleArray]:
        """The share of each band in the scores of mean rows, and whether the band has new or missing sound.

        Args:
            means: (…, row_width).
            whole_recordings: as in `__call__`.
            stream: number of the stream, if each stream has its own centres.

        Returns:
            shares (…, n_mels), which add up to 1; single ones can be negative. For kind `error` they are shares in the
            excess over the usual band error, and their absolute values add up to 1.
            directions (…, n_mels): > 0 for bands with more sound than normal, < 0 for bands with less.
        """
        bands = self._n_mels
        means = means.astype(np.float64)
        if self.kind == "error":
            excess = means[..., bands : 2 * bands] - self._usual_error
            total = np.maximum(np.abs(excess).sum(axis=-1, keepdims=True), TINY)
            return excess / total, -means[..., :bands]
        share, direction = np.zeros((*means.shape[:-1], bands)), np.zeros((*means.shape[:-1], bands))
        stats = np.stack([one.log_distance[int(whole_recordings)] for one in self._fitted])
        for part, reference, weight in zip(self.parts, self._on_host, part_weights(stats), strict=True):
            own_reference = reference if stream is None else _of_stream(reference, stream)
            part_share, offset = own_reference.shares(means[..., part.slice(bands)])
            share += weight * part_share.reshape(*part_share.shape[:-1], len(part.statistics), bands).sum(axis=-2)
            direction = part.sign_of_new * offset[..., :bands]
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
            means: (…, row_width).
            score: (…) scores of `means`.
            whole_recordings: as in `__call__`.
            stream: as in `shares`.

        Returns:
            contributions (…, n_mels).
        """
        shares = self.shares(means, whole_recordings=whole_recordings, stream=stream)
        return signed_contributions(*shares, np.asarray(score))

    def recentre(self, offsets: Mapping[str, DoubleArray], stream: int) -> None:
        """Sets the centres of one stream to the model's centres plus an offset (p,) for each part, by its name."""
        for part, fitted, host, device in zip(self.parts, self._fitted, self._on_host, self._on_device, strict=True):
            host.centre[stream] = fitted.centre + offsets[part.name]
            if device.centre is not host.centre:
                device.centre[stream] = self._backend.upload(host.centre[stream])


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


def rolling_length(score: Score, features: Features) -> int:
    """The number of frames that the anomaly score of a stream averages over; at least 1."""
    return max(1, round(score.window_s / features.hop_s))


def _of_stream(reference: Reference, stream: int) -> Reference:
    """The reference distribution of one stream, with a centre (p,)."""
    return Reference(reference.centre[stream], reference.inverse_covariance, reference.log_distance)
