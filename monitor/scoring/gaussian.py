"""The reference distribution: Gaussians fitted to the mean window statistics of normal sound, one for each mode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.core.array_backend import NUMPY, ArrayBackend, namespace
from monitor.core.types import Array, DoubleArray

TINY = 1e-300  # lower bound of squared distances, so that their logarithm is finite
BLOCK = 128  # columns of a triangular matrix that are multiplied at once: narrower ones are slower


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
        """The squared Mahalanobis distance of a few mean statistics: as `SquaredDistance`, which is for many."""
        return SquaredDistance(self)(means, shares, shift)

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


class SquaredDistance:
    """Computes squared Mahalanobis distances d² of mean statistics from the centre of a reference distribution.

    d² is the squared length of offset · L, where L is the Cholesky factor of the inverse covariance: a triangular
    matrix, whose zeros need not be multiplied. So rounding cannot make it negative, and float32 is accurate enough: d²
    has a relative error of about 1e-6. Means in float32, as those of streams, are computed in float32, others in
    float64.

    Args:
        reference: the reference distribution.
        backend: where to compute.
    """

    def __init__(self, reference: Reference, backend: ArrayBackend = NUMPY) -> None:
        self._reference, self._backend = reference, backend
        self._matrices: dict[str, _Matrices] = {}  # by precision; made when they are first needed

    def __call__(self, means: Array, shares: Array | None = None, shift: Array | float = 0.0) -> Array:
        """Computes d² of mean statistics.

        Args:
            means: (…, p).
            shares: (…, K) share of each operating mode; None if there is only one.
            shift: (…, p) offset of the centre of a stream from that of the model.

        Returns:
            distances (…) float64.
        """
        xp = namespace(means)
        precision = "float32" if means.dtype == xp.float32 else "float64"
        matrices, dtype = self._matrices.get(precision) or self._make_matrices(precision), getattr(xp, precision)
        centre = matrices.centre if shares is None else xp.astype(shares, dtype) @ matrices.centre
        if not isinstance(shift, float):
            centre = xp.astype(centre + shift, dtype)
        offset = (means - centre).reshape((-1, means.shape[-1]))
        squared = [_squared_length(offset, factor) for factor in matrices.factors]
        distances = [xp.astype(one.reshape(means.shape[:-1]), xp.float64) * matrices.scale**2 for one in squared]
        return distances[0] if shares is None else sum(one * shares[..., i] for i, one in enumerate(distances))

    def _make_matrices(self, precision: str) -> _Matrices:
        matrices = self._matrices[precision] = _Matrices.of(self._reference, precision, self._backend)
        return matrices


@dataclass(frozen=True, slots=True)
class _Matrices:
    """The centre of a reference distribution and the factors L of its inverse covariances, in one precision.

    Attributes:
        centre: (p,), or (K, p).
        factors: for each operating mode, L in blocks of columns: the first row that is not zero, and the weights from
            this row on.
        scale: by which L is divided, because squares of large weights could exceed the range of float32.
    """

    centre: Array
    factors: list[list[tuple[int, Array]]]
    scale: float

    @classmethod
    def of(cls, reference: Reference, precision: str, backend: ArrayBackend) -> _Matrices:
        roots = [_root(one) for one in reference.inverse_covariance.reshape((-1, reference.size, reference.size))]
        scale = max(float(np.abs(root).max()) for root in roots)
        factors = []
        for root in roots:
            blocks = []
            for first in range(0, reference.size, BLOCK):
                columns = root[:, first : first + BLOCK] / scale
                start = int(columns.any(axis=1).argmax())
                blocks.append((start, backend.upload(np.ascontiguousarray(columns[start:], precision))))
            factors.append(blocks)
        return cls(backend.upload(reference.centre.astype(precision)), factors, scale)


def _squared_length(offset: Array, factor: list[tuple[int, Array]]) -> Array:
    """Offsets (n, p) -> squared lengths of offset · L (n,), of the same precision."""
    vecdot, total = namespace(offset).vecdot, 0.0
    for start, weights in factor:
        whitened = offset[:, start:] @ weights
        total = total + vecdot(whitened, whitened)
    return total


def _root(inverse_covariance: DoubleArray) -> DoubleArray:
    """The Cholesky factor of an inverse covariance; if that is singular to rounding, a root that is not triangular."""
    root: DoubleArray
    try:
        root = np.asarray(np.linalg.cholesky(inverse_covariance), np.float64)
    except np.linalg.LinAlgError:
        eigenvalues, axes = np.linalg.eigh(inverse_covariance)
        root = np.asarray(axes * np.sqrt(np.maximum(eigenvalues, 0.0)), np.float64)
    return root
