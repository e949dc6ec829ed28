"""The faults of the synthetic machine: their onset, growth, and acoustic signatures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal, stats

from support.spectra import between, level
from train.demo.machine import FAULTS, Machine, machine_sound

RATE = 16000
SHAFT = Machine().shaft_hz


def band(sound: NDArray[np.floating], low: float, high: float) -> NDArray[np.floating]:
    return signal.sosfiltfilt(signal.butter(4, (low, high), "bandpass", fs=RATE, output="sos"), sound)


def envelope_line(sound: NDArray[np.floating], hz: float) -> tuple[float, float]:
    """The peak of the envelope spectrum within 15 % of hz: its frequency, and its ratio to the median around it."""
    envelope = np.abs(signal.hilbert(sound))
    spectrum = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(len(envelope))))
    at = np.fft.rfftfreq(len(envelope), 1 / RATE)
    near = (at > 0.85 * hz) & (at < 1.15 * hz)
    floor = np.median(spectrum[(at > 30) & (at < 200)])
    return at[near][spectrum[near].argmax()], spectrum[near].max() / floor


def by_turn(sound: NDArray[np.floating]) -> float:
    """The autocorrelation of the energy at a lag of one turn of the shaft; 1 is periodic."""
    energy = np.abs(signal.hilbert(sound)) ** 2
    energy = signal.decimate(energy - energy.mean(), 8, ftype="fir")
    whole = signal.correlate(energy, energy)[len(energy) - 1 :]
    lags = np.arange(len(whole)) / (RATE / 8)
    return whole[np.abs(lags * SHAFT - 1) < 0.03].max() / whole[0]


# The faults


@pytest.mark.parametrize("onset_s", [0.25, 1.1, 2.0001])
@pytest.mark.parametrize("fault", FAULTS)
def test_before_the_onset_the_sound_is_the_healthy_one_sample_for_sample(fault: str, onset_s: float) -> None:
    well = machine_sound(6, seed=4)
    for ramp_s in (0.0, 3.0):
        ill = machine_sound(6, seed=4, fault=fault, onset_s=onset_s, ramp_s=ramp_s)
        first = math.ceil(onset_s * RATE)
        assert np.array_equal(ill[:first], well[:first])
        assert level(ill[first:] - well[first:]) > -45


@pytest.mark.parametrize("fault", FAULTS)
def test_severity_zero_is_a_machine_that_is_well(fault: str) -> None:
    assert np.array_equal(machine_sound(2, fault=fault, severity=0), machine_sound(2))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_grows_with_its_severity_and_along_its_ramp(fault: str) -> None:
    well = machine_sound(16)
    by_severity = [level(machine_sound(16, fault=fault, severity=s) - well) for s in (0.25, 0.5, 1)]
    assert by_severity[0] + 4 < by_severity[1] < by_severity[2] - 4
    ramped = machine_sound(16, fault=fault, onset_s=0, ramp_s=16) - well
    first, middle, last = (level(third) for third in np.split(ramped[: 15 * RATE], 3))
    assert first + 3 < middle < last - 1
    assert last < by_severity[2] + 2


def test_a_bad_bearing_clicks_at_the_ball_pass_frequency() -> None:
    well, ill = (band(machine_sound(10, fault=fault), 3000, 5200) for fault in (None, "bearing"))
    knocks = Machine().ball_pass * SHAFT
    where, height = envelope_line(ill, knocks)
    assert where == pytest.approx(knocks, rel=0.025)
    assert height > 2.5 * envelope_line(well, knocks)[1]
    assert stats.kurtosis(ill) > 2 > 0.5 > stats.kurtosis(well)


def test_a_bad_bearing_clicks_on_without_a_gap_longer_or_shorter_than_its_slip() -> None:
    clicks = machine_sound(10, fault="bearing") - machine_sound(10)
    loud = np.flatnonzero(np.abs(clicks) > 0.01)
    starts = loud[np.diff(loud, prepend=-RATE) > 0.004 * RATE]
    gaps = np.diff(starts) / RATE * Machine().ball_pass * SHAFT
    assert len(gaps) > 800
    assert np.abs(gaps - 1).max() < 0.08


def test_imbalance_raises_the_shaft_line_and_shakes_the_broadband_once_a_turn() -> None:
    well, ill = (machine_sound(10, fault=fault) for fault in (None, "imbalance"))
    for order in (1, 2):
        low, high = (order * SHAFT + d for d in (-2, 2))
        assert level(between(ill, low, high)) - level(between(well, low, high)) > 6
    shaken = envelope_line(band(ill, 1800, 4000), SHAFT)
    assert shaken[0] == pytest.approx(SHAFT, rel=0.025)
    assert shaken[1] > 2.5 * envelope_line(band(well, 1800, 4000), SHAFT)[1]


def test_a_slipping_belt_squeals_between_1800_and_3000_hz_and_comes_and_goes() -> None:
    quarters = {}
    for fault in (None, "belt"):
        squeal = band(machine_sound(30, fault=fault), 1800, 3000)
        quarters[fault] = np.sort([level(q) for q in np.split(squeal, 120)])
    assert quarters["belt"][-20] > quarters[None][-1] + 4  # loud for 5 s of 30 at least
    assert quarters["belt"][20] < quarters[None][-1] + 1  # and silent for as long
    at, power = signal.welch(machine_sound(30, fault="belt"), RATE, nperseg=1024)
    assert 1800 < at[at > 1700][power[at > 1700].argmax()] < 3000


def test_a_squeal_has_no_clicks() -> None:
    """The second difference of the samples is that of sines of its three partials, without steps."""
    squeal = np.subtract(*(machine_sound(10, fault=fault, sample_rate=48000) for fault in ("belt", None)))
    assert np.abs(np.diff(squeal, 2)).max() < 0.03


def test_a_missing_tooth_knocks_once_a_turn_and_breaks_the_mesh() -> None:
    well, ill = (machine_sound(10, fault=fault) for fault in (None, "gear"))
    assert by_turn(band(ill, 4500, 7500)) > 0.2 > 0.1 > by_turn(band(well, 4500, 7500))
    assert stats.kurtosis(band(ill, 4500, 7500)) > 2
    # The break in the mesh spreads into sidebands several turns away, where a healthy gear has none.
    mesh = Machine().teeth * SHAFT
    ratios = [
        level(between(s, mesh + 2.6 * SHAFT, mesh + 5.4 * SHAFT)) - level(between(s, mesh - 15, mesh + 15))
        for s in (well, ill)
    ]
    assert ratios[1] > ratios[0] + 1
