"""Finds the operating modes of a machine in normal sound, such as two speeds, or idle and load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from monitor.config.schema import Features
from monitor.core.types import DoubleArray, FloatArray, IndexArray
from monitor.features.normalization import Normalization
from monitor.scoring.operating_modes import OperatingModes
from train.data.feature_cache import Frames

MOST = 4  # modes
PIECE_S = 1.0  # duration of the pieces whose mean spectra are compared
# Distance between the means of two modes, in standard deviations along the line between them. A single cloud of
# observations that is cut in two has 2.7 if it is Gaussian, and 3.5 if it is uniform.
LEAST_APART = 6.0
LEAST_SHARE, LEAST_S = 0.05, 60.0  # of the sound, in each mode
MOST_PIECES = 5000  # that are grouped


def find_modes(
    recordings: Sequence[Frames],
    features: Features,
    normalization: Normalization,
    wanted: int | None = None,
    *,
    least_s: float = LEAST_S,
) -> OperatingModes | None:
    """The operating modes in normal recordings; None if there is only one.

    The mean spectra of seconds are grouped, in units of what changes from one second to the next. There are as many
    modes as groups that are clearly apart.

    Args:
        recordings: normal recordings.
        features: settings of the frames.
        normalization: of the network's input.
        wanted: number of modes; None: as many as are clearly apart.
        least_s: of sound in each mode, in seconds.
    """
    frames = max(1, round(PIECE_S / features.hop_s))
    spectra = [_mean_spectra(recording, frames, normalization) for recording in recordings]
    together = np.concatenate(spectra)
    steps = np.concatenate([np.diff(one, axis=0) for one in spectra])
    least = max(least_s / PIECE_S, LEAST_SHARE * len(together))
    if len(together) < 2 * least or not len(steps):
        return None
    from sklearn.cluster import KMeans

    deviation = _deviation(steps)
    chosen = np.random.default_rng(0).permutation(len(together))[:MOST_PIECES]
    scaled = together[chosen] / deviation
    found: OperatingModes | None = None
    for count in range(2, MOST + 1) if wanted is None else (wanted,):
        groups = KMeans(count, n_init=4, random_state=0).fit_predict(scaled)
        if wanted is None and not _clearly_apart(scaled, groups, least * len(chosen) / len(together)):
            continue
        centres = np.stack([together[chosen][groups == mode].mean(axis=0) for mode in range(count)])
        usual = np.zeros((4, count, features.n_mels), np.float32)  # until mean rows have been observed
        found = OperatingModes(centres.astype(np.float32), (1 / deviation).astype(np.float32), usual)
    return found


def _mean_spectra(recording: Frames, frames: int, normalization: Normalization) -> DoubleArray:
    """The mean normalized spectra (n, n_mels) of consecutive pieces of a recording."""
    return np.array(list(_pieces(recording, frames, normalization))).reshape(-1, recording.power.shape[1])


def _pieces(recording: Frames, frames: int, normalization: Normalization) -> Iterator[FloatArray]:
    for start in range(0, max(1, len(recording.power) - frames + 1), frames):
        power = np.array(recording.power[start : start + frames])
        if len(power):
            yield normalization(power).mean(axis=0)


def _deviation(steps: DoubleArray) -> DoubleArray:
    """The standard deviation (n_mels,) of pieces within a mode, from steps between neighbours (n, n_mels).

    Changes of the mode are rare, so they have no effect on medians.
    """
    deviation: DoubleArray = np.median(np.abs(steps), axis=0) / 0.6745 / np.sqrt(2)
    return np.maximum(deviation, 1e-3 + 0.1 * float(np.median(deviation)))


def _clearly_apart(scaled: DoubleArray, groups: IndexArray, least: float) -> bool:
    members = [scaled[groups == group] for group in np.unique(groups)]
    if min(map(len, members)) < least:
        return False
    for one, other in combinations(members, 2):
        axis = other.mean(axis=0) - one.mean(axis=0)
        length = float(np.linalg.norm(axis))
        if not length:
            return False
        spread = np.sqrt((np.var(one @ (axis / length)) + np.var(other @ (axis / length))) / 2)
        if length < LEAST_APART * spread:
            return False
    return True
