"""A machine is off when its sound has been too quiet for a second, by the level that its frames tell."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from builders import frames_of, noise, pieces, small_bundle, small_config
from conftest import sine
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import schema as config
from monitor.features.mel import FrameLevel
from monitor.detection.on_off import Flagged, Switch, off_level

HOP_S = 0.01
SETTINGS = small_config().features
LIMIT = -50.0


def frames_at(dbfs: float, seconds: float) -> torch.Tensor:
    """Frames of white noise at a level."""
    sound = noise(round(seconds * 16000) - 1, amplitude=10 ** (dbfs / 20))
    return frames_of(small_config(), sound[None])[0]


def squares(power: torch.Tensor) -> np.ndarray:
    """The mean square of each frame."""
    return FrameLevel(SETTINGS).mean_square(power).double().numpy()


def switch(limit: float = LIMIT) -> Switch:
    return Switch(limit, HOP_S)


def rms_dbfs(sound: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64))))


# The level of frames

SPECTRA = [
    (),
    ("features.n_fft=1024", "features.n_mels=128"),
    ("features.n_fft=256", "features.hop_length=80"),
    ("features.n_fft=2048", "features.sample_rate=48000", "features.hop_length=480"),
    ("features.sample_rate=8000", "features.n_mels=32"),
]


@pytest.mark.parametrize("overrides", SPECTRA)
@pytest.mark.parametrize("amplitude", [0.5, 1e-3])
def test_the_level_of_white_noise_is_its_rms_level_within_half_a_decibel(
    overrides: tuple[str, ...], amplitude: float
) -> None:
    settings = small_config(*overrides)
    sound = noise(4 * settings.features.sample_rate, amplitude=amplitude)
    power = frames_of(settings, sound[None])[0][5:-5]
    found = 10 * math.log10(float((10 ** (FrameLevel(settings.features)(power) / 10)).mean()))
    assert found == pytest.approx(rms_dbfs(sound), abs=0.5)


@pytest.mark.parametrize("overrides", SPECTRA)
@pytest.mark.parametrize("share", [0.07, 0.2, 0.5, 0.9])
def test_the_level_of_a_tone_is_its_rms_level_within_half_a_decibel(overrides: tuple[str, ...], share: float) -> None:
    """Wherever it is between the lowest and the highest band."""
    settings = small_config(*overrides)
    rate = settings.features.sample_rate
    sound = sine(1.0, hz=share * rate / 2, rate=rate, amplitude=0.25)
    levels = FrameLevel(settings.features)(frames_of(settings, sound[None])[0][10:-10])
    np.testing.assert_allclose(levels, rms_dbfs(sound), atol=0.5)


def test_the_level_of_silence_is_minus_two_hundred_and_what_is_beyond_the_bands_does_not_count() -> None:
    assert FrameLevel(SETTINGS)(torch.zeros(3, 64)).tolist() == pytest.approx([-200] * 3)
    high = small_config("features.fmin=2000").features
    hum = frames_of(small_config("features.fmin=2000"), sine(1.0, hz=100, amplitude=0.5)[None])[0][10:-10]
    assert (FrameLevel(high)(hum) < -60).all()


# Off and on


def states(machine: Switch, *sound: tuple[float, float]) -> list[tuple[int, bool]]:
    """At which frame it is switched off (True) or on, of sound at levels in dBFS for so many seconds each."""
    off = np.concatenate([machine.push(squares(frames_at(dbfs, seconds)))[0] for dbfs, seconds in sound])
    changes = np.flatnonzero(np.diff(off, prepend=False))
    return [(int(frame), bool(off[frame])) for frame in changes]


def test_a_machine_is_off_after_a_second_of_quiet_and_not_before() -> None:
    assert states(switch(), (-20, 3.0)) == []
    assert states(switch(), (-60, 0.99)) == []
    assert states(switch(), (-20, 2.0), (-60, 2.0)) == [(299, True)]


def test_half_a_second_of_quiet_between_sound_is_not_off() -> None:
    assert states(switch(), (-20, 1.0), (-60, 0.5), (-20, 0.5), (-60, 0.5), (-20, 1.0)) == []


def test_it_is_on_again_after_half_a_second_of_sound_that_is_three_decibels_above() -> None:
    """Hysteresis: a level that hovers about the limit does not switch it again and again."""
    machine = switch()
    assert states(machine, (-60, 1.0), (LIMIT + 2, 5.0)) == [(99, True)]
    assert states(machine, (LIMIT + 4, 0.5), (LIMIT + 1, 5.0))[-1] == (49, False)


def test_digital_silence_is_off() -> None:
    assert switch().push(squares(torch.zeros(100, 64)))[0][-1]


def test_what_is_quiet_for_a_tenth_of_a_second_is_hushed_at_once_and_only_so_long() -> None:
    sound = torch.cat([frames_at(-20, 1.0), frames_at(-60, 0.3), frames_at(-20, 1.0), frames_at(-60, 0.09)])
    hushed = switch().push(squares(sound))[1]
    assert np.flatnonzero(hushed).tolist() == list(range(109, 130))


def test_after_a_reset_it_counts_as_running() -> None:
    machine = switch()
    machine.push(squares(frames_at(-60, 1.5)))
    machine.reset()
    assert not machine.off
    assert states(machine, (-60, 0.9)) == []


@given(
    levels=st.lists(st.tuples(st.sampled_from([-60, -49, -45, -200]), st.integers(1, 120)), max_size=10),
    cuts=st.lists(st.integers(1, 70), min_size=1, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_it_says_the_same_as_a_plain_switch_in_any_portions(levels, cuts) -> None:
    """Frames of one exact level each, half-seconds judged one by one."""
    dbfs = np.repeat([level for level, _ in levels], [count for _, count in levels]) if levels else np.empty(0)
    one = torch.ones(1, 64)
    unit = one / 10 ** (FrameLevel(SETTINGS)(one) / 10)
    power = (unit * torch.from_numpy(10 ** (dbfs / 10)).float()[:, None]).reshape(-1, 64)
    off, quiet, expected = False, 0, np.zeros(len(dbfs), bool)
    for frame in range(len(dbfs)):
        if frame % 50 == 49:
            level = 10 * np.log10(np.mean(10 ** (dbfs[frame - 49 : frame + 1] / 10)))
            quiet = quiet + 1 if level < LIMIT else 0
            off = (off and level < LIMIT + 3) or quiet >= 2
        expected[frame] = off
    hushed = [frame >= 9 and bool((dbfs[frame - 9 : frame + 1] < LIMIT).all()) for frame in range(len(dbfs))]
    machine, flagged = switch(), Flagged()
    for part in pieces(len(power), cuts):
        flagged.add(*machine.push(squares(power[part])))
    found = [flagged.take(len(dbfs) // 3), flagged.take(len(dbfs) - len(dbfs) // 3)]
    assert np.concatenate([taken[0] for taken in found]).tolist() == expected.tolist()
    assert np.concatenate([taken[1] for taken in found]).tolist() == hushed


def test_the_limit_is_a_level_twelve_decibels_below_normal_or_none() -> None:
    bundle = small_bundle()
    assert off_level(bundle, config.Alarm()) == bundle.normal_dbfs - 12 == -72
    assert off_level(bundle, config.Alarm(off_below_dbfs=-30)) == -30
    assert off_level(bundle, config.Alarm(off_below_dbfs="never")) == -math.inf
    never = switch(off_level(bundle, config.Alarm(off_below_dbfs="never")))
    assert not np.any(never.push(squares(torch.zeros(1000, 64))))
    silent = dataclasses.replace(bundle, normal_dbfs=-200.0)
    found = switch(off_level(silent, config.Alarm())).push(squares(torch.zeros(1000, 64)))
    assert not np.any(found), "normal sound was silence"
