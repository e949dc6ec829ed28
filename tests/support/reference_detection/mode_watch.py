"""Notices that a machine runs in an operating mode that was never heard in training, which is no fault."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monitor.core.types import BoolArray, DoubleArray, FloatArray, IndexArray
from monitor.scoring.operating_modes import OperatingModes
from monitor.scoring.row_layout import RowLayout


class ModeWatch:
    """Tells an unknown mode from an anomaly, for machines with several known modes.

    A mean row is looked at only where its score is above the threshold. Until a whole mean is of the new sound, it can
    be taken for a fault, so such scores are held back for twice as long as a mean is: machines need time to run up.

    Args:
        modes: the known modes.
        layout: of the mean rows.
        window_rows: number of windows that a score averages over.
    """

    def __init__(self, modes: OperatingModes, layout: RowLayout, window_rows: int) -> None:
        self.use(modes, layout)
        self._rows = window_rows
        self.reset()

    def use(self, modes: OperatingModes, layout: RowLayout) -> None:
        """Goes on with the modes of another model, and the layout of its mean rows."""
        self._modes, self._layout = modes, layout

    def reset(self) -> None:
        """Restarts, because a gap follows."""
        self._above = 0  # windows since the score has been above the threshold
        self._recognized = 0  # windows with an unknown mode, since there was none for the length of a mean
        self._known = 0  # windows since the last one with an unknown mode

    def push(
        self, scores: DoubleArray, threshold: float, mean_rows: Callable[[IndexArray], FloatArray | DoubleArray]
    ) -> tuple[DoubleArray, BoolArray]:
        """Processes the next scores.

        Args:
            scores: (k,), NaN where there is none.
            threshold: of the score.
            mean_rows: returns the mean rows (n, mean_width) of these scores by their indices (n,).

        Returns:
            the scores (k,) for the alarm: not above the threshold where they are held back; and whether the machine is
            in an unknown mode (k,).
        """
        above, half = scores > threshold, max(1, self._rows // 2)
        unknown = np.zeros(len(scores), bool)
        if not above.any() and not self._recognized:
            self._above = 0
            return scores, unknown
        recognized = np.zeros(len(scores), bool)
        if above.any():
            recognized[above] = self._are_unknown(mean_rows(np.flatnonzero(above)))
        held_back = np.zeros(len(scores), bool)
        for i, (is_above, is_recognized) in enumerate(zip(above.tolist(), recognized.tolist(), strict=True)):
            self._above = self._above + 1 if is_above else 0
            self._known = 0 if is_recognized else self._known + 1
            # Half the length of a mean makes it sure that the mode has changed, a whole one that it has changed back.
            self._recognized = self._recognized + 1 if is_recognized else self._recognized * (self._known < self._rows)
            unknown[i], held_back[i] = self._recognized >= half, is_above and self._above <= 2 * self._rows
        return np.where(held_back, np.minimum(scores, threshold), scores), unknown

    def _are_unknown(self, means: FloatArray | DoubleArray) -> BoolArray:
        highest, lowest = self._layout.extreme_columns
        return self._modes.are_unknown(means[:, self._layout.level_columns], means[:, highest] - means[:, lowest])
