"""A machine is off when its sound has been too quiet for a second, by the level of its frames."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import schema
from monitor.core.types import DoubleArray
from monitor.detection.on_off import FrameFlags, OnOff, off_level
from monitor.features.frame_level import FrameLevel
from support.builders import frames_of, noise, pieces, small_bundle, small_config

HOP_S = 0.01
CONFIG = small_config()
LIMIT = -50.0


def squares_at(dbfs: float, seconds: float) -> DoubleArray:
    """The mean square of each frame of white noise at a level."""
    sound = noise(round(seconds * 16000) - 1, amplitude=10 ** (dbfs / 20))
    return FrameLevel(CONFIG.features).mean_square(frames_of(CONFIG, sound[None])[0])


def silence(frames: int) -> DoubleArray:
    """The mean square of frames of digital silence."""
    return FrameLevel(CONFIG.features).mean_square(np.zeros((frames, 64), np.float32))


def on_off(limit: float = LIMIT) -> OnOff:
    return OnOff(limit, HOP_S)


def states(machine: OnOff, *sound: tuple[float, float]) -> list[tuple[int, bool]]:
    """At which frame it is switched off (True) or on, of sound at levels in dBFS for so many seconds each."""
    off = np.concatenate([machine.push(squares_at(dbfs, seconds))[0] for dbfs, seconds in sound])
    changes = np.flatnonzero(np.diff(off, prepend=False))
    return [(int(frame), bool(off[frame])) for frame in changes]


def test_a_machine_is_off_after_a_second_of_quiet_and_not_before() -> None:
    assert states(on_off(), (-20, 3.0)) == []
    assert states(on_off(), (-60, 0.99)) == []
    assert states(on_off(), (-20, 2.0), (-60, 2.0)) == [(299, True)]


def test_half_a_second_of_quiet_between_sound_is_not_off() -> None:
    assert states(on_off(), (-20, 1.0), (-60, 0.5), (-20, 0.5), (-60, 0.5), (-20, 1.0)) == []


def test_it_is_on_again_after_half_a_second_of_sound_that_is_three_decibels_above() -> None:
    """Hysteresis: a level that hovers about the limit does not switch it again and again."""
    machine = on_off()
    assert states(machine, (-60, 1.0), (LIMIT + 2, 5.0)) == [(99, True)]
    assert states(machine, (LIMIT + 4, 0.5), (LIMIT + 1, 5.0))[-1] == (49, False)


def test_digital_silence_is_off() -> None:
    assert on_off().push(silence(100))[0][-1]


def test_what_is_low_for_a_tenth_of_a_second_is_quiet_at_once_and_only_so_long() -> None:
    """It may be about to be switched off."""
    sound = [squares_at(-20, 1.0), squares_at(-60, 0.3), squares_at(-20, 1.0), squares_at(-60, 0.09)]
    quiet = on_off().push(np.concatenate(sound))[1]
    assert np.flatnonzero(quiet).tolist() == list(range(109, 130))


def test_after_a_reset_it_counts_as_running() -> None:
    machine = on_off()
    machine.push(squares_at(-60, 1.5))
    machine.reset()
    assert not machine.off
    assert states(machine, (-60, 0.9)) == []


@given(
    levels=st.lists(st.tuples(st.sampled_from([-60, -49, -45, -200]), st.integers(1, 120)), max_size=10),
    cuts=st.lists(st.integers(1, 70), min_size=1, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_it_says_the_same_as_a_plain_switch_in_any_portions(levels, cuts) -> None:
    """Frames of one exact level each, half-seconds one by one; flags of frames come out in their order."""
    dbfs = np.repeat([level for level, _ in levels], [count for _, count in levels]) if levels else np.empty(0)
    off, below, expected = False, 0, np.zeros(len(dbfs), bool)
    for frame in range(len(dbfs)):
        if frame % 50 == 49:
            level = 10 * np.log10(np.mean(10 ** (dbfs[frame - 49 : frame + 1] / 10)))
            below = below + 1 if level < LIMIT else 0
            off = (off and level < LIMIT + 3) or below >= 2
        expected[frame] = off
    quiet = [frame >= 9 and bool((dbfs[frame - 9 : frame + 1] < LIMIT).all()) for frame in range(len(dbfs))]
    machine, flags = on_off(), FrameFlags()
    squares = 10 ** (dbfs / 10)
    for part in pieces(len(squares), cuts):
        flags.push(*machine.push(squares[part]))
    found = [flags.take(len(dbfs) // 3), flags.take(len(dbfs) - len(dbfs) // 3)]
    assert np.concatenate([taken[0] for taken in found]).tolist() == expected.tolist()
    assert np.concatenate([taken[1] for taken in found]).tolist() == quiet


def test_the_limit_is_a_level_twelve_decibels_below_normal_or_none() -> None:
    bundle = small_bundle()
    assert off_level(bundle, schema.Alarm()) == bundle.normal_dbfs - 12 == -72
    assert off_level(bundle, schema.Alarm(off_below_dbfs=-30)) == -30
    assert off_level(bundle, schema.Alarm(off_below_dbfs="never")) == -math.inf
    never = on_off(off_level(bundle, schema.Alarm(off_below_dbfs="never")))
    assert not np.any(never.push(silence(1000)))
    silent = dataclasses.replace(bundle, normal_dbfs=-200.0)
    found = on_off(off_level(silent, schema.Alarm())).push(silence(1000))
    assert not np.any(found), "normal sound was silence"
