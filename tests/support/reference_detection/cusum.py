"""The cumulative sum (CUSUM) that detects lasting anomalies: scores slightly above normal for a long time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config import schema
from monitor.core.types import DoubleArray

SURPRISE_CAP = 3.0  # highest surprise, that of a p-value of 1/20, so that no single loud score dominates the sum
CUSUM_SLACK = 1.5  # subtracted in each step: about 1.5 times the mean surprise of normal sound
CUSUM_CAP = 1.25  # highest sum, as a multiple of its limit, so that the sum falls soon after a long anomaly
CUSUM_RELEASE = 0.5  # a lasting anomaly can end when the sum is below this multiple of its limit


def surprise(scores: DoubleArray, normal_scores: DoubleArray) -> DoubleArray:
    """The surprise -ln p of each score, where p is its p-value among normal scores; at most SURPRISE_CAP.

    p = (1 + number of normal scores at least as high) / (1 + n) is the p-value of conformal prediction (Vovk, 2005).
    For normal sound it is uniformly distributed, whatever the distribution of the scores.

    Args:
        scores: (d,).
        normal_scores: (n,) ascending.

    Returns:
        surprises (d,).
    """
    above = len(normal_scores) - np.searchsorted(normal_scores, scores, side="left")
    found: DoubleArray = np.minimum(-np.log((1 + above) / (1 + len(normal_scores))), SURPRISE_CAP)
    return found


def cusum_step(total: DoubleArray, surprises: DoubleArray, limit: float) -> DoubleArray:
    """One step of cumulative sums (Page, 1954): each is kept between 0 and CUSUM_CAP times the limit.

    Args:
        total: (m,) sums before the step.
        surprises: (m,) surprises to add.
        limit: the limit of the sums.

    Returns:
        sums after the step (m,).
    """
    stepped: DoubleArray = np.minimum(np.maximum(total + surprises - CUSUM_SLACK, 0.0), CUSUM_CAP * limit)
    return stepped


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds of an alarm, and the normal scores that its CUSUM compares scores with."""

    threshold: float  # of single scores, for sudden anomalies
    cusum: float  # of the cumulative sum, for lasting anomalies; infinity if these are not detected
    normal_scores: DoubleArray  # (n,) ascending

    @classmethod
    def of(cls, bundle: Bundle, settings: schema.Alarm) -> Limits:
        """The limits of a bundle for `alarm.sensitivity`.

        `alarm.threshold` replaces the threshold, and scales the limit of the sum as well.
        """
        calibrated, cusum = bundle.thresholds["score"], bundle.thresholds["cusum"]
        if settings.threshold is None:
            threshold, limit = calibrated.at(settings.sensitivity), cusum.at(settings.sensitivity)
        else:
            threshold = settings.threshold
            limit = cusum.value * threshold / calibrated.value
        enabled = settings.lasting and cusum.value > 0 and len(bundle.normal_scores) > 0
        return cls(threshold, limit if enabled else math.inf, bundle.normal_scores)
