"""Sound of an unknown operating mode is told from that of a known one, and from faults."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.scoring.operating_modes import OperatingModes

BANDS = 10
LEVELS = np.array([np.full(BANDS, 0.0), np.full(BANDS, 20.0)])  # of the two modes
DEVIATION, ROUGHNESS = 2.0, 6.0
SLOW, FAST = np.array([1.0, 0.0]), np.array([0.0, 1.0])


def two_modes() -> OperatingModes:
    usual = np.stack([LEVELS, *(np.full((2, BANDS), one) for one in (DEVIATION, ROUGHNESS, 1.0))])
    return OperatingModes(LEVELS.astype(np.float32), np.ones(BANDS, np.float32), usual.astype(np.float32))


def change(bands: int, decibels: float) -> np.ndarray:
    return decibels * (np.arange(BANDS) < bands)


@pytest.mark.parametrize(
    ("levels", "rougher", "unknown"),
    [
        pytest.param(change(10, 5.0), 0.0, True, id="all bands louder"),
        pytest.param(change(6, -5.0), 0.0, True, id="more than half of the bands quieter"),
        pytest.param(change(10, 2.0), 0.0, False, id="one deviation louder: as usual"),
        pytest.param(change(4, 50.0), 0.0, False, id="a fault in a part of the bands"),
        pytest.param(change(10, 5.0), 3.0, False, id="a fault that makes the sound rougher"),
        pytest.param(change(10, 5.0), -3.0, False, id="smoother than the machine ever is"),
    ],
)
def test_another_level_in_most_bands_is_another_mode_if_the_sound_is_as_rough_as_ever(
    levels: np.ndarray, rougher: float, unknown: bool
) -> None:
    for usual in LEVELS:
        found = two_modes().are_unknown(usual + levels, np.full(BANDS, ROUGHNESS + rougher))
        assert bool(found) is unknown


def test_sound_half_way_between_two_modes_is_of_neither() -> None:
    """Windows of it belong to the one or the other in turn, and their mean looks like a change of the mode."""
    levels = np.stack([LEVELS[0], LEVELS.mean(axis=0), LEVELS[1]])
    assert two_modes().are_unknown(levels, np.full((3, BANDS), ROUGHNESS)).tolist() == [False, True, False]


def test_windows_are_of_the_nearest_mode() -> None:
    np.testing.assert_array_equal(two_modes().indicators(LEVELS.astype(np.float32)), [SLOW, FAST])
    np.testing.assert_array_equal(two_modes().indicators(LEVELS.astype(np.float32) + 4), [SLOW, FAST])
