"""Fits the reference distribution of each score part on normal sound, and scores that sound by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.config.schema import Config
from monitor.scoring.gaussian import Reference
from monitor.scoring.rhythm import Rhythm
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.score_parts import PEAKS, parts_of
from monitor.scoring.scorer import fuse
from train.calibration.cross_validation import KINDS, CrossValidation, Logs
from train.calibration.normal_pool import NormalPool, errors_of, pool_of, rows_of
from train.calibration.observations import PIECE_S, Observation
from train.calibration.rhythm_finder import FoundRhythm

# The duration of normal sound from which on a network is worth as much as the spectrum; with less, its weight is
# proportionally lower.
NETWORK_S = 600.0


@dataclass(frozen=True, slots=True)
class FittedReferences:
    """The reference distributions of a model, and the scores of the normal sound that they were fitted to."""

    references: dict[str, Reference]  # by the name of the part
    rhythm: Rhythm | None
    pool: NormalPool


def fit_references(
    recordings: Sequence[Observation],
    config: Config,
    layout: RowLayout | None = None,
    rhythm: FoundRhythm | None = None,
    *,
    also: Sequence[Observation] = (),
) -> FittedReferences:
    """Fits a reference distribution for each score part on all recordings, and scores these by cross-validation.

    The recordings of each fold are scored by reference distributions fitted on the other folds. A fold is a session, or
    a block of consecutive recordings: limits from mixed recordings of the same sessions do not hold on another day.

    The autoencoder was trained on most of the recordings and reconstructs those a little too well, so ln d² of their
    residuals is raised by the difference between its means on held-out and on training recordings.

    Args:
        recordings: statistics of normal recordings.
        config: settings of the model.
        layout: of the mean rows; None: that of `config`.
        rhythm: of the machine, if it has one.
        also: normal recordings that references are fitted to as well, but that are not scored: of a rare kind, so
            that cross-validation would take them for anomalies. One that is given several times weighs more.

    Returns:
        the reference distributions by the name of the part, the rhythm, and the scores of the recordings.

    Raises:
        DataError: if there is too little normal sound.
    """
    layout, parts = layout or RowLayout.of(config), parts_of(config.score)
    if not parts:
        wholes, cuts = (layout.reconstruction_error(rows_of(recordings, name)) for name in ("wholes", "cuts"))
        pool = pool_of(errors_of(recordings, config), wholes, recordings, config, cuts)
        return FittedReferences({}, None, pool)
    fitting = CrossValidation(recordings, config, layout, also)
    references: dict[str, Reference] = {}
    logs: list[Logs] = []
    trust = min(1.0, sum(o.seconds for o in recordings) / NETWORK_S)
    for part in parts:
        found, reference = fitting.of_part(part)
        if part.needs_network:
            found.correct_for_training(fitting.trained)
        usual = found.mean_and_deviation()
        usual[:, 1] /= trust if part.needs_network else 1.0
        references[part.name] = replace(reference, log_distance=usual)
        logs.append(found)
    stats = np.stack([references[part.name].log_distance for part in parts], axis=1)
    rows = [np.stack(columns, axis=-1) for columns in zip(*(one.logs for one in logs), strict=True)]
    fused = [np.log(fuse(one, stats[kind])) for one, kind in zip(rows, KINDS, strict=True)]
    known = [one[~np.isnan(one)] for one in fused[:2]]
    deviation = [float(one.std()) if len(one) else np.nan for one in known]
    others: list[Logs] = []
    if layout.peaks:
        found, reference = fitting.of_part(PEAKS)
        references[PEAKS.name] = replace(reference, log_distance=found.relative_to(deviation))
        others.append(found.scaled(references[PEAKS.name].log_distance))
    final_rhythm = None
    if rhythm is not None:
        found = fitting.of_rhythm(rhythm)
        final_rhythm = replace(rhythm.rhythm, log_distance=found.relative_to(deviation))
        others.append(found.scaled(final_rhythm.log_distance))
    for other in others:
        fused = [np.fmax(one, own) for one, own in zip(fused, other.logs, strict=True)]
    decisions, wholes, cuts = map(np.exp, fused)
    scores = np.split(decisions, np.cumsum([len(o.decisions) for o in fitting.observed])[:-1])
    return FittedReferences(references, final_rhythm, pool_of(scores, wholes, fitting.observed, config, cuts))


def pieces_needed(config: Config) -> int:
    """The number of pieces of normal sound that the reference distributions of all score parts need."""
    return round(NETWORK_S / PIECE_S) if parts_of(config.score) else 0
