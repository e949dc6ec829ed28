"""The statistics of recordings for calibration, for any length of the recordings and of the chunks."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from monitor.config.schema import Config
from monitor.detection.alarm import Alarm
from monitor.detection.cusum import Limits
from monitor.streaming.score_batch import ScoreBatch
from support.builders import small_bundle, small_config
from train.calibration.observations import observe
from train.data.feature_cache import Frames

BANDS = 4


def settings_of(*overrides: str, kind: str = "mahalanobis") -> Config:
    return small_config(f"features.n_mels={BANDS}", f"score.kind={kind}", *overrides)


def recording(power: np.ndarray) -> Frames:
    return Frames(Path("x"), power.astype(np.float32), "")


@pytest.mark.long
@given(
    count=st.integers(20, 2300),
    window=st.sampled_from([0.1, 0.3, 2.0]),
    block=st.sampled_from([0.0, 0.07, 0.5]),
    cut=st.sampled_from([0, 7, 50]),
    kind=st.sampled_from(["fused", "error"]),
    chunk=st.sampled_from([13, 100, 4096]),
)
@settings(max_examples=40, deadline=None)
def test_statistics_are_means_of_all_rows_and_decisions_those_of_the_alarm(
    count: int, window: float, block: float, cut: int, kind: str, chunk: int
) -> None:
    """This holds for any length of the recording and of the chunks."""
    overrides = (f"score.window_s={window}", f"alarm.block_s={block}", f"score.cut_frames={cut}")
    config = settings_of(*overrides, kind=kind)
    bundle = small_bundle(config)
    power = np.random.default_rng(count).random((count, BANDS)).astype(np.float32) + 0.01
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.calibration.observations.CHUNK", chunk)
        [found] = observe(bundle, [recording(power)], "cpu", trained=True)
    batch = ScoreBatch(bundle)
    rows = np.concatenate((batch.push(power[None]).portions()[0].rows, batch.flush().portions()[0].rows))
    rows = rows.astype(np.float64)
    assert len(rows) == count
    close = {"rtol": 1e-4, "atol": 1e-5}

    edges = np.linspace(0, count, max(1, count // 1000) + 1).astype(int)
    expected = [rows[a:b].mean(axis=0) for a, b in pairwise(edges)]
    np.testing.assert_allclose(found.pieces, expected, **close)
    length = max(1, round(window / 0.01))
    fine = [rows[a : a + length].mean(axis=0) for a in range(0, max(1, count - length + 1), length)]
    np.testing.assert_allclose(found.fine, fine, **close)
    kept = rows[cut : max(cut, count - cut)]
    np.testing.assert_allclose(found.whole, kept.mean(axis=0) if len(kept) else np.full(rows.shape[1], np.nan), **close)
    assert (found.seconds, found.trained) == (pytest.approx(count / 100), True)

    at_every_decision = {"warm_up_s": 0.0, "k": 1, "n": 1, "remind_s": 1e-9}
    alarm = Alarm(config.alarm.model_copy(update=at_every_decision), Limits(0.0, np.inf, np.empty(0)), 0.01, length)
    scores = np.ones(count)
    scores[: length - 1] = np.nan
    decided = [row for row in range(count) if alarm.push(scores[row : row + 1])]
    rolled = sliding_window_view(rows, length, axis=0).mean(axis=-1) if count >= length else rows[:0]
    np.testing.assert_allclose(found.decisions, rolled[np.array(decided, int) - (length - 1)], **close)
    assert len(found.levels) == max(1, count // 50)


def test_levels_are_those_of_each_half_second() -> None:
    power = np.repeat([1.0, 0.01, 1e-4], 50)[:, None] * np.ones((1, BANDS))
    [found] = observe(
        small_bundle(settings_of()), [recording(np.vstack((power, power[:20] * 1e6)))], "cpu", trained=False
    )
    np.testing.assert_allclose(found.levels - found.levels[0], [0, -20, -40], atol=1e-3)


def test_the_statistics_of_a_recording_do_not_depend_on_the_one_before() -> None:
    """The one before may be much louder. Only the order of summation in rolling means differs."""
    bundle = small_bundle(settings_of("features.scale=power", kind="fused"))
    loud, quiet = (np.random.default_rng(seed).random((123, BANDS)) for seed in range(2))
    after_loud = observe(bundle, [recording(1e9 * loud), recording(quiet)], "cpu", trained=False)[1]
    [alone] = observe(bundle, [recording(quiet)], "cpu", trained=False)
    for name in ("pieces", "fine", "whole", "levels"):
        np.testing.assert_array_equal(getattr(after_loud, name), getattr(alone, name))
    np.testing.assert_allclose(after_loud.decisions, alone.decisions, rtol=1e-5, atol=1e-6)
