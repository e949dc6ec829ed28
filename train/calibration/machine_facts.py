"""What is learnt about a machine before its sound is scored: its operating modes, and its impulses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from monitor.bundle.bundle import Bundle, placeholder_references
from monitor.config.schema import Config
from monitor.core.types import IndexArray
from monitor.features.normalization import Normalization
from monitor.scoring.gaussian import Reference
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.score_parts import PEAKS
from monitor.scoring.scorer import rolling_length
from train.calibration.cross_validation import FOLDS, SAME_MODE
from train.calibration.mode_finder import LEAST_S, find_modes
from train.calibration.normal_pool import rows_of
from train.calibration.observations import Observation
from train.calibration.rhythm_finder import FoundRhythm, find_rhythm
from train.data.feature_cache import Frames
from train.data.sessions import blocked_folds, sessions_of_frames

# A machine's own impulses are what is loudest if, on average over the bands, the highest level of some seconds is so
# many decibels above the mean level (of steady noise it is 6 to 8), or varies less over the recordings than that does.
LEAST_CREST_DB, MOST_VARIATION = 10.0, 0.95
FEW = 5  # recordings, or parts of them, with fewer of which this cannot be told
PART_S = 60.0  # duration of the parts of long recordings


def learn_machine(
    bundle: Bundle, recordings: Sequence[Frames], *, least_mode_s: float = LEAST_S
) -> tuple[Bundle, FoundRhythm | None]:
    """Finds the modes and the rhythm of a machine in normal recordings.

    Args:
        bundle: has the settings, and the normalization of the network's input.
        recordings: normal recordings.
        least_mode_s: of sound in each mode, in seconds.

    Returns:
        the bundle with modes, rhythm and placeholders of all reference distributions, so that all statistics that these
        are to be fitted to can be observed; and the rhythm, if there is one.
    """
    config, normalization = bundle.config, bundle.normalization()
    features, score = config.features, config.score
    modes = found = None
    peaks: dict[str, Reference] = {}
    if RowLayout.of(config).has_levels:
        if score.modes != 1:
            wanted = None if score.modes == "auto" else int(score.modes)
            modes = find_modes(recordings, features, normalization, wanted, least_s=least_mode_s)
        if score.impulses == "auto" and modes is None:
            parts, folds = _parts(recordings, features.hop_s)
            found = find_rhythm(parts, features, normalization, folds)
            if _is_impulsive(parts, config, normalization):
                size = features.n_mels
                peaks[PEAKS.name] = Reference(np.zeros(size), np.eye(size), np.array([[0.0, 1.0], [0.0, 1.0]]))
    references = placeholder_references(config, 0 if modes is None else modes.count) | peaks
    rhythm = None if found is None else found.rhythm
    return replace(bundle, modes=modes, rhythm=rhythm, references=references), found


def _parts(recordings: Sequence[Frames], hop_s: float) -> tuple[list[Frames], IndexArray]:
    """Divides recordings into parts of about PART_S, so that a single long one shows what is regular, too.

    Returns:
        the parts, and the number (n,) of the fold of each.
    """
    counts = [max(1, round(len(one.power) * hop_s / PART_S)) for one in recordings]
    parts: list[Frames] = []
    for recording, count in zip(recordings, counts, strict=True):
        edges = [len(recording.power) * i // count for i in range(count + 1)]
        parts += [replace(recording, power=recording.power[first:last]) for first, last in pairwise(edges)]
    sessions = sessions_of_frames(recordings, hop_s).of_parts(counts)
    return parts, blocked_folds(sessions, [len(one.power) * hop_s for one in parts], FOLDS)


def with_usual_sound(bundle: Bundle, observed: Sequence[Observation]) -> Bundle:
    """The bundle with what levels and roughness are usual in each of its modes, as far as these can be observed."""
    layout, modes = bundle.layout, bundle.modes
    if modes is None or not layout.has_extremes:
        return bundle
    means = rows_of(observed, "decisions")
    highest, lowest = layout.extreme_columns
    shares, levels = means[:, layout.mode_columns], means[:, layout.level_columns]
    roughness = means[:, highest] - means[:, lowest]
    usual = np.zeros_like(modes.usual)
    for mode in range(modes.count):
        own = shares[:, mode] >= SAME_MODE
        if np.count_nonzero(own) >= 2:
            found = (levels[own].mean(axis=0), levels[own].std(axis=0), roughness[own].mean(axis=0))
            usual[:, mode] = [*found, roughness[own].std(axis=0)]
    return replace(bundle, modes=replace(modes, usual=usual))


def _is_impulsive(recordings: Sequence[Frames], config: Config, normalization: Normalization) -> bool:
    """Whether the machine clicks or strokes, so that its loudest moments are its own."""
    from scipy.ndimage import maximum_filter1d

    length = rolling_length(config.score, config.features)
    levels, peaks = [], []
    for recording in recordings:
        if config.features.scale != "log" or len(recording.power) < length:
            continue
        decibels = normalization.scaled(np.array(recording.power))
        complete = maximum_filter1d(decibels, length, axis=0, origin=-(length // 2))[: len(decibels) - length + 1]
        levels.append(decibels.mean(axis=0))
        peaks.append(complete.mean(axis=0))
    if len(levels) < FEW:
        return False
    level, peak = np.stack(levels), np.stack(peaks)
    variation = np.median(peak.std(axis=0) / np.maximum(level.std(axis=0), 1e-9))
    return bool((peak - level).mean() >= LEAST_CREST_DB or variation <= MOST_VARIATION)
