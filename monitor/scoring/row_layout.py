"""The columns of rows of window statistics, and of their rolling means."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.config.schema import Config
from monitor.core.array_backend import namespace
from monitor.core.types import Array
from monitor.scoring.score_parts import STATISTICS, ScorePart, measured_statistics


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Where the numbers of a row are.

    A row has the statistics of one window in the order of `monitor.scoring.score_parts.STATISTICS`, then a column for
    each operating mode, then the two columns of the rhythm. A mean row has the means of these over some time, then the
    peaks: the highest level of each band in `score.window_s`.

    Attributes:
        n_mels: number of bands, and of columns of each statistic except the error.
        statistics: how many of STATISTICS a row has.
        errors: number of columns of the error: n_mels with `score.kind: error`, which tells by them where an anomaly
            is, otherwise 1, the mean over the bands.
        modes: number of operating modes; 0 if the machine has only one.
        rhythm: whether there are columns of the rhythm.
        peaks: whether mean rows have peaks.
    """

    n_mels: int
    statistics: int
    errors: int = 1
    modes: int = 0
    rhythm: bool = False
    peaks: bool = False

    @classmethod
    def of(cls, config: Config, *, modes: int = 0, rhythm: bool = False, peaks: bool = False) -> RowLayout:
        """The layout for the settings of a model."""
        n_mels = config.features.n_mels
        return cls(
            n_mels, measured_statistics(config.score), n_mels if config.score.kind == "error" else 1,
            modes if modes > 1 else 0, rhythm, peaks,
        )  # fmt: skip

    @property
    def has_levels(self) -> bool:
        """Whether rows have the levels of the bands, and not only what the network gives."""
        return self.statistics > STATISTICS.index("change")

    @property
    def band_columns(self) -> int:
        """The number of columns of statistics, before those of the modes and of the rhythm."""
        return self._start(self.statistics)

    @property
    def row_width(self) -> int:
        """The number of columns of a row."""
        return self.band_columns + self.modes + 2 * self.rhythm

    @property
    def mean_width(self) -> int:
        """The number of columns of a mean row."""
        return self.row_width + self.n_mels * self.peaks

    @property
    def mode_columns(self) -> slice:
        """1 for the operating mode of a window, 0 for the others; in mean rows, the share of the time."""
        return slice(self.band_columns, self.band_columns + self.modes)

    @property
    def surprise_column(self) -> int:
        """The surprise of the interval that ends with an impulse, 0 where there is no impulse."""
        return self.band_columns + self.modes

    @property
    def impulse_column(self) -> int:
        """1 where an interval ends with an impulse, otherwise 0."""
        return self.surprise_column + 1

    @property
    def residual_columns(self) -> slice:
        """The residual of each band."""
        return self._slice("residual")

    @property
    def error_columns(self) -> slice:
        """The error of each band, or its mean over the bands."""
        return self._slice("error")

    @property
    def level_columns(self) -> slice:
        """The levels that `peak_columns` are the highest of."""
        return self._slice("level")

    @property
    def change_columns(self) -> slice:
        """The change of the level of each band."""
        return self._slice("change")

    @property
    def extreme_columns(self) -> tuple[slice, slice]:
        """The highest and the lowest level within a moment."""
        return self._slice("highest"), self._slice("lowest")

    @property
    def has_extremes(self) -> bool:
        """Whether rows have `extreme_columns`."""
        return self.statistics > STATISTICS.index("lowest")

    @property
    def peak_columns(self) -> slice:
        """The highest level of each band, in mean rows."""
        return slice(self.row_width, self.row_width + self.n_mels)

    def columns(self, part: ScorePart) -> slice:
        """The columns of a score part in mean rows."""
        if part.of_peaks:
            return self.peak_columns
        first, last = part.range
        return slice(self._start(first), self._start(last))

    def reconstruction_error(self, rows: Array) -> Array:
        """The reconstruction error (…) of rows (…, row_width), or of mean rows: the mean over the bands."""
        error = rows[..., self.error_columns]
        return error[..., 0] if self.errors == 1 else namespace(error).mean(error, axis=-1)

    def mode_shares(self, means: Array) -> Array | None:
        """The share of each operating mode (…, K) float64 in mean rows (…, mean_width); None if there is one mode."""
        if not self.modes:
            return None
        xp = namespace(means)
        return xp.astype(means[..., self.mode_columns], xp.float64)

    def _slice(self, statistic: str) -> slice:
        number = STATISTICS.index(statistic)
        return slice(self._start(number), self._start(number + 1))

    def _start(self, statistic: int) -> int:
        """The first column of a statistic, by its number in STATISTICS."""
        after_error = statistic > STATISTICS.index("error")
        return statistic * self.n_mels + (self.errors - self.n_mels if after_error else 0)
