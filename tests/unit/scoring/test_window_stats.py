"""Window statistics are as defined."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from monitor.config.schema import Config
from monitor.scoring.operating_modes import OperatingModes
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.window_stats import WindowStats
from support.backends import BACKENDS, backend
from support.builders import small_config


def measured(config: Config, frames: np.ndarray, name: str = "numpy") -> np.ndarray:
    """The row of statistics of each window of normalized frames (N, T, n_mels): (N, T - W + 1, width)."""
    arrays, stats = backend(name), WindowStats(config)
    count = frames.shape[1] - config.features.window_frames + 1
    rows = arrays.upload(np.empty((len(frames), count, stats.layout.row_width), np.float32))
    stats.write(arrays.upload(frames), rows)
    return np.asarray(rows)


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
    own = np.arange(len(frames) - window + 1) + window // 2
    for name in BACKENDS:
        rows = measured(config, frames[None], name)[0]
        np.testing.assert_array_equal(rows[:, 5:9], frames[own])
        np.testing.assert_allclose(rows[:, 9:13], np.abs(frames[own] - frames[own - lag]), atol=1e-7)


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
    own = np.arange(len(frames) - window + 1) + window // 2
    around = [frames[t - near : t + near] for t in own]
    for name in BACKENDS:
        rows = measured(config, frames[None], name)[0]
        np.testing.assert_array_equal(rows[:, 13:17], [one.max(axis=0) for one in around])
        np.testing.assert_array_equal(rows[:, 17:21], [one.min(axis=0) for one in around])
        assert rows.shape[1] == 21


@pytest.mark.parametrize("name", BACKENDS)
def test_the_operating_mode_of_a_window_is_that_of_its_mean_spectrum(name: str) -> None:
    """Not that of the single frame in its middle, which varies more."""
    config, random = small_config("features.n_mels=4"), np.random.default_rng(0)
    centres, usual = 0.2 * random.standard_normal((3, 4)).astype(np.float32), np.zeros((4, 3, 4), np.float32)
    modes = OperatingModes(centres, np.full(4, 2, np.float32), usual)
    frames = random.standard_normal((2, 69, 4)).astype(np.float32)
    arrays, layout = backend(name), RowLayout.of(config, modes=3)
    rows = arrays.upload(np.empty((2, 50, layout.row_width), np.float32))
    WindowStats(config, layout, modes.uploaded(arrays)).write(arrays.upload(frames), rows)
    spectra = sliding_window_view(frames, 20, axis=1).mean(axis=-1)
    nearest = np.square(spectra[:, :, None] - modes.centres).sum(axis=-1).argmin(axis=-1)
    np.testing.assert_array_equal(np.asarray(rows)[..., layout.mode_columns], np.eye(3)[nearest])
    assert len(np.unique(nearest)) == 3


def test_telling_the_modes_of_a_long_recording_does_not_need_the_memory_of_all_its_windows() -> None:
    config, count = small_config(), 5000
    modes = OperatingModes(*(np.ones(shape, np.float32) for shape in ((2, 64), (64,), (4, 2, 64))))
    layout = RowLayout.of(config, modes=2)
    frames = np.zeros((1, count + 19, 64), np.float32)
    rows = np.empty((1, count, layout.row_width), np.float32)
    tracemalloc.start()
    try:
        WindowStats(config, layout, modes).write(frames, rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < frames.nbytes * 20 / 2, "20 frames in a window"
