"""The columns of rows of window statistics, and of their rolling means."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.config.schema import Config
from monitor.core.array_backend import namespace
from monitor.core.types import Array
from monitor.scoring.score_parts import ScorePart, row_width


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Where the numbers of a row are.

    A row has the band statistics of one window (`monitor.scoring.window_stats`), then a column for each operating mode,
    then the two columns of the rhythm. A mean row has the means of these over some time, then the peaks: the highest
    level of each band in `score.window_s`.

    Attributes:
        n_mels: number of bands.
        band_columns: number of columns of band statistics.
        modes: number of operating modes; 0 if the machine has only one.
        rhythm: whether there are columns of the rhythm.
        peaks: whether mean rows have peaks.
    """

    n_mels: int
    band_columns: int
    modes: int = 0
    rhythm: bool = False
    peaks: bool = False

    @classmethod
    def of(cls, config: Config, *, modes: int = 0, rhythm: bool = False, peaks: bool = False) -> RowLayout:
        """The layout for the settings of a model."""
        n_mels = config.features.n_mels
        return cls(n_mels, row_width(config.score, n_mels), modes if modes > 1 else 0, rhythm, peaks)

    @property
    def has_levels(self) -> bool:
        """Whether rows have the levels of the bands, and not only what the network gives."""
        return self.band_columns > 2 * self.n_mels

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
    def level_columns(self) -> slice:
        """The levels that `peak_columns` are the highest of."""
        return slice(2 * self.n_mels, 3 * self.n_mels)

    @property
    def extreme_columns(self) -> tuple[slice, slice]:
        """The highest and the lowest level within a moment."""
        return slice(4 * self.n_mels, 5 * self.n_mels), slice(5 * self.n_mels, 6 * self.n_mels)

    @property
    def has_extremes(self) -> bool:
        """Whether rows have `extreme_columns`."""
        return self.band_columns >= 6 * self.n_mels

    @property
    def peak_columns(self) -> slice:
        """The highest level of each band, in mean rows."""
        return slice(self.row_width, self.row_width + self.n_mels)

    def columns(self, part: ScorePart) -> slice:
        """The columns of a score part in mean rows."""
        return self.peak_columns if part.of_peaks else part.slice(self.n_mels)

    def mode_shares(self, means: Array) -> Array | None:
        """The share of each operating mode (…, K) float64 in mean rows (…, mean_width); None if there is one mode."""
        if not self.modes:
            return None
        xp = namespace(means)
        return xp.astype(means[..., self.mode_columns], xp.float64)
