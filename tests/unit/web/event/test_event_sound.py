"""The event and normal sound beside it can be compared at any moment: equally long, equally amplified, playable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.core.events import Band
from monitor.web.event.event_sound import pairs, read_clip, repeated, write_sound

RATE = 16_000
NOISE = np.random.default_rng(2).uniform(-0.01, 0.01, 3 * RATE).astype(np.float32)


def test_event_and_normal_sound_have_the_same_length_and_the_same_gain() -> None:
    event, normal = NOISE, NOISE[: RATE // 2] * 0.5
    found = pairs(event, normal, RATE, [Band(1000, 2000, 1.0, "new")])
    assert list(found) == ["all", "bands"]
    for pair in found.values():
        assert pair.normal is not None
        assert len(pair.event) == len(pair.normal) == len(event)
        assert 0.5 < np.abs(pair.event).max() < 1
    whole = found["all"]
    assert whole.normal is not None
    gain = 10 ** (whole.gain_db / 20)
    np.testing.assert_allclose(whole.event, event * gain, rtol=1e-5)
    np.testing.assert_allclose(whole.normal[1000:2000], normal[1000:2000] * gain, rtol=1e-5)


def test_without_normal_sound_or_bands_there_is_the_event_alone() -> None:
    found = pairs(NOISE, None, RATE, [])
    assert list(found) == ["all"]
    assert found["all"].normal is None


def test_normal_sound_begins_again_without_a_click() -> None:
    ramp = np.linspace(-1, 1, 1000, dtype=np.float32)  # which would jump by 2
    again = repeated(ramp, 5000, 100)
    assert len(again) == 5000
    np.testing.assert_array_equal(again[:900], ramp[:900])
    assert np.abs(np.diff(again)).max() < 0.03


@pytest.mark.parametrize("count", [1, 3, 700, 1000])
def test_any_length_of_normal_sound_fills_the_time(count: int) -> None:
    assert len(repeated(NOISE[:count], 1000, 320)) == 1000


@pytest.mark.parametrize(("rate", "played"), [(4000, 8000), (16_000, 16_000), (192_000, 96_000)])
def test_sounds_of_any_sample_rate_can_be_played_by_a_browser(rate: int, played: int, tmp_path: Path) -> None:
    write_sound(NOISE, rate, tmp_path / "a.flac")
    found = soundfile.info(tmp_path / "a.flac")
    assert (found.samplerate, found.format, found.subtype) == (played, "FLAC", "PCM_16")
    assert found.duration == pytest.approx(len(NOISE) / rate, rel=0.01)


def test_a_clip_is_read_as_it_was_recorded(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", NOISE, RATE, subtype="PCM_16")
    np.testing.assert_allclose(read_clip(tmp_path / "a.flac", RATE), NOISE, atol=2e-5)
