"""Thresholds from normal sound: their values, and how much of a large data set is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.core.errors import DataError
from support.builders import small_bundle, small_config
from train.calibration.calibrate import calibrate_new, recalibrate
from train.calibration.scored_recordings import score_recordings
from train.data.feature_cache import Frames


def recordings(count: int, *, seconds: float = 2.0, seed: int = 0) -> list[Frames]:
    generator = np.random.default_rng(seed)
    shape = (round(100 * seconds), 16)
    return [
        Frames(Path(f"{number}.wav"), generator.gamma(2.0, 1.0, shape).astype(np.float32), str(number))
        for number in range(count)
    ]


def bundle_of(*overrides: str) -> Bundle:
    """A model without lasting anomalies unless they are enabled, because their limit takes seconds to compute."""
    return small_bundle(small_config("features.n_mels=16", "alarm.lasting=false", *overrides))


def test_of_a_set_with_too_much_sound_some_recordings_are_drawn_and_always_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The maximum is ten hours; here it is about twenty seconds of training and of held-out recordings each."""
    monkeypatch.setattr("train.calibration.calibrate.MAX_S", 19.0)
    training, held_out = recordings(15), recordings(30, seed=1)
    first, again = (calibrate_new(bundle_of(), training, held_out, "cpu") for _ in range(2))
    assert (first.thresholds["score"].recordings, first.thresholds["score"].seconds) == (20, pytest.approx(40))
    assert first.thresholds["recording"].value == again.thresholds["recording"].value
    alone = calibrate_new(bundle_of(), training[:3], held_out[:3], "cpu")
    assert alone.thresholds["score"].recordings == 6, "of little sound all is used"


@pytest.mark.parametrize("kind", ["fused", "mahalanobis", "spectrum", "error"])
def test_a_tenth_of_the_normal_recordings_is_above_the_threshold_of_recordings(kind: str) -> None:
    """This is the share of the recordings used for calibration that `calibration.fpr` sets."""
    normal = recordings(40)
    bundle = recalibrate(bundle_of(f"score.kind={kind}"), normal, "cpu")
    scores = np.array([one.score for one in score_recordings(bundle, normal, "cpu")])
    threshold = bundle.thresholds["recording"]
    assert (scores > threshold.value * (1 + 1e-9)).mean() <= 0.1
    # The limit is just above one of the scores, which may be computed with another last digit here.
    assert threshold.expected == pytest.approx((scores > threshold.value * (1 + 1e-9)).mean())
    assert (scores >= 0.999 * threshold.value).mean() >= 0.1 - 1 / 40


@pytest.mark.parametrize("kind", ["fused", "error"])
def test_normal_recordings_are_below_the_thresholds_that_were_found_on_them(kind: str) -> None:
    lasting = ("score.window_s=4", "alarm.lasting=true")
    bundle = recalibrate(bundle_of(f"score.kind={kind}", *lasting), recordings(10, seconds=13.0), "cpu")
    assert len(bundle.normal_scores) == 10 * 3
    assert bundle.normal_scores.max() <= bundle.thresholds["score"].value
    assert (np.diff(bundle.normal_scores) >= 0).all()


def test_recordings_too_short_for_a_score_are_refused() -> None:
    bundle = bundle_of("score.cut_frames=100")
    with pytest.raises(DataError, match="long enough"):
        recalibrate(bundle, recordings(4), "cpu")


@pytest.mark.parametrize("kind", ["fused", "error"])
def test_normal_recordings_of_any_length_are_judged_by_a_limit_for_their_length_or_not_at_all(kind: str) -> None:
    """By one limit for all lengths, nearly all of the short ones would be above it."""
    bundle = recalibrate(bundle_of(f"score.kind={kind}"), recordings(40, seconds=10.0), "cpu")
    above: list[float] = []
    for seconds in (2.0, 3.7, 5.0, 10.0, 15.0):
        scored = score_recordings(bundle, recordings(30, seconds=seconds, seed=3), "cpu")
        limits = {bundle.recording_limit(one.seconds) for one in scored}
        assert len(limits) == 1
        above.append(float(np.mean([one.score >= limits.copy().pop() for one in scored])))
    assert max(above) <= 0.34, "a tenth is what is wanted"
    assert np.mean(above) < 0.2
    [lone] = score_recordings(bundle, recordings(1, seconds=1.5, seed=3), "cpu")
    assert np.isnan(lone.length_factor)
    assert np.isnan(lone.comparable)


def test_recordings_much_shorter_than_the_others_do_not_raise_the_limit_of_all() -> None:
    alone = recalibrate(bundle_of(), recordings(30, seconds=10.0), "cpu").thresholds["recording"]
    mixed = [*recordings(30, seconds=10.0), *recordings(20, seconds=1.0, seed=5)]
    among = recalibrate(bundle_of(), mixed, "cpu").thresholds["recording"]
    assert (among.value, among.length_s) == (pytest.approx(alone.value), alone.length_s)


def test_the_highest_score_of_a_recording_has_the_same_limit_at_any_length() -> None:
    bundle = recalibrate(bundle_of("score.recording=max"), recordings(20, seconds=4.0), "cpu")
    assert bundle.recording_limit(0.5) == bundle.recording_limit(100.0) == bundle.thresholds["recording"].value


def test_normal_recordings_of_any_length_are_hardly_ever_above_the_highest_of_their_length() -> None:
    bundle = recalibrate(bundle_of(), recordings(60, seconds=10.0), "cpu")
    above: list[bool] = []
    for seconds in (2.0, 3.7, 15.0):
        for one in score_recordings(bundle, recordings(20, seconds=seconds, seed=3), "cpu"):
            highest = bundle.highest_normal(one.seconds)
            assert highest >= bundle.recording_limit(one.seconds)
            above.append(one.score > highest)
    assert np.mean(above) <= 0.05


def test_too_few_recordings_do_not_tell_how_high_a_normal_one_can_be() -> None:
    bundle = recalibrate(bundle_of(), recordings(10, seconds=10.0), "cpu")
    assert np.isnan(bundle.highest_normal(10.0))
    assert bundle.recording_limit(10.0) > 0
