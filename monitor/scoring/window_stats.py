"""The statistics of a window x and its reconstruction x̂, among them the residual and the reconstruction error.

A row begins with [residual | band error], and may go on with [level | change], and with [highest | lowest], n_mels
numbers each:

- residual: the mean of x̂ - x over the W frames of the window;
- band error: the mean of (x̂ - x)² over these frames; its mean over the bands is the reconstruction error;
- level: the normalized frame in the middle of the window (frame t of window t);
- change: the absolute difference of that frame and the frame `CHANGE_S` before it. The mean level of a machine is its
  spectrum; the mean change measures how rough it sounds: a rattle and a hum can have the same level;
- highest, lowest: the highest and the lowest level within `EXTREMES_S` around that frame. Their means tell clicks, and
  moments that are not quiet any more, from a sound that is louder all the time.
"""

from __future__ import annotations

import numpy as np

from monitor.config.schema import Config, Features
from monitor.core.array_backend import namespace
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
    """Computes the window statistics of one model.

    Args:
        config: settings of the model.
        layout: of the rows.
        modes: by which the operating mode of a window is told, if the machine has several.
    """

    def __init__(self, config: Config, layout: RowLayout | None = None, modes: OperatingModes | None = None) -> None:
        features = config.features
        self.n_mels, self._window_frames = features.n_mels, features.window_frames
        self.layout = layout or RowLayout.of(config)
        self._modes = modes
        middle, lag, near = features.window_frames // 2, change_lag(features), extremes_reach(features)
        self._middle_frame = slice(middle * self.n_mels, (middle + 1) * self.n_mels)
        self._near_frames = slice(middle - near, middle + near)
        self._earlier_frame = slice((middle - lag) * self.n_mels, (middle - lag + 1) * self.n_mels)

    def write(self, windows: Array, reconstructions: Array, rows: Array) -> None:
        """Computes the statistics of windows, and which mode each is in; the columns of the rhythm are not written.

        Args:
            windows: (N, k, W · n_mels).
            reconstructions: (N · k, W · n_mels), overwritten with intermediate results.
            rows: (N, k, row_width), written.
        """
        streams, count, size = windows.shape
        difference = reconstructions.reshape(streams, count, size)
        difference -= windows
        bands = self.n_mels
        by_frame = difference.reshape(streams * count, self._window_frames, bands)
        shape = (streams, count, bands)
        rows[..., :bands] = mean_over_frames(by_frame).reshape(shape)
        by_frame *= by_frame
        rows[..., bands : 2 * bands] = mean_over_frames(by_frame).reshape(shape)
        if self.layout.band_columns > 2 * bands:
            level = windows[..., self._middle_frame]
            rows[..., 2 * bands : 3 * bands] = level
            rows[..., 3 * bands : 4 * bands] = namespace(level).abs(level - windows[..., self._earlier_frame])
        if self.layout.band_columns > 4 * bands:
            frames = windows.reshape(*shape[:2], self._window_frames, bands)[:, :, self._near_frames]
            rows[..., 4 * bands : 5 * bands] = namespace(frames).max(frames, axis=2)
            rows[..., 5 * bands : 6 * bands] = namespace(frames).min(frames, axis=2)
        if self._modes is not None:
            spectra = mean_over_frames(windows.reshape(-1, self._window_frames, bands)).reshape(shape)
            rows[..., self.layout.mode_columns] = self._modes.indicators(spectra)


def mean_over_frames(by_frame: Array) -> Array:
    """The mean over the W frames of each window: (B, W, M) -> (B, M)."""
    if isinstance(by_frame, np.ndarray):  # einsum is twice as fast as mean
        return np.einsum("bwm->bm", by_frame) * np.float32(1 / by_frame.shape[1])
    return by_frame.mean(dim=1)


def reconstruction_error(rows: Array, n_mels: int) -> Array:
    """The reconstruction error of rows of window statistics, or of mean rows: (…, width) -> (…)."""
    return namespace(rows).mean(rows[..., n_mels : 2 * n_mels], axis=-1)
