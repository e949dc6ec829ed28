"""A machine that clicks regularly has a rhythm; clicks at random and steady noise are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.builders import small_bundle, small_config
from train.calibration.rhythm_finder import FoundRhythm, find_rhythm
from train.data.feature_cache import Frames

CONFIG = small_config("features.n_mels=8")
SECONDS = 30


def found_in(gaps_s: str) -> FoundRhythm | None:
    """The rhythm found in six recordings of noise, with clicks whose gaps are regular, random, or without any."""
    random, recordings = np.random.default_rng(0), []
    for number in range(6):
        decibels = -60 + 3 * random.standard_normal((100 * SECONDS, 8))
        count = 2 * SECONDS
        gaps = random.normal(0.7, 0.02, count) if gaps_s == "regular" else 0.1 + random.exponential(0.6, count)
        at = np.cumsum(100 * gaps).astype(int)
        if gaps_s != "none":
            decibels[at[at < len(decibels)]] += 40
        recordings.append(Frames(Path(f"{number}.wav"), (10 ** (decibels / 10)).astype(np.float32), str(number)))
    return find_rhythm(recordings, CONFIG.features, small_bundle(CONFIG).normalization(), np.arange(6) % 3)


def test_regular_clicks_are_a_rhythm_to_which_a_late_and_a_double_click_are_surprising() -> None:
    found = found_in("regular")
    assert found is not None
    usual, late, double = found.rhythm.surprise_of(np.array([0.7, 1.0, 0.2]))
    assert min(late, double) > usual + 3
    assert found.too_low >= 0


@pytest.mark.parametrize("gaps", ["random", "none"])
def test_random_clicks_and_steady_noise_are_no_rhythm(gaps: str) -> None:
    assert found_in(gaps) is None
