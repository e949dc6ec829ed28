"""Operating modes of the simulated motor: when it changes, and what is different then."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from support.spectra import between, level
from train.demo.filters import BLOCK_S
from train.demo.machine import FAULTS, Machine, MachineSound
from train.demo.modes import (
    FAST,
    IDLE,
    IDLE_AND_LOAD,
    LOAD,
    LONGEST_S,
    SHORTEST_S,
    SLOW,
    TWO_SPEEDS,
    UNKNOWN,
    Mode,
    mode_changes,
)

RATE = 16000
MESH_HZ = Machine().teeth * Machine().shaft_hz


def sound(seconds: float, *modes: Mode, seed: int = 5, **fault: object) -> NDArray[np.float32]:
    machine = Machine(sample_rate=RATE, seed=seed, modes=modes, passing_noises=False)
    return MachineSound(machine, **fault).read(round(seconds * RATE))  # type: ignore[arg-type]


def mesh_hz(samples: NDArray[np.floating]) -> float:
    """The frequency of the gear mesh, the loudest tone from 600 to 1050 Hz."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    at = np.fft.rfftfreq(len(samples), 1 / RATE)
    near = (at > 600) & (at < 1050)
    return float(at[near][power[near].argmax()])


# When it changes


@given(seed=st.integers(0, 2**32))
def test_a_mode_lasts_15_to_60_seconds_and_a_change_one_to_two(seed: int) -> None:
    first, second, *changes = itertools.islice(mode_changes(TWO_SPEEDS, seed), 8)
    assert (first.start_s, first.run_up_s) == (0.0, 0.0)
    assert 0 < second.start_s <= LONGEST_S
    for before, after in itertools.pairwise([second, *changes]):
        assert SHORTEST_S <= after.start_s - before.start_s <= LONGEST_S + BLOCK_S
        assert 1.0 <= after.run_up_s <= 2.0
        assert after.mode is not before.mode


def test_a_short_recording_may_contain_a_change_and_begins_in_either_mode() -> None:
    begun = [tuple(itertools.islice(mode_changes(TWO_SPEEDS, seed), 2)) for seed in range(200)]
    assert 0.15 < np.mean([second.start_s < 10 for _, second in begun]) < 0.45
    assert {first.mode for first, _ in begun} == set(TWO_SPEEDS)


def test_of_three_modes_all_are_visited() -> None:
    visited = [change.mode for change in itertools.islice(mode_changes((SLOW, FAST, UNKNOWN), 0), 30)]
    assert set(visited) == {SLOW, FAST, UNKNOWN}


def test_one_mode_is_never_left() -> None:
    assert [change.mode for change in mode_changes((FAST,), 1)] == [FAST]
    assert list(MachineSound(Machine(modes=(FAST,))).changes()) == []


@pytest.mark.parametrize("seed", range(3))
def test_the_speed_changes_when_it_is_stated_to(seed: int) -> None:
    stream = MachineSound(Machine(seed=seed, modes=TWO_SPEEDS, passing_noises=False))
    first = next(Machine(seed=seed, modes=TWO_SPEEDS).operation())
    change = next(stream.changes())
    samples = stream.read(round((change.start_s + change.run_up_s + 4) * RATE))
    before = samples[: round(change.start_s * RATE)][-2 * RATE :]
    after = samples[-2 * RATE :]
    assert mesh_hz(before) == pytest.approx(MESH_HZ * first.mode.speed, rel=0.025)
    assert mesh_hz(after) == pytest.approx(MESH_HZ * change.mode.speed, rel=0.025)


def test_until_a_change_and_after_it_a_machine_sounds_as_in_one_mode_alone() -> None:
    stream = MachineSound(Machine(seed=5, modes=TWO_SPEEDS, passing_noises=False))
    first, change = next(stream.machine.operation()), next(stream.changes())
    begin = round(change.start_s * RATE)
    alone = sound(change.start_s + 4, first.mode)
    assert np.array_equal(stream.read(begin), alone[:begin])
    assert not np.array_equal(stream.read(4 * RATE), alone[begin:])


# What is different


@pytest.mark.parametrize("mode", [SLOW, FAST, UNKNOWN])
def test_each_speed_has_its_own_tones(mode: Mode) -> None:
    assert mesh_hz(sound(6, mode)) == pytest.approx(MESH_HZ * mode.speed, rel=0.025)


def test_an_idle_machine_is_quieter_by_the_decibels_of_its_mode() -> None:
    idle, load = sound(12, IDLE), sound(12, LOAD)
    for low, high, decibels in ((MESH_HZ - 20, MESH_HZ + 30, IDLE.mesh_db), (1400, 2100, IDLE.flow_db)):
        found = level(between(idle, low, high)) - level(between(load, low, high))
        assert found == pytest.approx(decibels, abs=2.5)


def test_a_run_up_is_smooth() -> None:
    """The sound of the tones alone has no step as large as a click would make."""
    machine = Machine(modes=TWO_SPEEDS, passing_noises=False, seed=1)
    stream = MachineSound(machine)
    change = next(stream.changes())
    samples = between(stream.read(round((change.start_s + 4) * RATE)), 20, 2000)
    changing = samples[round(change.start_s * RATE) :]
    assert np.abs(np.diff(changing, 2)).max() < 2 * np.abs(np.diff(samples[: -4 * RATE], 2)).max()


# With faults


@settings(max_examples=15, deadline=None)
@given(
    fault=st.sampled_from((None, *FAULTS)),
    pieces=st.lists(st.integers(0, 40_000), min_size=1, max_size=6),
    modes=st.sampled_from((TWO_SPEEDS, IDLE_AND_LOAD)),
)
def test_any_chunking_gives_the_same_samples(fault: str | None, pieces: list[int], modes: tuple[Mode, ...]) -> None:
    machine = Machine(sample_rate=8000, seed=3, modes=modes)
    pieced, whole = (MachineSound(machine, fault=fault, onset_s=1.0, ramp_s=0.5) for _ in range(2))
    assert np.array_equal(np.concatenate([pieced.read(n) for n in pieces]), whole.read(sum(pieces)))


@pytest.mark.parametrize("mode", [SLOW, FAST, IDLE])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_heard_in_every_mode_and_not_before_its_onset(fault: str, mode: Mode) -> None:
    well, ill = sound(4, mode), sound(4, mode, fault=fault, onset_s=1.5)
    first = round(1.5 * RATE)
    assert np.array_equal(ill[:first], well[:first])
    assert level(ill[first:] - well[first:]) > -45


def test_a_machine_without_modes_sounds_as_in_a_mode_that_changes_nothing() -> None:
    assert np.array_equal(sound(3), sound(3, SLOW))
