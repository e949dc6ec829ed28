"""Operating modes are found where they are clearly apart, and as many as the user says where he knows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.scoring.operating_modes import OperatingModes
from support.builders import small_bundle, small_config
from train.calibration.mode_finder import find_modes
from train.data.feature_cache import Frames

CONFIG = small_config("features.n_mels=8")


def found_in(kind: str, wanted: int | None = None, *, least_s: float = 60.0) -> OperatingModes | None:
    """The modes found in ten recordings of 40 s: of one speed, of two, or of one that drifts from one to the other."""
    random, recordings = np.random.default_rng(1), []
    other = 15 * np.array([1, -1, 1, -1, 1, -1, 1, -1.0])
    for number in range(10):
        share = {"one": 0.0, "two": float(number % 2), "continuum": number / 10 + np.linspace(0, 0.1, 4000)[:, None]}[
            kind
        ]
        decibels = -40 + share * other + 3 * random.standard_normal((4000, 8))
        recordings.append(Frames(Path(f"{number}.wav"), (10 ** (decibels / 10)).astype(np.float32), str(number)))
    return find_modes(recordings, CONFIG.features, small_bundle(CONFIG).normalization(), wanted, least_s=least_s)


def test_two_speeds_are_two_modes_and_each_recording_is_of_its_own() -> None:
    found = found_in("two")
    assert found is not None
    assert found.count == 2
    assert found.indicators(found.centres).tolist() == [[1, 0], [0, 1]]
    low, high = sorted(found.centres[:, 0])
    deviation = small_bundle(CONFIG).deviation[0]
    assert (high - low) * deviation == pytest.approx(15, rel=0.05)


@pytest.mark.parametrize("kind", ["one", "continuum"])
def test_one_speed_and_a_speed_that_drifts_are_one_mode(kind: str) -> None:
    assert found_in(kind) is None


def test_as_many_modes_as_are_wanted_are_found_even_if_they_are_not_clearly_apart() -> None:
    found = found_in("continuum", wanted=2)
    assert found is not None
    assert found.count == 2


def test_a_mode_needs_as_much_sound_as_is_asked_for() -> None:
    assert found_in("two", least_s=190) is not None
    assert found_in("two", least_s=210) is None
