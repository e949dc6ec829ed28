"""The statistics of a window that do not need the network. `monitor.model.network` computes residual and error.

A row begins with [residual | error], and may go on with [level | change], and with [highest | lowest]. Each has a
number for each band, but the error usually one for all (`monitor.scoring.row_layout`).

- level: the normalized frame in the middle of the window (frame t of window t);
- change: the absolute difference of that frame and the frame `CHANGE_S` before it. The mean level of a machine is its
  spectrum; the mean change measures how rough it sounds: a rattle and a hum can have the same level;
- highest, lowest: the highest and the lowest level within `EXTREMES_S` around that frame. Their means tell clicks, and
  moments that are not quiet any more, from a sound that is louder all the time.
"""

from __future__ import annotations

from monitor.config.schema import Config, Features
from monitor.core.array_backend import mean_over_frames, namespace, sliding_maxima, sliding_minima, sliding_rows
from monitor.core.types import Array
from monitor.scoring.operating_modes import OperatingModes
from monitor.scoring.row_layout import RowLayout

CHANGE_S = 0.032  # seconds
EXTREMES_S = 0.2  # seconds, at most the window


def change_lag(features: Features) -> int:
    """CHANGE_S in frames, at most half a window."""
    return min(features.window_frames // 2, max(1, round(CHANGE_S / features.hop_s)))


def extremes_reach(features: Features) -> int:
    """Half of EXTREMES_S in frames, at most half a window."""
    return min(features.window_frames // 2, max(1, round(EXTREMES_S / 2 / features.hop_s)))


class WindowStats:
    """Computes what rows have of the level, and the operating mode of each window.

    Args:
        config: settings of the model.
        layout: of the rows.
        modes: by which the operating mode of a window is told, if the machine has several.
    """

    def __init__(self, config: Config, layout: RowLayout | None = None, modes: OperatingModes | None = None) -> None:
        features = config.features
        self.layout = layout or RowLayout.of(config)
        self._window_frames, self._modes = features.window_frames, modes
        self._middle, self._lag = features.window_frames // 2, change_lag(features)
        self._near = extremes_reach(features)
        # Looked up once, because rows are often written one at a time.
        self._level, self._change = self.layout.level_columns, self.layout.change_columns
        self._extremes = self.layout.extreme_columns if self.layout.has_extremes else None

    def write(self, frames: Array, rows: Array) -> None:
        """Computes the statistics of k windows of n streams; the other columns of `rows` are not written.

        Args:
            frames: (n, W - 1 + k, n_mels) normalized frames.
            rows: (n, k, row_width), written.
        """
        streams, count, _ = rows.shape
        layout, xp = self.layout, namespace(frames)
        if layout.has_levels:
            level, earlier = (frames[:, first : first + count] for first in (self._middle, self._middle - self._lag))
            rows[..., self._level] = level
            rows[..., self._change] = xp.abs(level - earlier)
        if self._extremes is not None:
            near = frames[:, self._middle - self._near : self._middle + self._near - 1 + count]
            for sliding, columns in zip((sliding_maxima, sliding_minima), self._extremes, strict=True):
                sliding(near, 2 * self._near, rows[..., columns])
        if self._modes is not None:
            windows = sliding_rows(frames, self._window_frames)
            by_frame = windows.reshape(streams, count, self._window_frames, layout.n_mels)  # a view, as `windows`
            rows[..., layout.mode_columns] = self._modes.indicators(mean_over_frames(by_frame))
