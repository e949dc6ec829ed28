"""Sound that is silent, clipped or unsteady is not learnt from, and the advice says what to do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monitor.audio.quality import CLIPPED_SHARE, Amplitudes, Defect, QualityCheck, count_clipped
from support.builders import noise, pieces

RATE = 1000


@pytest.mark.parametrize(
    ("sound", "kind", "advice"),
    [
        (np.zeros(10 * RATE, np.float32), "silent", "muted"),
        (np.full(10 * RATE, 0.3, np.float32), "silent", "muted"),
        (noise(10 * RATE, amplitude=1e-5), "silent", "muted"),
        (np.sign(noise(10 * RATE)), "clipped", "level down"),
    ],
)
def test_sound_that_is_silent_or_clipped_is_not_learnt_from(sound: np.ndarray, kind: str, advice: str) -> None:
    defect = QualityCheck(RATE).defect_of(sound)
    assert defect is not None
    assert defect.kind == kind
    assert advice in defect.advice


def test_a_peak_at_full_scale_now_and_then_is_no_clipping() -> None:
    sound = noise(10 * RATE)
    sound[: int(CLIPPED_SHARE * len(sound))] = 1.0
    assert QualityCheck(RATE).defect_of(sound) is None


def unsteadiness(levels: np.ndarray) -> Defect | None:
    """What is wrong with noise of these levels, a second each, that comes in pieces of ten seconds."""
    quality = QualityCheck(RATE)
    sound = noise(len(levels) * RATE) * np.repeat(levels, RATE).astype(np.float32)
    for piece in np.split(sound, len(levels) // 10):
        assert quality.defect_of(piece) is None
    return quality.unsteadiness()


def test_sound_is_steady_where_its_level_is_and_not_where_it_drifts_or_swings() -> None:
    assert unsteadiness(np.ones(30)) is None
    for levels, advice in ((np.linspace(0.5, 1.5, 30), "level changed from"), (np.tile([0.3, 1.0], 15), "varies")):
        defect = unsteadiness(levels)
        assert defect is not None
        assert defect.kind == "unsteady"
        assert advice in defect.advice


def test_a_moment_of_sound_is_too_little_to_call_it_steady() -> None:
    quality = QualityCheck(RATE)
    assert quality.defect_of(noise(2 * RATE)) is None
    assert quality.unsteadiness() == Defect("unsteady", "it is too short: at least three seconds are needed.")


@given(
    samples=arrays(np.float32, st.integers(1, 300), elements=st.floats(-1, 1, width=32)),
    cuts=st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
def test_the_amplitudes_of_a_recording_do_not_depend_on_how_it_is_cut(samples: np.ndarray, cuts: list[int]) -> None:
    amplitudes = Amplitudes()
    for part in pieces(len(samples), cuts):
        amplitudes.add(samples[part, None])
    assert (amplitudes.low, amplitudes.high) == (samples.min(), samples.max())
    assert amplitudes.peak == pytest.approx((float(samples.max()) - float(samples.min())) / 2)
    assert amplitudes.total == len(samples)
    assert amplitudes.clipped_share == count_clipped(samples) / len(samples)


def test_nothing_is_neither_loud_nor_clipped() -> None:
    assert (Amplitudes().peak, Amplitudes().clipped_share) == (0.0, 0.0)
