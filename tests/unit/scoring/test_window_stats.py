"""Window statistics are as defined."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.metrics import mean_squared_error

from monitor.config.schema import Config
from monitor.scoring.operating_modes import OperatingModes
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.window_stats import WindowStats, reconstruction_error
from support.backends import BACKENDS, backend
from support.builders import small_config


def measured(config: Config, windows: np.ndarray, reconstructions: np.ndarray, name: str = "numpy") -> np.ndarray:
    """The row of statistics of each window (N, k, window_size): (N, k, width)."""
    arrays, stats = backend(name), WindowStats(config)
    rows = arrays.upload(np.empty((*windows.shape[:2], stats.layout.row_width), np.float32))
    flat = reconstructions.reshape(-1, windows.shape[2]).copy()  # because it is overwritten
    stats.write(arrays.upload(windows), arrays.upload(flat), rows)
    return np.asarray(rows)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("kind", ["fused", "error"])
def test_residual_and_error_of_each_band_are_means_over_the_windows_frames(name: str, kind: str) -> None:
    windows, reconstructions = np.random.default_rng(0).standard_normal((2, 3, 7, 20 * 64)).astype(np.float32)
    rows = measured(small_config(f"score.kind={kind}"), windows, reconstructions, name)
    difference = (reconstructions.astype(np.float64) - windows).reshape(3, 7, 20, 64)
    np.testing.assert_allclose(rows[..., :64], difference.mean(axis=2), atol=1e-6)
    np.testing.assert_allclose(rows[..., 64:128], (difference**2).mean(axis=2), rtol=1e-5)
    whole = mean_squared_error(windows.reshape(21, -1).T, reconstructions.reshape(21, -1).T, multioutput="raw_values")
    np.testing.assert_allclose(reconstruction_error(rows, 64).ravel(), whole, rtol=1e-5)


@pytest.mark.parametrize(
    ("window", "hop", "lag"),
    [(20, 160, 3), (20, 512, 1), (6, 80, 3), (20, 1024, 1), (2, 160, 1)],
)
def test_level_and_change_are_of_the_frame_in_the_middle_of_the_window(window: int, hop: int, lag: int) -> None:
    """The window of frame t has frames t - W/2 to t + W/2 - 1. The change is over 32 ms, or less in a short window."""
    config = small_config(
        f"features.window_frames={window}", f"features.hop_length={hop}", "features.n_mels=4", "features.n_fft=1024"
    )
    frames = np.random.default_rng(window).standard_normal((50, 4)).astype(np.float32)
    windows = sliding_window_view(frames, window, axis=0).transpose(0, 2, 1).reshape(1, -1, window * 4).copy()
    own = np.arange(windows.shape[1]) + window // 2
    for name in BACKENDS:
        rows = measured(config, windows, np.zeros_like(windows), name)[0]
        np.testing.assert_array_equal(rows[:, 8:12], frames[own])
        np.testing.assert_allclose(rows[:, 12:16], np.abs(frames[own] - frames[own - lag]), atol=1e-7)


@pytest.mark.parametrize(
    ("window", "hop", "near"), [(20, 160, 10), (40, 160, 10), (6, 80, 3), (20, 512, 3), (20, 1024, 2), (2, 160, 1)]
)
def test_the_highest_and_the_lowest_level_are_those_within_a_tenth_of_a_second(
    window: int, hop: int, near: int
) -> None:
    """Of the frame in the middle of the window, or within the window if that is shorter."""
    config = small_config(
        f"features.window_frames={window}", f"features.hop_length={hop}", "features.n_mels=4", "features.n_fft=1024"
    )
    frames = np.random.default_rng(window).standard_normal((90, 4)).astype(np.float32)
    windows = sliding_window_view(frames, window, axis=0).transpose(0, 2, 1).reshape(1, -1, window * 4).copy()
    own = np.arange(windows.shape[1]) + window // 2
    around = [frames[t - near : t + near] for t in own]
    for name in BACKENDS:
        rows = measured(config, windows, np.zeros_like(windows), name)[0]
        np.testing.assert_array_equal(rows[:, 16:20], [one.max(axis=0) for one in around])
        np.testing.assert_array_equal(rows[:, 20:24], [one.min(axis=0) for one in around])
        assert rows.shape[1] == 24


@pytest.mark.parametrize("name", BACKENDS)
def test_the_operating_mode_of_a_window_is_that_of_its_mean_spectrum(name: str) -> None:
    """Not that of the single frame in its middle, which varies more."""
    config, random = small_config("features.n_mels=4"), np.random.default_rng(2)
    centres, usual = 0.2 * random.standard_normal((3, 4)).astype(np.float32), np.zeros((4, 3, 4), np.float32)
    modes = OperatingModes(centres, np.full(4, 2, np.float32), usual)
    windows = random.standard_normal((2, 50, 20 * 4)).astype(np.float32)
    arrays, layout = backend(name), RowLayout.of(config, modes=3)
    rows = arrays.upload(np.empty((2, 50, layout.row_width), np.float32))
    WindowStats(config, layout, modes.uploaded(arrays)).write(
        arrays.upload(windows), arrays.upload(windows.copy()), rows
    )
    spectra = windows.reshape(2, 50, 20, 4).mean(axis=2)
    nearest = np.square(spectra[:, :, None] - modes.centres).sum(axis=-1).argmin(axis=-1)
    np.testing.assert_array_equal(np.asarray(rows)[..., layout.mode_columns], np.eye(3)[nearest])
    assert len(np.unique(nearest)) == 3
