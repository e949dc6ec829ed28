"""Determines the threshold of whole recordings from normal ones, and that of shorter recordings."""

from __future__ import annotations

import numpy as np

from monitor.bundle.threshold import NOT_MUCH_SHORTER, ShorterLimit, Threshold
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.core.text import counted
from monitor.core.types import DoubleArray
from train.calibration.highest_normal import highest_normal, independent_recordings
from train.calibration.normal_pool import NormalPool


def recording_threshold(pool: NormalPool, config: Config, common: Threshold) -> Threshold:
    """The threshold of recordings, which a share `calibration.fpr` of normal ones exceeds, and what short ones have.

    Args:
        pool: scores of normal sound.
        config: settings of the model.
        common: the fields that all thresholds have.

    Raises:
        DataError: if no recording is long enough, or there is no sound.
    """
    fpr, scored = config.calibration.fpr, ~np.isnan(pool.wholes)
    if not scored.any():
        raise DataError("No recording is long enough to be scored: make score.cut_frames smaller, or record longer.")
    highest_score = config.score.recording == "max"  # does not depend much on the length of a recording
    length_s = 0.0 if highest_score else float(np.quantile(pool.whole_s[scored], 0.5, method="higher"))
    # The scores of much shorter recordings are higher: they would raise the limit of the others.
    whole = pool.wholes[scored & (pool.whole_s >= NOT_MUCH_SHORTER * length_s)]
    value = _exceeded_by(whole, fpr)
    shorter: list[ShorterLimit] = []
    if not 0 < value < np.inf:
        raise DataError("Normal sound gives no score to set a limit by: is there sound in all of these recordings?")
    independent = independent_recordings(pool.whole_places, pool.whole_s)
    highest = highest_normal(whole, independent)
    for seconds in np.unique(pool.cut_s[pool.cut_s < length_s])[::-1]:
        cuts = pool.cuts[pool.cut_s == seconds]
        longer = shorter[0] if shorter else ShorterLimit(seconds=length_s, factor=1.0, highest=1.0)
        factor, of_highest = max(longer.factor, _exceeded_by(cuts, fpr) / value), None
        if highest and longer.highest and (of_cuts := highest_normal(cuts, independent)):
            of_highest = max(longer.highest, of_cuts / highest)
        shorter.insert(0, ShorterLimit(seconds=float(seconds), factor=factor, highest=of_highest))
    above = int((whole >= value).sum())
    note = f"{counted(len(whole), 'normal recording')}, {above} of them above"
    return common.model_copy(
        update={
            "value": value, "expected": above / len(whole), "note": note, "length_s": length_s, "shorter": shorter,
            "highest": highest,
        }
    )  # fmt: skip


def _exceeded_by(scores: DoubleArray, share: float) -> float:
    """The value that this share of the scores (n,) exceeds.

    It is above one of the scores, because a score equal to a threshold counts as anomalous: by more than the rounding
    of a score that is computed again.
    """
    return float(np.quantile(scores, 1 - share, method="higher")) * (1 + 1e-9)
