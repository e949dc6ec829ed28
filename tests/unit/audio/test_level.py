"""The level meter: the RMS level of the last tenth of a second, and a peak that is held."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monitor.audio.level import LevelMeter, LevelMeters, Measured
from support.builders import RATE, noise, pieces, sine


def tone(seconds: float, amplitude: float) -> np.ndarray:
    return sine(seconds, hz=100, amplitude=amplitude)


@pytest.mark.parametrize("block", [160, 1000, 16_000])
def test_a_full_scale_sine_has_minus_3_dbfs_and_a_peak_of_0(block: int) -> None:
    meter = LevelMeter(16000)
    for part in pieces(32_000, [block]):
        meter.push(tone(2, 1.0)[part])
    assert meter.rms_dbfs == pytest.approx(-3.01, abs=0.3)
    assert meter.peak_dbfs == pytest.approx(0, abs=0.01)


def test_silence_has_no_level() -> None:
    meter = LevelMeter(16000)
    assert meter.rms_dbfs == meter.peak_dbfs == -math.inf
    meter.push(np.zeros(160, np.float32))
    assert meter.rms_dbfs == meter.peak_dbfs == -math.inf


def test_the_level_is_that_of_the_last_tenth_of_a_second_and_the_peak_is_held_for_two() -> None:
    meter = LevelMeter(16000)
    meter.push(np.concatenate((tone(1, 1.0), tone(0.1, 0.01))))
    assert meter.rms_dbfs == pytest.approx(-43.01, abs=0.1)
    assert meter.peak_dbfs == pytest.approx(0, abs=0.01)
    for _ in range(10):
        meter.push(tone(0.1, 0.01))
    assert meter.peak_dbfs == pytest.approx(0, abs=0.01)
    for _ in range(15):
        meter.push(tone(0.1, 0.01))
    assert meter.peak_dbfs == pytest.approx(-40, abs=0.1)


def test_a_negative_peak_counts_as_much() -> None:
    meter = LevelMeter(16000)
    meter.push(np.append(noise(100, amplitude=1e-3), np.float32(-0.5)))
    assert meter.peak_dbfs == pytest.approx(-6.02, abs=0.01)


def test_a_constant_offset_is_not_part_of_the_level() -> None:
    for offset in (0.0, 0.1, -0.5):
        meter = LevelMeter(RATE)
        meter.push(noise(RATE, amplitude=1e-3) + np.float32(offset))
        assert meter.rms_dbfs == pytest.approx(-60.0, abs=0.5)


def test_a_dead_microphone_with_an_offset_is_silent() -> None:
    meter = LevelMeter(RATE)
    meter.push(np.full(RATE, 0.1, np.float32))
    assert meter.rms_dbfs == -math.inf


def test_each_of_many_streams_has_the_level_that_it_has_alone() -> None:
    """Whatever the lengths of its portions are, and whichever streams get samples with it."""
    meters, alone, random = LevelMeters(4), [LevelMeter(RATE) for _ in range(4)], np.random.default_rng(0)
    for size in (160, 480, 8000, 160, 160, 2000, 700, 700, 160):
        streams = np.flatnonzero(random.random(4) < 0.7)
        samples = noise(size * len(streams), seed=size).reshape(-1, size) * (1 + streams[:, None]).astype(np.float32)
        meters.push(Measured.of(samples, RATE), streams)
        for stream, sound in zip(streams.tolist(), samples, strict=True):
            alone[stream].push(sound)
        for stream, meter in enumerate(alone):
            assert meters.rms_dbfs(stream) == pytest.approx(meter.rms_dbfs)
            assert meters.peak_dbfs(stream) == pytest.approx(meter.peak_dbfs)
    moved = LevelMeters(2)
    moved.take_over(1, meters, 3)
    assert (moved.rms_dbfs(1), moved.peak_dbfs(1)) == (meters.rms_dbfs(3), meters.peak_dbfs(3))


@pytest.mark.parametrize("block", [160, 700, 1600, 8000])
def test_the_mean_level_is_that_of_all_sound_since_it_was_taken(block: int) -> None:
    """However seldom that is: a machine that is loud for a part of each second is not heard in that part alone."""
    meters, only = LevelMeters(1), np.zeros(1, np.int64)
    sound = np.tile(np.concatenate((tone(0.2, 1.0), tone(0.8, 0.01))), 4)
    for part in pieces(len(sound), [block]):
        meters.push(Measured.of(sound[None, part], 16000), only)
    assert meters.take_mean_dbfs(0) == pytest.approx(-3.01 + 10 * math.log10(0.2), abs=0.2)
    assert math.isnan(meters.take_mean_dbfs(0))
    meters.push(Measured.of(tone(0.1, 0.01)[None], 16000), only)
    assert meters.take_mean_dbfs(0) == pytest.approx(-43.01, abs=0.2)
