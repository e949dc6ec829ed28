"""The reference distribution: a Gaussian fitted to the mean window statistics of normal sound."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from monitor.core.array_backend import ArrayBackend
from monitor.core.types import Array, IndexArray

TINY = 1e-300  # lower bound of squared distances, so that their logarithm is finite


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference distribution of one score part: centre and inverse covariance of p mean statistics, in float64.

    Attributes:
        centre: (p,), or (N, p) with a centre for each of N streams.
        inverse_covariance: (p, p).
        log_distance: (2, 2) mean and standard deviation of ln d² on normal sound that the Gaussian was not fitted to,
            where d² is the squared Mahalanobis distance. First row: of means over `score.window_s`; second row: of
            means over whole recordings.
    """

    centre: Array
    inverse_covariance: Array
    log_distance: Array

    def squared_distance(self, means: Array, streams: IndexArray | None = None) -> Array:
        """The squared Mahalanobis distance d² of mean statistics from the centre.

        Args:
            means: (…, p), or (n, k, p) if `streams` is given.
            streams: (n,) numbers of the streams, if each has its own centre.

        Returns:
            distances (…), or (n, k).
        """
        offset = self.offset(means, streams)
        product = offset @ self.inverse_covariance
        product *= offset
        return product.sum(-1)

    def shares(self, means: Array, streams: IndexArray | None = None) -> tuple[Array, Array]:
        """The share of each statistic in d², and its offset from the centre.

        The share of statistic i is offset_i · (inverse covariance · offset)_i / d². Shares add up to 1; single ones can
        be negative.

        Args:
            means: as in `squared_distance`.
            streams: as in `squared_distance`.

        Returns:
            shares (…, p) and offsets (…, p).
        """
        offset = self.offset(means, streams)
        terms = (offset @ self.inverse_covariance) * offset
        return terms / np.maximum(terms.sum(-1)[..., None], TINY), offset

    def offset(self, means: Array, streams: IndexArray | None = None) -> Array:
        """Mean statistics (…, p) minus the centre, in float64: (…, p). `streams` is as in `squared_distance`."""
        return means - (self.centre if streams is None else self.centre[streams][:, None])

    def uploaded(self, backend: ArrayBackend) -> Reference:
        """This distribution with its arrays on the device of `backend`."""
        return Reference(*(backend.upload(v) for v in (self.centre, self.inverse_covariance, self.log_distance)))

    def for_streams(self, count: int) -> Reference:
        """This distribution with its own copy of the centre for each of `count` streams: (count, p), in host memory."""
        return replace(self, centre=np.tile(np.asarray(self.centre), (count, 1)))
