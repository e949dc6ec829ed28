"""Frames in files: the precision of 16-bit decibels, and damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import DataError
from support.builders import noise, write_sound
from train.data.feature_cache import FeatureCache
from train.data.feature_store import decoded, encoded


@given(st.floats(1e-15, 1e17))
def test_a_power_of_any_size_is_kept_to_0_0026_dB(power: float) -> None:  # noqa: N802
    kept = decoded(encoded(np.array([[power]], np.float32)))
    assert 10 * np.log10(kept[0, 0]) == pytest.approx(10 * np.log10(power), abs=0.0026)


def test_silence_is_kept_as_silence_and_a_power_beyond_the_range_as_the_highest() -> None:
    silence, faint, huge = decoded(encoded(np.array([0.0, 1e-20, 1e30], np.float32)))
    assert silence == faint == 0
    assert huge == pytest.approx(10**17.767, rel=1e-3)


def test_every_code_is_kept_as_itself_and_powers_rise_with_them() -> None:
    powers = decoded(np.arange(65536, dtype=np.uint16))
    assert (np.diff(powers) > 0).all()
    assert np.array_equal(encoded(powers), np.arange(65536))


def test_frames_that_vanish_while_they_are_used_are_an_error_in_one_sentence(
    cache: FeatureCache, tmp_path: Path
) -> None:
    frames = cache.frames(write_sound(tmp_path / "a.wav", noise(16_000)))
    [kept] = cache.folder.rglob("*.mel")
    kept.write_bytes(kept.read_bytes()[:1000])
    with pytest.raises(DataError, match="cut off"):
        np.array(frames.power)
    kept.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        np.array(frames.power)
