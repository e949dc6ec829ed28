"""The sound of the simulated valve: two different clicks a cycle among other machines, and its three faults."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from monitor.core.errors import ConfigError
from support.spectra import between, level
from train.demo.valve import BOUNCE_S, FAULTS, INTERVAL_S, LATE_S, OPEN_S, WEAK_DB, Valve, ValveSound

RATE = 16000
STATES = (None, *FAULTS)
PASSING_SEED = 30  # with it a noise passes from the fourth to the eighth second
OPENING_HZ, CLOSING_HZ = (2150.0, 2450.0), (780.0, 920.0)  # around the loudest resonance of each click


def sound(seconds: float = 10.0, seed: int = 0, rate: int = RATE, **fault: object) -> NDArray[np.float32]:
    valve = Valve(sample_rate=rate, seed=seed, passing_noises=False)
    return ValveSound(valve, **fault).read(round(seconds * rate))  # type: ignore[arg-type]


def clicks(samples: NDArray[np.floating], band: tuple[float, float]) -> tuple[NDArray[np.floating], ...]:
    """The times in s and the levels in dB of the clicks in a band, at least 30 ms apart and 10 dB above its median."""
    envelope = np.abs(signal.hilbert(between(samples, *band)))
    envelope = signal.sosfiltfilt(signal.butter(2, 60, fs=RATE, output="sos"), envelope)
    decibels = 20 * np.log10(np.maximum(envelope, 1e-6))
    peaks, _ = signal.find_peaks(decibels, height=np.median(decibels) + 10, distance=0.03 * RATE, prominence=6)
    return peaks / RATE, decibels[peaks]


# The stream


@settings(max_examples=25, deadline=None)
@given(
    fault=st.sampled_from(STATES),
    pieces=st.lists(st.integers(0, 6000), min_size=1, max_size=8),
    onset_s=st.floats(0, 2),
)
def test_any_chunking_gives_the_same_samples(fault: str | None, pieces: list[int], onset_s: float) -> None:
    pieced, whole = (
        ValveSound(Valve(sample_rate=8000, seed=3), fault=fault, onset_s=onset_s, ramp_s=0.5) for _ in range(2)
    )
    chunks = [pieced.read(n) for n in pieces]
    assert [len(chunk) for chunk in chunks] == pieces
    assert np.array_equal(np.concatenate(chunks), whole.read(sum(pieces)))


@pytest.mark.parametrize("fault", FAULTS)
def test_before_the_onset_the_sound_is_the_healthy_one_sample_for_sample(fault: str) -> None:
    for ramp_s in (0.0, 3.0):
        well, ill = sound(), sound(fault=fault, onset_s=4.1, ramp_s=ramp_s)
        first = round(4.1 * RATE)
        assert np.array_equal(ill[:first], well[:first])
        assert level(ill[first:] - well[first:]) > -60


@pytest.mark.parametrize("fault", FAULTS)
def test_severity_zero_is_a_valve_that_is_well(fault: str) -> None:
    assert np.array_equal(sound(fault=fault, severity=0), sound())


def test_clicks_that_are_to_come_do_not_pile_up() -> None:
    stream = ValveSound(Valve(sample_rate=8000), fault="double")
    for _ in range(100):
        stream.read(8000)
        assert len(stream._to_come) <= 4


@pytest.mark.parametrize("sample_rate", [8000, 22050, 48000])
@pytest.mark.parametrize("fault", STATES)
def test_every_sample_rate_gives_the_same_level_and_never_clips(fault: str | None, sample_rate: int) -> None:
    samples = sound(6, rate=sample_rate, fault=fault)
    assert samples.dtype == np.float32
    assert np.abs(samples).max() < 0.9
    assert -39 < level(samples) < -31


# The valve that is well


@pytest.mark.parametrize("seed", range(3))
def test_it_opens_and_closes_about_once_a_second_with_different_clicks(seed: int) -> None:
    samples = sound(20, seed=seed)
    (opened, strengths), (closed, _) = clicks(samples, OPENING_HZ), clicks(samples, CLOSING_HZ)
    assert np.diff(opened) == pytest.approx(INTERVAL_S, abs=0.15)
    assert 0.5 < strengths.std() < 2.5
    held = closed[closed > opened[0]][: len(opened)] - opened[: np.count_nonzero(closed > opened[0])]
    assert held == pytest.approx(OPEN_S, abs=0.1)


def test_the_clicks_stand_out_for_milliseconds_and_hardly_move_the_mean() -> None:
    frames = between(sound(20), *OPENING_HZ).reshape(-1, 320)  # of 20 ms
    decibels = 10 * np.log10(np.mean(frames**2, axis=1))
    loud = decibels > np.median(decibels) + 10
    assert decibels.max() > np.median(decibels) + 20
    assert 0.02 < loud.mean() < 0.1
    assert decibels.mean() - decibels[~loud].mean() < 2.0


def test_the_other_machines_vary_from_recording_to_recording() -> None:
    quiet = [np.median(np.abs(between(sound(2, seed=seed), 120, 240))) for seed in range(12)]
    assert 0.5 < np.std(20 * np.log10(quiet)) < 2.5


def test_passing_noises_can_be_left_out_which_changes_nothing_else() -> None:
    with_them, without = (
        ValveSound(Valve(sample_rate=8000, seed=PASSING_SEED, passing_noises=passing)) for passing in (True, False)
    )
    audible = [not np.array_equal(with_them.read(8000), without.read(8000)) for _ in range(8)]
    assert any(audible)
    assert not all(audible)


# The faults


def test_a_weak_click_is_weaker_by_six_to_ten_decibels() -> None:
    """Of the openings, of the closings, or of both, by the seed."""
    lost = []
    for seed in range(5):
        well, ill = sound(5, seed=seed), sound(5, seed=seed, fault="weak")
        found = []
        for hz in (OPENING_HZ, CLOSING_HZ):
            blows = [np.sort(np.abs(between(one, *hz)))[-200:].mean() for one in (well, ill)]
            found.append(20 * np.log10(blows[0] / blows[1]))
        assert WEAK_DB[0] - 2 < max(found) < WEAK_DB[1] + 1
        lost.append([one > 3 for one in found])
    assert {tuple(one) for one in lost} >= {(True, False), (False, True)}


def test_a_late_click_comes_now_and_then_and_at_most_four_tenths_of_a_second_late() -> None:
    well, ill = (clicks(sound(40, seed=2, fault=fault), OPENING_HZ)[0] for fault in (None, "late"))
    moved = np.array([at for at in well if np.abs(ill - at).min() > 0.02])
    assert 0.15 < len(moved) / len(well) < 0.5
    arrived = np.array([at for at in ill if np.abs(well - at).min() > 0.02])
    delays = [(at - moved[moved < at])[-1] for at in arrived]
    assert all(LATE_S[0] - 0.02 < delay < LATE_S[1] + 0.02 for delay in delays)
    assert 0 < len(moved) - len(arrived) < len(moved)  # some are missing


def test_a_bouncing_valve_clicks_twice_within_a_tenth_of_a_second() -> None:
    seed = next(n for n in range(9) if 0 in ValveSound(Valve(seed=n))._affected)
    well, ill = (clicks(sound(20, seed=seed, fault=fault), OPENING_HZ) for fault in (None, "double"))
    assert np.diff(well[0]).min() > 1.0
    gaps, falls = np.diff(ill[0]), np.diff(ill[1])
    second = gaps < 0.15
    assert np.count_nonzero(second) > 0.8 * len(well[0])
    assert np.all((gaps[second] > BOUNCE_S[0] - 0.02) & (gaps[second] < BOUNCE_S[1] + 0.02))
    assert np.all(falls[second] < 0)


@pytest.mark.parametrize("fault", ["weak", "double"])
def test_a_fault_grows_with_its_severity(fault: str) -> None:
    well = sound()
    slight, severe = (level(sound(fault=fault, severity=severity) - well) for severity in (0.1, 1.0))
    assert slight < severe - 6


def test_a_slightly_late_click_is_late_by_a_share_of_the_delay() -> None:
    well, ill = (clicks(sound(20, seed=2, fault=fault, severity=0.2), OPENING_HZ)[0] for fault in (None, "late"))
    assert len(well) == len(ill)  # none is missing
    delays = ill - well
    late = delays > 0.01
    assert 0.15 < late.mean() < 0.5
    assert np.all((delays[late] > 0.2 * LATE_S[0] - 0.01) & (delays[late] < 0.2 * LATE_S[1] + 0.01))


# What is refused


def test_what_is_out_of_range_is_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match="weak, late, double"):
        ValveSound(Valve(), fault="gear")
    with pytest.raises(ConfigError, match="8000 to 48000"):
        Valve(sample_rate=4000)
    with pytest.raises(ConfigError, match="severity"):
        ValveSound(Valve(), fault="late", severity=2)
