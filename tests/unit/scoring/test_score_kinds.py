"""Each kind of score responds to the change that it is meant to detect: a tone that the machine never makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.guide import page
from monitor.scoring.score_parts import SCORE_KINDS, SCORE_TITLES
from support.builders import RATE, frames_of, noise, sine, small_bundle, small_config
from train.calibration.calibrate import calibrate_new
from train.calibration.scored_recordings import score_recordings
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


CLICK_S = 0.5  # from one click to the next


def clicking(seed: int, *, loudness: float = 1.0, late_s: float = 0.0, seconds: int = 6) -> np.ndarray:
    """Noise whose level varies from recording to recording, with two clicks a second; every fourth can be late."""
    random = np.random.default_rng(seed)
    sound = noise(seconds * RATE, seed=seed, amplitude=0.01 * np.exp(0.3 * random.standard_normal()))
    decay = np.exp(-np.arange(RATE // 20) / (0.008 * RATE))
    for number, at_s in enumerate(np.arange(0.3, seconds - 1, CLICK_S)):
        start = round((at_s + 0.01 * random.standard_normal() + late_s * (number % 4 == 3)) * RATE)
        click = loudness * np.exp(0.1 * random.standard_normal()) * decay * random.standard_normal(len(decay))
        sound[start : start + len(decay)] += click.astype(np.float32)
    return sound


@pytest.mark.long
def test_a_machine_that_clicks_has_peaks_and_a_rhythm_and_weak_or_late_clicks_are_above_its_limit() -> None:
    config = small_config("features.n_mels=8", "features.window_frames=20")

    def recordings(first: int, count: int, **how: float) -> list[Frames]:
        sound = np.stack([clicking(first + i, **how) for i in range(count)])
        power = frames_of(config, sound)
        return [Frames(Path(f"{first + i}.wav"), one.astype(np.float32), str(first + i)) for i, one in enumerate(power)]

    bundle = calibrate_new(small_bundle(config), recordings(0, 10), recordings(10, 10), "cpu")
    assert bundle.rhythm is not None
    assert "peaks" in bundle.references
    normal, weak, late = (
        np.array([one.score for one in score_recordings(bundle, recordings(100, 5, **how), "cpu")])
        for how in ({}, {"loudness": 0.4}, {"late_s": 0.17})
    )
    limit = bundle.thresholds["recording"].value
    assert np.median(normal) < limit
    assert weak.min() > limit
    assert late.min() > limit
    # One long recording is as good as many short ones.
    joined = Frames(Path("x.wav"), np.concatenate([one.power for one in recordings(0, 30)]), "x")
    single = calibrate_new(small_bundle(config), [joined], recordings(30, 5), "cpu")
    assert single.rhythm is not None
    assert "peaks" in single.references
    never = small_config("features.n_mels=8", "features.window_frames=20", "score.impulses=never")
    plain = calibrate_new(small_bundle(never), recordings(0, 3), recordings(3, 3), "cpu")
    assert plain.rhythm is None
    assert "peaks" not in plain.references


@pytest.mark.long
def test_a_steady_machine_has_neither_peaks_nor_a_rhythm() -> None:
    config = small_config("features.n_mels=8", "features.window_frames=20")
    sound = np.stack([noise(6 * RATE, seed=i, amplitude=0.01 * (1 + i % 3)) for i in range(20)])
    frames = [
        Frames(Path(f"{i}.wav"), one.astype(np.float32), str(i)) for i, one in enumerate(frames_of(config, sound))
    ]
    bundle = calibrate_new(small_bundle(config), frames[:10], frames[10:], "cpu")
    assert bundle.rhythm is None
    assert "peaks" not in bundle.references


def test_every_kind_is_explained_in_the_manual_and_has_a_title() -> None:
    assert list(SCORE_TITLES) == list(SCORE_KINDS)
    for kind in SCORE_KINDS:
        assert f"`{kind}`" in page("method")
