"""Of a sound only what is in some bands is heard, and event and normal sound stay as loud as they are to each other."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.core.events import Band
from monitor.core.types import FloatArray
from monitor.web.event.band_filter import MOST_DB, PEAK_DBFS, common_gain_db, edges, only_bands

RATE = 16_000


def tone(hz: float, seconds: float = 2.0) -> FloatArray:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


def level_db(sound: FloatArray) -> float:
    middle = sound[len(sound) // 4 : -len(sound) // 4]
    return float(10 * np.log10(np.mean(middle**2, dtype=np.float64) + 1e-30))


def test_a_tone_in_the_band_stays_as_it_is_and_one_outside_is_not_heard() -> None:
    band = [Band(3000, 4000, 1.0, "new")]
    inside, outside = tone(3500), tone(1500)
    np.testing.assert_allclose(only_bands(inside, RATE, band)[8000:-8000], inside[8000:-8000], atol=0.01)
    assert level_db(only_bands(outside, RATE, band)) < level_db(outside) - 60


def test_of_two_bands_both_are_heard_and_what_lies_between_them_is_not() -> None:
    bands = [Band(3000, 3500, 0.6, "new"), Band(300, 500, 0.4, "missing")]
    for hz, heard in ((400, True), (1200, False), (3200, True)):
        assert (level_db(only_bands(tone(hz), RATE, bands)) > -10) is heard


def test_bands_that_touch_are_not_heard_twice() -> None:
    assert edges(RATE, [Band(1000, 2000, 0.5, "new"), Band(1900, 2500, 0.5, "new")]) == [(1000, 2500)]


def test_bands_at_the_ends_of_the_spectrum_can_be_heard_and_those_above_it_are_silent() -> None:
    samples = np.random.default_rng(1).standard_normal(4000).astype(np.float32)
    assert np.isfinite(only_bands(samples, RATE, [Band(0, 30, 0.5, "new"), Band(7800, 9000, 0.5, "new")])).all()
    assert not only_bands(samples, RATE, [Band(9000, 12000, 1.0, "new")]).any()


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_the_shortest_sounds_do_not_fail(count: int) -> None:
    assert len(only_bands(np.zeros(count, np.float32), RATE, [Band(100, 200, 1.0, "new")])) == count


def test_the_louder_sound_decides_how_much_both_are_amplified() -> None:
    assert common_gain_db([0.1 * tone(500), 0.01 * tone(500)]) == pytest.approx(20 + PEAK_DBFS, abs=0.01)
    assert common_gain_db([tone(500)]) == 0.0
    assert common_gain_db([1e-6 * tone(500)]) == MOST_DB
    assert common_gain_db([np.zeros(10, np.float32)]) == 0.0
