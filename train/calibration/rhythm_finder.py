"""Finds out whether a machine has a rhythm of impulses, and learns the density of the intervals between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.config.schema import Features
from monitor.core.types import DoubleArray, FloatArray, IndexArray
from monitor.features.normalization import Normalization
from monitor.scoring.rhythm import Rhythm, apart_frames, grid, impulses, is_possible, rise_frames, rises
from train.data.feature_cache import Frames

# How much steeper than usual an impulse is, in deviations of the steepness: the value that gives the most regular
# intervals is chosen.
STEEPER = (4.0, 6.0, 8.0, 12.0, 16.0, 24.0)
LEAST_INTERVALS = 150  # that a density is estimated from
LEAST_PER_S = 0.2  # impulses in a second: rarer ones are hardly noticed in a score over seconds
# How much better the density predicts the intervals of other recordings than chance (an exponential distribution) does,
# in nats for each interval.
LEAST_GAIN = 1.0
# Standard deviation of the kernel on ln(interval), and the share of the density that is spread evenly, so that no
# interval is impossible.
BANDWIDTH, EVEN = 0.04, 0.03


@dataclass(frozen=True, slots=True)
class FoundRhythm:
    """A rhythm, and how much too low the surprise of the recordings is that it was learnt from."""

    rhythm: Rhythm
    too_low: float


def find_rhythm(
    recordings: Sequence[Frames], features: Features, normalization: Normalization, folds: IndexArray
) -> FoundRhythm | None:
    """The rhythm of a machine in normal recordings; None if it has none.

    Args:
        recordings: normal recordings.
        features: settings of the frames.
        normalization: of the network's input.
        folds: (n,) number of the fold of each recording, for the cross-validation.
    """
    hop_s = features.hop_s
    if features.scale != "log" or not is_possible(hop_s, features.window_frames):
        return None
    steepness = [_steepness(recording, normalization, hop_s) for recording in recordings]
    together = np.concatenate(steepness)
    if not len(together):
        return None
    middle = float(np.median(together))
    deviation = float(np.median(np.abs(together - middle))) / 0.6745
    seconds = sum(len(recording.power) for recording in recordings) * hop_s
    best: FoundRhythm | None = None
    best_gain = LEAST_GAIN
    for times in STEEPER:
        least = middle + times * deviation
        intervals = [np.diff(np.flatnonzero(impulses(one, apart_frames(hop_s), least))) * hop_s for one in steepness]
        count = sum(map(len, intervals))
        if count < max(LEAST_INTERVALS, LEAST_PER_S * seconds):
            continue
        left_out, gain = _left_out_surprise(intervals, folds)
        if gain > best_gain:
            surprise = _surprise(np.concatenate(intervals))
            own = float(np.interp(np.log(np.concatenate(intervals)), grid(), surprise).mean())
            rhythm = Rhythm(least, surprise, np.array([[0.0, 1.0], [0.0, 1.0]]))
            best, best_gain = FoundRhythm(rhythm, max(0.0, left_out - own)), gain
    return best


def _steepness(recording: Frames, normalization: Normalization, hop_s: float) -> FloatArray:
    """The steepness (t,) of the frames of a recording, in dB."""
    power = np.array(recording.power)
    if len(power) <= rise_frames(hop_s):
        return np.empty(0, np.float32)
    found: FloatArray = rises(normalization(power) * normalization.deviation, hop_s)
    return found


def _left_out_surprise(intervals: Sequence[DoubleArray], folds: IndexArray) -> tuple[float, float]:
    """The mean surprise of intervals of left-out recordings, and how much lower it is than by chance."""
    surprise = by_chance = count = 0.0
    for fold in np.unique(folds):
        fitted = np.concatenate(
            [one for one, own in zip(intervals, folds, strict=True) if own != fold] or [np.empty(0)]
        )
        left_out = np.concatenate([one for one, own in zip(intervals, folds, strict=True) if own == fold])
        if not len(fitted) or not len(left_out):
            continue
        logs, mean = np.log(left_out), float(fitted.mean())
        surprise += float(np.interp(logs, grid(), _surprise(fitted)).sum())
        # The density of ln(t) is t times that of t.
        by_chance += float((np.log(mean) + left_out / mean - logs).sum())
        count += len(left_out)
    return (surprise / count, (by_chance - surprise) / count) if count else (0.0, 0.0)


def _surprise(intervals_s: DoubleArray) -> DoubleArray:
    """Minus the logarithm of the density of ln(interval), at the points of `grid`, by a Gaussian kernel."""
    from scipy.ndimage import gaussian_filter1d

    points = grid()
    step = points[1] - points[0]
    edges = np.concatenate((points - step / 2, [points[-1] + step / 2]))
    counts = np.histogram(np.clip(np.log(intervals_s), edges[0], edges[-1]), edges)[0].astype(np.float64)
    density = gaussian_filter1d(counts, BANDWIDTH / step, mode="constant")
    density /= density.sum() * step
    surprise: DoubleArray = -np.log((1 - EVEN) * density + EVEN / (points[-1] - points[0]))
    return surprise
