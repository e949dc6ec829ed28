"""Sound that is silent, clipped or unsteady is not learnt from, and the advice says what to do."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.audio.quality import CLIPPED_SHARE, Defect, QualityCheck, recording_defect
from monitor.audio.sound_facts import SoundFacts
from support.builders import noise

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


def test_a_constant_offset_is_no_level_and_a_swing_beneath_it_is_one() -> None:
    """The level of sound with an offset of 0.5 would be that of the offset."""
    quality = QualityCheck(RATE)
    sound = noise(30 * RATE) * np.repeat(np.tile([0.3, 1.0], 15), RATE).astype(np.float32) + 0.5
    for piece in np.split(sound, 3):
        assert quality.defect_of(piece) is None
    defect = quality.unsteadiness()
    assert defect is not None
    assert "varies" in defect.advice
    quiet = (noise(10 * RATE, amplitude=1e-5) + np.float32(0.5)).astype(np.float32)
    silent = QualityCheck(RATE).defect_of(quiet)
    assert silent is not None
    assert silent.kind == "silent"


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (SoundFacts(), None),
        (SoundFacts(peak=0.0), "silent."),
        (SoundFacts(clipped_share=0.5), "clipped (50.0%"),
        (SoundFacts(cancelled=True), "its channels cancel each other"),
        (SoundFacts(dead_channels=(1,)), None),
    ],
)
def test_a_recording_that_cannot_be_learnt_from_has_a_reason(facts: SoundFacts, reason: str | None) -> None:
    defect = recording_defect(facts)
    assert (defect is None) == (reason is None)
    assert (reason or "") in (defect or "")
