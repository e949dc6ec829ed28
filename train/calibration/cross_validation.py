"""Cross-validation of score parts: references fitted on all recordings, and distances by those of other folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.core.types import BoolArray, DoubleArray, IndexArray
from monitor.scoring.gaussian import TINY, Reference
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.score_parts import ScorePart
from monitor.scoring.scorer import log_ratio, mean_surprise
from train.calibration.gaussian_fit import OBSERVATIONS_PER_DIMENSION, best_shrinkage, gaussian
from train.calibration.normal_pool import owners_of, rows_of
from train.calibration.observations import Observation
from train.calibration.rhythm_finder import FoundRhythm
from train.data.sessions import Sessions, blocked_folds, recording_sessions

FOLDS = 5  # of the cross-validation
# A reference that is fitted on four fifths of the recordings gives larger distances than the final one, which is fitted
# on all. How much larger is found with mixed folds, of FOLDS and of many more.
MANY_FOLDS = 20
FEW_PIECES = 5  # with fewer, means over score.window_s are fitted
NO_FOLD = -1  # of recordings that each fold is fitted on
SAME_MODE = 0.95  # share of the time in one mode, from which on sound counts as of this mode
NAMES = ("decisions", "wholes", "cuts")  # fields of observations that are scored
KINDS = (0, 1, 1)  # the row of `log_distance` of each: means over score.window_s, or over whole recordings


@dataclass(frozen=True, slots=True)
class Logs:
    """ln d² of one part, or the surprise of the rhythm, of all rows of NAMES."""

    logs: list[DoubleArray]  # (n,) for each of NAMES
    owners: list[IndexArray]  # (n,) number of the recording that each belongs to

    def correct_for_training(self, trained: BoolArray) -> None:
        """Raises the values of training recordings, in place, to the mean of held-out ones if theirs is lower."""
        for values, owner in zip(self.logs, self.owners, strict=True):
            own = trained[owner]
            if own.any() and not own.all():
                values[own] += max(0.0, float(np.nan_to_num(values[~own].mean() - values[own].mean())))

    def mean_and_deviation(self) -> DoubleArray:
        """`log_distance` of a reference distribution."""
        decisions, wholes = (values[~np.isnan(values)] for values in self.logs[:2])
        usual = np.array([[one.mean(), one.std()] if len(one) else [np.nan, np.nan] for one in (decisions, wholes)])
        if not np.isfinite(usual[0]).all():  # all recordings are shorter than score.window_s
            usual[0] = usual[1]
        if len(wholes) < 3 or not np.isfinite(usual[1]).all():
            usual[1] = usual[0]
        return usual

    def relative_to(self, deviation: Sequence[float]) -> DoubleArray:
        """`log_distance` of an alternative: its deviation is relative to that of the logarithm of the fused score."""
        usual = self.mean_and_deviation()
        usual[:, 1] = np.maximum(usual[:, 1], 1e-3) / np.nan_to_num(np.maximum(deviation, 1e-3), nan=1.0)
        return usual

    def scaled(self, log_distance: DoubleArray) -> Logs:
        """The logarithms of the ratios of an alternative."""
        pairs = zip(self.logs, KINDS, strict=True)
        return Logs([np.asarray(log_ratio(values, log_distance[kind])) for values, kind in pairs], self.owners)


class CrossValidation:
    """Fits parts on recordings, and scores those of each fold by what was fitted on the others.

    Args:
        recordings: that are fitted on, and scored.
        config: settings of the model.
        layout: of the mean rows.
        also: recordings that each fold is fitted on as well, and that are not scored.
    """

    def __init__(
        self, recordings: Sequence[Observation], config: Config, layout: RowLayout, also: Sequence[Observation] = ()
    ) -> None:
        self.observed, sessions = _divide_long(recordings)
        self._config, self._layout, self._also = config, layout, also
        self._folds = blocked_folds(sessions, [o.seconds for o in self.observed], FOLDS)
        self._one_session = not sessions.known or sessions.count == 1
        self.trained = np.array([o.trained for o in self.observed])
        self._rows = [rows_of(self.observed, name) for name in NAMES]
        self._owners = [owners_of(self.observed, name) for name in NAMES]

    def of_part(self, part: ScorePart) -> tuple[Logs, Reference]:
        """ln d² of all rows by references fitted on other folds, and the reference distribution fitted on all."""
        means, owner = self._observations(part)
        columns = self._layout.columns(part)
        modes = self._modes_of(part)
        shrinkage = self._shrinkage(part, means, owner, modes)
        references = self._fitted_by_fold(part, means, owner, self._folds, shrinkage)
        found = self._left_out(references, self._folds, columns, modes)
        reference = self._fitted(part, means, means, modes, shrinkage)
        if modes > 1:
            factors = self._evening_factors(found, modes)
            found = self._left_out([_scaled(one, factors) for one in references], self._folds, columns, modes)
            reference = _scaled(reference, factors)
        too_high = self._effect_of_size(part, means, owner, shrinkage)
        return Logs([values - too_high for values in found], self._owners), reference

    def _modes_of(self, part: ScorePart) -> int:
        return 1 if part.of_peaks else max(1, self._layout.modes)

    def of_rhythm(self, rhythm: FoundRhythm) -> Logs:
        """The mean surprise of all rows, NaN where there is no interval."""
        found = [np.asarray(mean_surprise(rows, self._layout)) + rhythm.too_low for rows in self._rows]
        return Logs(found, self._owners)

    def _observations(self, part: ScorePart) -> tuple[DoubleArray, IndexArray]:
        """The mean rows (n, mean_width) that a part is fitted on, and the recording (n,) that each belongs to.

        The recordings that are not scored have the number NO_FOLD.
        """
        for name in ("pieces", "fine"):
            means, owner = rows_of(self.observed, name), owners_of(self.observed, name)
            if self._also:
                more = rows_of(self._also, name)
                means = np.concatenate((means, more))
                owner = np.concatenate((owner, np.full(len(more), NO_FOLD)))
            known = ~np.isnan(means[:, self._layout.columns(part)]).any(axis=1)
            means, owner = means[known], owner[known]
            if len(means) >= FEW_PIECES and self._is_in_each_mode(means):
                break
        if len(means) < 2:
            raise DataError("Too little normal sound for a reference: two recordings at least, or longer ones.")
        return means, owner

    def _is_in_each_mode(self, means: DoubleArray) -> bool:
        return all(np.count_nonzero(own) >= FEW_PIECES for own in self._by_mode(means, max(1, self._layout.modes)))

    def _by_mode(self, means: DoubleArray, modes: int) -> list[BoolArray]:
        """Which mean rows (n,) are of each mode."""
        shares = self._layout.mode_shares(means)
        if modes == 1 or shares is None:
            return [np.ones(len(means), bool)]
        return [np.asarray(shares[:, mode] >= SAME_MODE) for mode in range(modes)]

    def _shrinkage(self, part: ScorePart, means: DoubleArray, owner: IndexArray, modes: int) -> float | str:
        """The shrinkage of a part. It depends on all recordings, so that each fold is fitted in the same way."""
        wanted = self._config.score.shrinkage
        if wanted != "auto":
            return wanted
        scored = owner != NO_FOLD
        means, owner = means[scored], owner[scored]
        columns, by_mode = means[:, self._layout.columns(part)], self._by_mode(means, modes)
        counts = [np.count_nonzero(own) for own in by_mode]
        if self._one_session and min(counts) >= OBSERVATIONS_PER_DIMENSION * columns.shape[1]:
            return part.light_shrinkage
        largest = by_mode[int(np.argmax(counts))]
        return best_shrinkage(columns[largest], self._folds[owner[largest]])

    def _fitted(
        self, part: ScorePart, means: DoubleArray, otherwise: DoubleArray, modes: int, shrinkage: float | str
    ) -> Reference:
        """The reference distribution fitted on mean rows; of a mode that has too few of them, on `otherwise`."""
        columns = self._layout.columns(part)
        fitted: list[tuple[DoubleArray, DoubleArray]] = []
        every = zip(self._by_mode(means, modes), self._by_mode(otherwise, modes), strict=True)
        for own, own_otherwise in every:
            chosen = means[own] if np.count_nonzero(own) >= 2 else otherwise[own_otherwise]
            chosen = chosen if len(chosen) >= 2 else otherwise
            fitted.append(gaussian(chosen[:, columns], shrinkage))
        centre, inverse = (np.stack(one) if modes > 1 else one[0] for one in zip(*fitted, strict=True))
        return Reference(centre, inverse, np.array([[0.0, 1.0], [0.0, 1.0]]))

    def _fitted_by_fold(
        self, part: ScorePart, means: DoubleArray, owner: IndexArray, folds: IndexArray, shrinkage: float | str
    ) -> list[Reference]:
        """For each fold, the reference distribution fitted on the mean rows of the others."""
        modes = self._modes_of(part)
        fold_of = np.where(owner == NO_FOLD, NO_FOLD, folds[owner])
        return [self._fitted(part, means[fold_of != fold], means, modes, shrinkage) for fold in range(folds.max() + 1)]

    def _effect_of_size(self, part: ScorePart, means: DoubleArray, owner: IndexArray, shrinkage: float | str) -> float:
        """By how much the mean of ln d² is higher because references are fitted on FOLDS - 1 of FOLDS folds only.

        Folds are mixed here: what differs between sessions is no effect of the size.
        """
        count, columns, modes = len(self.observed), self._layout.columns(part), self._modes_of(part)
        found: list[float] = []
        for number in (FOLDS, MANY_FOLDS):
            folds = np.arange(count) % min(number, count)
            references = self._fitted_by_fold(part, means, owner, folds, shrinkage)
            wholes = self._left_out(references, folds, columns, modes)[1]
            found.append(float(np.nanmean(wholes)) if len(wholes) and not np.isnan(wholes).all() else 0.0)
        return max(0.0, found[0] - found[1])

    def _left_out(
        self, references: Sequence[Reference], folds: IndexArray, columns: slice, modes: int
    ) -> list[DoubleArray]:
        """ln d² of all rows, each by the reference of its fold, which was fitted on the other folds."""
        found = [np.empty(len(one)) for one in self._rows]
        for fold, reference in enumerate(references):
            for rows, owners, out in zip(self._rows, self._owners, found, strict=True):
                which = folds[owners] == fold
                shares = self._layout.mode_shares(rows[which]) if modes > 1 else None
                squared = reference.squared_distance(rows[which][:, columns], shares)
                out[which] = np.log(np.maximum(np.asarray(squared, np.float64), TINY))
        return found

    def _evening_factors(self, found: Sequence[DoubleArray], modes: int) -> DoubleArray:
        """The factors (K,) of squared distances with which the mean of ln d² is the same in each mode."""
        means = np.full(modes, np.nan)
        for rows, values in zip(self._rows[:2], found[:2], strict=True):
            for mode, own in enumerate(self._by_mode(rows, modes)):
                if np.isnan(means[mode]) and own.any():
                    means[mode] = float(values[own].mean())
        factors: DoubleArray = np.exp(np.nan_to_num(np.nanmean(means) - means))
        return factors


def _scaled(reference: Reference, factors: DoubleArray) -> Reference:
    return replace(reference, inverse_covariance=reference.inverse_covariance * factors[:, None, None])


def sessions_of(recordings: Sequence[Observation]) -> Sessions:
    """The sessions that recordings were made in."""
    return recording_sessions([o.frames.path for o in recordings], [o.seconds for o in recordings])


def _divide_long(observed: Sequence[Observation]) -> tuple[Sequence[Observation], Sessions]:
    """Divides recordings into parts if there are fewer recordings than folds; a recording of one piece stays whole.

    Returns:
        the parts, and the sessions that they were made in.
    """
    parts, sessions = -(-FOLDS // len(observed)), sessions_of(observed)
    if parts == 1:
        return observed, sessions
    divided: list[Observation] = []
    counts = [max(1, min(parts, len(o.pieces))) for o in observed]
    for o, count in zip(observed, counts, strict=True):
        if count == 1:
            divided.append(o)
            continue
        names = ("pieces", "fine", "decisions", "levels", "cuts", "cut_s")
        split = [np.array_split(getattr(o, name), count) for name in names]
        before = 0
        for number, (pieces, fine, decisions, levels, cuts, cut_s) in enumerate(zip(*split, strict=True)):
            divided.append(
                replace(o, seconds=o.seconds / count, pieces=pieces, fine=fine, decisions=decisions,
                        whole=pieces.mean(axis=0), levels=levels, at_s=o.seconds * number / count,
                        decisions_before=before, cuts=cuts, cut_s=cut_s)
            )  # fmt: skip
            before += len(decisions)
    return divided, sessions.of_parts(counts)
