"""Each kind of score responds to the change that it is meant to detect: a tone that the machine never makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.guide import page
from monitor.scoring.score_parts import SCORE_KINDS, SCORE_TITLES
from support.builders import RATE, frames_of, noise, sine, small_bundle, small_config
from train.calibration.thresholds import calibrate_new, score_recordings
from train.data.feature_cache import Frames

SECONDS = 4


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_a_new_tone_is_above_the_limit_and_normal_sound_is_usually_not(kind: str) -> None:
    config = small_config("features.n_mels=8", "alarm.lasting=false", f"score.kind={kind}")

    def recordings(first: int, count: int, add: np.ndarray | float = 0.0) -> list[Frames]:
        power = frames_of(config, np.stack([noise(SECONDS * RATE, seed=first + i) + add for i in range(count)]))
        return [Frames(Path(f"{first + i}.wav"), one.astype(np.float32), str(first + i)) for i, one in enumerate(power)]

    bundle = calibrate_new(small_bundle(config), recordings(0, 10), recordings(10, 10), "cpu")
    tone = sine(SECONDS, hz=3000, amplitude=0.3)[: SECONDS * RATE]
    normal, with_tone = (
        np.array([one.score for one in score_recordings(bundle, recordings(100, 5, add), "cpu")]) for add in (0.0, tone)
    )
    limit = bundle.thresholds["recording"].value
    assert np.median(normal) < limit
    assert with_tone.min() > limit


def test_every_kind_is_explained_in_the_manual_and_has_a_title() -> None:
    assert list(SCORE_TITLES) == list(SCORE_KINDS)
    for kind in SCORE_KINDS:
        assert f"`{kind}`" in page("method")
