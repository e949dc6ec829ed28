"""Fits a Gaussian to few observations: correlations are shrunk, by as much as other sessions need."""

from __future__ import annotations

import numpy as np

from monitor.core.types import DoubleArray, IndexArray

# Observations for each dimension, with which a light shrinkage is best, if all are of one session. Observations of
# several sessions show how these differ, and cross-validation takes that into account.
OBSERVATIONS_PER_DIMENSION = 1.5
# Shares by which correlations are reduced, to choose from by cross-validation.
SHRINKAGES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5)
# Least deviation, relative to that of all numbers together, and absolutely: numbers that are always the same, such as
# the residuals of perfect reconstructions, have none.
LEAST_RELATIVE, LEAST = 1e-6, 1e-15


def gaussian(means: DoubleArray, shrinkage: float | str) -> tuple[DoubleArray, DoubleArray]:
    """Fits a Gaussian whose correlations are multiplied by 1 - s. Variances are not changed.

    Shrinking covariances in place of correlations drowns small numbers, such as changes of level beside levels.

    Args:
        means: (n, p) observations.
        shrinkage: s; if it is not a number, s is estimated from the data (Ledoit & Wolf, 2004).

    Returns:
        centre (p,) and inverse covariance (p, p).
    """
    centre, deviation = means.mean(axis=0), _deviation(means)
    standard = (means - centre) / deviation
    if not isinstance(shrinkage, float):
        from sklearn.covariance import ledoit_wolf_shrinkage

        shrinkage = float(ledoit_wolf_shrinkage(standard, assume_centered=True))
    eigenvalues, axes = np.linalg.eigh(standard.T @ standard / len(standard))
    inverse = (axes / _shrunk(eigenvalues, shrinkage)) @ axes.T
    inverse /= np.outer(deviation, deviation)
    return centre, (inverse + inverse.T) / 2


def best_shrinkage(means: DoubleArray, folds: IndexArray) -> float:
    """The shrinkage with which a Gaussian predicts left-out observations best: by their mean log-likelihood.

    Args:
        means: (n, p) observations.
        folds: (n,) number of the fold of each. Folds should be as different as what will be scored later.
    """
    total = np.zeros(len(SHRINKAGES))
    for fold in np.unique(folds):
        fitted, left_out = means[folds != fold], means[folds == fold]
        if len(fitted) < 2:
            continue
        centre, deviation = fitted.mean(axis=0), _deviation(fitted)
        standard = (fitted - centre) / deviation
        eigenvalues, axes = np.linalg.eigh(standard.T @ standard / len(standard))
        squares = np.square(((left_out - centre) / deviation) @ axes)
        for i, shrinkage in enumerate(SHRINKAGES):
            variances = _shrunk(eigenvalues, shrinkage)
            total[i] -= float((squares / variances).sum() + len(left_out) * np.log(variances).sum())
    return SHRINKAGES[int(np.argmax(total))]


def _shrunk(eigenvalues: DoubleArray, shrinkage: float) -> DoubleArray:
    """The eigenvalues of a correlation matrix after shrinking. The least is what float64 can invert."""
    shrunk: DoubleArray = np.maximum((1 - shrinkage) * np.maximum(eigenvalues, 0.0) + shrinkage, 1e-12)
    return shrunk


def _deviation(means: DoubleArray) -> DoubleArray:
    deviation: DoubleArray = means.std(axis=0)
    return np.maximum(deviation, max(LEAST_RELATIVE * float(np.sqrt(np.mean(deviation**2))), LEAST))
