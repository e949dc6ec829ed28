"""The statistics of a window x and its reconstruction x̂, among them the residual and the reconstruction error.

A row of window statistics is [residual | band error] or [residual | band error | level | change], n_mels numbers each:

- residual: the mean of x̂ - x over the W frames of the window;
- band error: the mean of (x̂ - x)² over these frames; its mean over the bands is the reconstruction error;
- level: the normalized frame in the middle of the window (frame t of window t);
- change: the absolute difference of that frame and the frame `CHANGE_S` before it. The mean level of a machine is its
  spectrum; the mean change measures how rough it sounds: a rattle and a hum can have the same level.
"""

from __future__ import annotations

import numpy as np

from monitor.config.schema import Config
from monitor.core.array_backend import namespace
from monitor.core.types import Array
from monitor.scoring.score_parts import row_width

CHANGE_S = 0.032  # seconds


class WindowStats:
    """Computes the window statistics for the settings of one model."""

    def __init__(self, config: Config) -> None:
        features = config.features
        self.n_mels, self._window_frames = features.n_mels, features.window_frames
        self.width = row_width(config.score.kind, self.n_mels)
        middle = features.window_frames // 2
        lag = min(middle, max(1, round(CHANGE_S / features.hop_s)))
        self._middle_frame = slice(middle * self.n_mels, (middle + 1) * self.n_mels)
        self._earlier_frame = slice((middle - lag) * self.n_mels, (middle - lag + 1) * self.n_mels)

    def write(self, windows: Array, reconstructions: Array, rows: Array) -> None:
        """Computes the statistics of windows.

        Args:
            windows: (N, k, W · n_mels).
            reconstructions: (N · k, W · n_mels), overwritten with intermediate results.
            rows: (N, k, width), written.
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
        if self.width > 2 * bands:
            level = windows[..., self._middle_frame]
            rows[..., 2 * bands : 3 * bands] = level
            rows[..., 3 * bands : 4 * bands] = namespace(level).abs(level - windows[..., self._earlier_frame])


def mean_over_frames(by_frame: Array) -> Array:
    """The mean over the W frames of each window: (B, W, M) -> (B, M)."""
    if isinstance(by_frame, np.ndarray):  # einsum is twice as fast as mean
        return np.einsum("bwm->bm", by_frame) * np.float32(1 / by_frame.shape[1])
    return by_frame.mean(dim=1)


def reconstruction_error(rows: Array, n_mels: int) -> Array:
    """The reconstruction error of rows of window statistics, or of mean rows: (…, width) -> (…)."""
    return namespace(rows).mean(rows[..., n_mels : 2 * n_mels], axis=-1)
