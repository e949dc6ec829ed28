"""How far reconstructions are from their windows: the residual of each band, and the reconstruction error."""

from __future__ import annotations

from monitor.core.array_backend import mean_over_frames, mean_square
from monitor.core.types import Array


def write_errors(windows: Array, reconstructions: Array, residual: Array, error: Array) -> None:
    """Computes the residual and the error of windows x and their reconstructions x̂.

    The residual of a band is the mean of x̂ - x over the frames of the window, its error that of (x̂ - x)².

    Args:
        windows: (n, k, W · n_mels).
        reconstructions: (n · k, W · n_mels), overwritten with intermediate results.
        residual: (n, k, n_mels), written.
        error: (n, k, n_mels) of each band, or (n, k, 1) its mean over the bands; written.
    """
    streams, count, size = windows.shape
    bands = residual.shape[-1]
    difference = reconstructions.reshape(streams, count, size)
    difference -= windows
    by_frame = difference.reshape(streams * count, size // bands, bands)
    residual[:] = mean_over_frames(by_frame).reshape(streams, count, bands)
    if error.shape[-1] == bands:
        by_frame *= by_frame
        error[:] = mean_over_frames(by_frame).reshape(streams, count, bands)
    else:
        error[..., 0] = mean_square(difference)
