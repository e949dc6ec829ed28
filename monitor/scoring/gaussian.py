"""The reference distribution: Gaussians fitted to the mean window statistics of normal sound, one for each mode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.core.array_backend import ArrayBackend
from monitor.core.types import Array

TINY = 1e-300  # lower bound of squared distances, so that their logarithm is finite


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference distribution of one score part: centre and inverse covariance of p mean statistics, in float64.

    A machine with K operating modes has a Gaussian for each. The mean of sound from several modes is compared with the
    mean of their centres, weighted by their shares of the time, and its squared distance is the mean of the distances
    by each of their covariances. So a change from one mode to another is nothing unusual.

    Attributes:
        centre: (p,), or (K, p).
        inverse_covariance: (p, p), or (K, p, p).
        log_distance: (2, 2) mean and standard deviation of ln d² on normal sound that the Gaussians were not fitted to,
            where d² is the squared Mahalanobis distance. First row: of means over `score.window_s`; second row: of
            means over whole recordings. The deviation decides about the weight of the part, and is larger than that of
            normal sound where the part is to have less weight.
    """

    centre: Array
    inverse_covariance: Array
    log_distance: Array

    @property
    def size(self) -> int:
        """p."""
        return int(self.centre.shape[-1])

    def squared_distance(self, means: Array, shares: Array | None = None, shift: Array | float = 0.0) -> Array:
        """The squared Mahalanobis distance d² of mean statistics from the centre.

        Args:
            means: (…, p).
            shares: (…, K) share of each operating mode; None if there is only one.
            shift: (…, p) offset of the centre of a stream from that of the model.

        Returns:
            distances (…).
        """
        offset = self.offset(means, shares, shift)
        if shares is None:
            product = offset @ self.inverse_covariance
            product *= offset
            return product.sum(-1)
        products = ((offset @ one) * offset for one in self.inverse_covariance)
        return sum(product.sum(-1) * shares[..., mode] for mode, product in enumerate(products))

    def terms(self, means: Array, shares: Array | None = None, shift: Array | float = 0.0) -> tuple[Array, Array]:
        """The share of each statistic in d², and its offset from the centre.

        The share of statistic i is offset_i · (inverse covariance · offset)_i / d². Shares add up to 1; single ones can
        be negative.

        Args:
            means: as in `squared_distance`, like `shares` and `shift`.

        Returns:
            shares (…, p) and offsets (…, p).
        """
        offset = self.offset(means, shares, shift)
        if shares is None:
            terms = (offset @ self.inverse_covariance) * offset
        else:
            products = ((offset @ one) * offset for one in self.inverse_covariance)
            terms = sum(product * shares[..., mode, None] for mode, product in enumerate(products))
        return terms / np.maximum(terms.sum(-1)[..., None], TINY), offset

    def offset(self, means: Array, shares: Array | None = None, shift: Array | float = 0.0) -> Array:
        """Mean statistics (…, p) minus the centre, in float64: (…, p). The arguments are as in `squared_distance`."""
        return means - (self.centre if shares is None else shares @ self.centre) - shift

    def uploaded(self, backend: ArrayBackend) -> Reference:
        """This distribution with its arrays on the device of `backend`."""
        return Reference(*(backend.upload(v) for v in (self.centre, self.inverse_covariance, self.log_distance)))
