"""The scores of normal sound that limits are set by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.types import DoubleArray, IndexArray
from monitor.scoring.row_layout import RowLayout
from train.calibration.highest_scores import Place
from train.calibration.observations import Observation


@dataclass(frozen=True, slots=True)
class NormalPool:
    """Scores of normal sound, each by reference distributions that were not fitted on the scored recording."""

    scores: list[DoubleArray]  # (d,) of each recording, at the decisions of the alarm
    errors: list[DoubleArray]  # (d,) rolling reconstruction errors of each recording, at the decisions of the alarm
    wholes: DoubleArray  # (n,) scores of whole recordings; of long recordings, scores of their pieces
    seconds: float  # duration of the sound
    dbfs: float  # level of the quietest sound: the 1 % quantile
    places: list[Place]  # of each recording
    whole_places: list[Place]  # of each of `wholes`
    whole_s: DoubleArray  # (n,) their durations in seconds
    cuts: DoubleArray  # (c,) scores of parts that were cut out of the recordings, and
    cut_s: DoubleArray  # (c,) their durations in seconds


def pool_of(
    scores: list[DoubleArray],
    wholes: DoubleArray,
    observed: Sequence[Observation],
    config: Config,
    cuts: DoubleArray | None = None,
) -> NormalPool:
    """Combines scores of normal sound with the errors and levels of its recordings.

    Args:
        scores: (d,) of each recording, at the decisions of the alarm.
        wholes: (n,) scores of whole recordings.
        observed: statistics of the recordings.
        config: settings of the model.
        cuts: (c,) scores of parts that were cut out of the recordings, if there are any.
    """
    dbfs = float(np.quantile(np.concatenate([o.levels for o in observed]), 0.01))
    places = [o.place for o in observed]
    whole_places = [place for o in observed for place in o.whole_places]
    seconds = sum(o.seconds for o in observed)
    left_out_s = 2 * config.score.cut_frames * config.features.hop_s  # of a whole that is no piece
    counts = [len(o.wholes) for o in observed]
    whole_s = np.repeat(
        [o.seconds / n - (left_out_s if n == 1 else 0.0) for o, n in zip(observed, counts, strict=True)], counts
    )
    cut_s = np.concatenate([o.cut_s for o in observed])
    return NormalPool(
        scores, errors_of(observed, config), wholes, seconds, dbfs, places, whole_places,
        whole_s, np.empty(0) if cuts is None else cuts, cut_s,
    )  # fmt: skip


def errors_of(observed: Sequence[Observation], config: Config) -> list[DoubleArray]:
    """The rolling reconstruction errors (d,) of each recording, at the decisions of the alarm."""
    layout = RowLayout.of(config)
    return [layout.reconstruction_error(o.decisions) for o in observed]


def scores_by(bundle: Bundle, observed: Sequence[Observation]) -> NormalPool:
    """Scores recordings by the reference distributions of a bundle, which were not fitted on them."""
    scorer = bundle.scorer()
    wholes, cuts = (scorer(rows_of(observed, name), whole_recordings=True) for name in ("wholes", "cuts"))
    return pool_of([scorer(o.decisions) for o in observed], wholes, observed, bundle.config, cuts)


def rows_of(observed: Sequence[Observation], name: str) -> DoubleArray:
    """The mean rows (n, mean_width) in a field of all observations, in order."""
    rows: list[DoubleArray] = [getattr(o, name) for o in observed]
    return np.concatenate([one for one in rows if len(one)] or [np.empty((0, observed[0].pieces.shape[1]))])


def owners_of(observed: Sequence[Observation], name: str) -> IndexArray:
    """The number (n,) of the observation that each of these rows belongs to."""
    return np.repeat(np.arange(len(observed)), [len(getattr(o, name)) for o in observed])
