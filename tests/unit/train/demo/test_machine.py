"""The sound of the synthetic machine: a reproducible stream, in which each seed is another recording."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from monitor.core.errors import ConfigError
from support.spectra import between, level
from train.demo.filters import BLOCK_S, Passing
from train.demo.machine import FAULTS, Machine, MachineSound, machine_sound

RATE = 16000
SHAFT = Machine().shaft_hz
STATES = (None, *FAULTS)


# The stream


@pytest.mark.parametrize("fault", STATES)
def test_the_same_seed_gives_the_same_sound_and_another_seed_another(fault: str | None) -> None:
    first, again, other = (machine_sound(2, fault=fault, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.isclose(first, other).mean() > 0.01


@settings(max_examples=25, deadline=None)
@given(
    fault=st.sampled_from(STATES),
    pieces=st.lists(st.integers(0, 6000), min_size=1, max_size=8),
    onset_s=st.floats(0, 2),
)
def test_any_chunking_gives_the_same_samples(fault: str | None, pieces: list[int], onset_s: float) -> None:
    machine = Machine(sample_rate=8000, seed=3)
    pieced, whole = (MachineSound(machine, fault=fault, onset_s=onset_s, ramp_s=0.5) for _ in range(2))
    chunks = [pieced.read(n) for n in pieces]
    assert [len(chunk) for chunk in chunks] == pieces
    assert np.array_equal(np.concatenate(chunks), whole.read(sum(pieces)))


def test_a_long_stream_takes_no_more_memory_than_a_short_one() -> None:
    stream = MachineSound(Machine(sample_rate=8000), fault="bearing")
    stream.read(8000)
    tracemalloc.start()
    try:
        for _ in range(60):
            stream.read(8000)
        grown, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 400_000  # a minute at 8 kHz is 1.9 MB
    assert peak < 2_000_000


def test_what_is_read_may_be_written_to_without_changing_what_follows() -> None:
    touched, untouched = MachineSound(Machine()), MachineSound(Machine())
    touched.read(100)[:] = 0
    untouched.read(100)
    assert np.array_equal(touched.read(5000), untouched.read(5000))


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        MachineSound(Machine()).read(-1)


# The machine that is well


@pytest.mark.parametrize("sample_rate", [8000, 11025, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("fault", STATES)
def test_every_sample_rate_gives_mono_float32_of_the_asked_length_that_never_clips(
    fault: str | None, sample_rate: int
) -> None:
    sound = machine_sound(3, fault=fault, sample_rate=sample_rate)
    assert sound.dtype == np.float32
    assert sound.shape == (3 * sample_rate,)
    assert np.abs(sound).max() < 0.9
    assert -28 < level(sound) < -21


@pytest.mark.parametrize("seed", range(4))
def test_the_healthy_level_is_about_minus_26_dbfs(seed: int) -> None:
    assert level(machine_sound(20, seed=seed)) == pytest.approx(-26, abs=1.5)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_its_worst_is_at_most_5_db_louder(fault: str) -> None:
    assert 0.3 < level(machine_sound(20, fault=fault)) - level(machine_sound(20)) < 5


@pytest.mark.parametrize("shaft_hz", [18.0, 24.0, 31.0])
@pytest.mark.parametrize("order", [1, 31])
def test_the_shaft_and_the_gear_mesh_are_heard_within_two_percent_of_where_the_shaft_speed_puts_them(
    shaft_hz: float, order: int
) -> None:
    sound = MachineSound(Machine(shaft_hz=shaft_hz, seed=2)).read(20 * RATE)
    at, power = signal.welch(sound, RATE, nperseg=RATE)
    near = np.abs(at / (order * shaft_hz) - 1) < 0.4 / order
    peak = at[near][power[near].argmax()]
    assert abs(peak - order * shaft_hz) <= 0.02 * order * shaft_hz + 1  # Hz, the resolution
    assert power[near].max() > 5 * np.median(power[near])


def test_the_speed_drifts() -> None:
    """The mesh frequency changes over minutes, and stays within 2 % of its nominal value."""
    stream = MachineSound(Machine(seed=1))
    peaks = []
    for _ in range(30):
        power = np.abs(np.fft.rfft(between(stream.read(4 * RATE) * np.hanning(4 * RATE), 700, 790)))
        peaks.append(power.argmax() / 4)
    mesh = Machine().teeth * SHAFT
    assert max(peaks) - min(peaks) > 0.005 * mesh
    assert max(abs(peak - mesh) for peak in peaks) < 0.02 * mesh + 1


def test_seeds_are_moments_of_one_machine() -> None:
    """Other seeds have the same spectrum within the drift; each fault has another one."""
    spectra = [signal.welch(machine_sound(20, seed=seed), RATE, nperseg=512)[1] for seed in range(4)]
    decibels = 10 * np.log10(spectra)
    apart = np.abs(decibels - decibels[0]).mean(axis=1)
    assert apart.max() < 1.2
    for fault in FAULTS:
        faulty = 10 * np.log10(signal.welch(machine_sound(20, fault=fault), RATE, nperseg=512)[1])
        assert np.abs(faulty - decibels[0]).max() > 3


def test_noises_pass_by_about_six_times_an_hour() -> None:
    passing, rate, hours = Passing(8000, np.random.default_rng(0)), 8000, 10
    audible = [not np.isscalar(passing.sound(round(BLOCK_S * rate))) for _ in range(round(hours * 3600 / BLOCK_S))]
    begun = np.count_nonzero(np.diff([False, *audible], append=False)) / 2
    assert 4 <= begun / hours <= 9
    assert np.mean(audible) < 0.05


def test_passing_noises_can_be_left_out_which_changes_nothing_else() -> None:
    """With this seed a noise passes from the sixth to the tenth second."""
    with_them, without = (
        MachineSound(Machine(sample_rate=8000, seed=21, passing_noises=passing)) for passing in (True, False)
    )
    audible = [not np.array_equal(with_them.read(8000), without.read(8000)) for _ in range(20)]
    assert np.flatnonzero(audible).tolist() == [5, 6, 7, 8, 9]


# What is refused


def test_an_unknown_fault_is_refused_in_one_sentence_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError) as refused:
        machine_sound(1, fault="rust")
    message = str(refused.value)
    assert "'rust'" in message
    assert all(fault in message for fault in FAULTS)
    assert message.count(".") == 1


@pytest.mark.parametrize(
    ("settings_", "named"),
    [
        ({"severity": 1.1}, "severity"),
        ({"severity": -0.1}, "severity"),
        ({"severity": math.nan}, "severity"),
        ({"onset_s": -1.0}, "onset"),
        ({"onset_s": math.inf}, "onset"),
        ({"ramp_s": -1.0}, "ramp"),
        ({"seed": -1}, "seed"),
        ({"sample_rate": 4000}, "8000 to 48000"),
        ({"sample_rate": 96000}, "8000 to 48000"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings_: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        machine_sound(1, fault="belt", **settings_)  # type: ignore[arg-type]


def test_a_shaft_too_slow_or_too_fast_is_refused() -> None:
    for shaft_hz in (0.0, 500.0):
        with pytest.raises(ConfigError, match="5 to 100"):
            Machine(shaft_hz=shaft_hz)
