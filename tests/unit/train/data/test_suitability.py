"""Recordings of a low sample rate are not trained on, and dead channels are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.audio.sound_facts import SoundFacts
from monitor.config.schema import Features
from monitor.core.errors import DataError
from train.data.feature_cache import Frames
from train.data.suitability import suitability_notes, without_narrow


def recording(name: str, sample_rate: int = 16_000, **facts: object) -> Frames:
    return Frames(Path(name), np.ones((30, 64), np.float32), name, SoundFacts(sample_rate, **facts))  # type: ignore[arg-type]


def test_recordings_of_a_low_sample_rate_are_left_out_with_the_reason() -> None:
    """A model would learn from them that its highest bands are silent, and miss what is new there."""
    normal = [recording("a.wav"), recording("b.wav", 48_000), recording("mel.npy", 0)]
    phone = recording("phone.wav", 8_000)
    kept, [(path, reason)] = without_narrow([*normal, phone], Features())
    assert kept == normal
    assert path == phone.path
    assert reason.startswith("recorded at 8000 samples a second")
    assert without_narrow([*normal, phone], Features(fmax=3500)) == ([*normal, phone], [])


def test_if_all_are_of_a_low_sample_rate_it_is_said_what_to_set() -> None:
    with pytest.raises(DataError, match=r"recorded at 8000 .*--set features\.fmax=3500\."):
        without_narrow([recording("a.wav", 8_000), recording("b.wav", 11_025)], Features())


def test_of_recordings_that_are_used_all_the_same_it_is_told_what_is_wrong_with_them() -> None:
    good, narrow = recording("good.wav"), recording("narrow.wav", 8_000)
    dead, cancelled = recording("dead.wav", dead_channels=(1,)), recording("cancelled.wav", cancelled=True)
    notes = dict(suitability_notes([good, narrow, dead, cancelled], Features()))
    assert "not comparable with the limit" in notes.pop(narrow.path)
    assert notes.pop(dead.path) == "channel 1 (counted from 0) is silent: is its microphone connected?"
    assert "cancel each other" in notes.pop(cancelled.path)
    assert not notes
