"""What the synthetic machine promises: a stream to repeat at will, and faults that sound like themselves."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal, stats

from monitor.core.errors import ConfigError
from train.demo.synthetic import FAULTS, Machine, MachineSound, machine_sound

RATE = 16000
SHAFT = Machine().shaft_hz
STATES = (None, *FAULTS)
Sound = NDArray[np.floating]


def level(sound: Sound) -> float:
    """RMS in dBFS."""
    return 10 * math.log10(np.mean(np.square(sound, dtype=np.float64)))


def band(sound: Sound, low: float, high: float) -> Sound:
    return signal.sosfiltfilt(signal.butter(4, (low, high), "bandpass", fs=RATE, output="sos"), sound)


def between(sound: Sound, low: float, high: float) -> Sound:
    """What lies between two frequencies, cut sharper than a filter could."""
    spectrum = np.fft.rfft(sound)
    at = np.fft.rfftfreq(len(sound), 1 / RATE)
    return np.fft.irfft(np.where((at > low) & (at < high), spectrum, 0))


def envelope_line(sound: Sound, hz: float) -> tuple[float, float]:
    """The peak of the envelope's spectrum within 15 % of hz: where, and in times the median near it."""
    envelope = np.abs(signal.hilbert(sound))
    spectrum = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(len(envelope))))
    at = np.fft.rfftfreq(len(envelope), 1 / RATE)
    near = (at > 0.85 * hz) & (at < 1.15 * hz)
    floor = np.median(spectrum[(at > 30) & (at < 200)])
    return at[near][spectrum[near].argmax()], spectrum[near].max() / floor


def by_turn(sound: Sound) -> float:
    """How alike the energy is one turn of the shaft later: autocorrelation, 1 is the same."""
    energy = np.abs(signal.hilbert(sound)) ** 2
    energy = signal.decimate(energy - energy.mean(), 8, ftype="fir")
    whole = signal.correlate(energy, energy)[len(energy) - 1 :]
    lags = np.arange(len(whole)) / (RATE / 8)
    return whole[np.abs(lags * SHAFT - 1) < 0.03].max() / whole[0]


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
    """The mesh line moves over minutes, and stays within 2 % of where it belongs."""
    stream = MachineSound(Machine(seed=1))
    peaks = []
    for _ in range(30):
        power = np.abs(np.fft.rfft(between(stream.read(4 * RATE) * np.hanning(4 * RATE), 700, 790)))
        peaks.append(power.argmax() / 4)
    mesh = Machine().teeth * SHAFT
    assert max(peaks) - min(peaks) > 0.005 * mesh
    assert max(abs(peak - mesh) for peak in peaks) < 0.02 * mesh + 1


def test_seeds_are_moments_of_one_machine() -> None:
    """Other seeds have the same spectrum within the drift, which no fault has."""
    spectra = [signal.welch(machine_sound(20, seed=seed), RATE, nperseg=512)[1] for seed in range(4)]
    decibels = 10 * np.log10(spectra)
    apart = np.abs(decibels - decibels[0]).mean(axis=1)
    assert apart.max() < 1.2
    for fault in FAULTS:
        faulty = 10 * np.log10(signal.welch(machine_sound(20, fault=fault), RATE, nperseg=512)[1])
        assert np.abs(faulty - decibels[0]).max() > 3


def test_passing_noises_swell_a_few_times_an_hour_and_can_be_left_out() -> None:
    with_them, without = (
        MachineSound(Machine(sample_rate=8000, seed=1, passing_noises=passing)) for passing in (True, False)
    )
    heard = [not np.array_equal(with_them.read(8000), without.read(8000)) for _ in range(600)]
    swells = np.count_nonzero(np.diff([False, *heard], append=False)) / 2
    assert 1 <= swells <= 6
    assert np.mean(heard) < 0.05


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
    """The bend from sample to sample is what sines of its three partials have, and no step's."""
    squeal = np.subtract(*(machine_sound(10, fault=fault, sample_rate=48000) for fault in ("belt", None)))
    assert np.abs(np.diff(squeal, 2)).max() < 0.03


def test_a_missing_tooth_knocks_once_a_turn_and_breaks_the_mesh() -> None:
    well, ill = (machine_sound(10, fault=fault) for fault in (None, "gear"))
    assert by_turn(band(ill, 4500, 7500)) > 0.2 > 0.1 > by_turn(band(well, 4500, 7500))
    assert stats.kurtosis(band(ill, 4500, 7500)) > 2
    # The break in the mesh spreads into sidebands several turns away, where a sound gear has none.
    mesh = Machine().teeth * SHAFT
    ratios = [
        level(between(s, mesh + 2.6 * SHAFT, mesh + 5.4 * SHAFT)) - level(between(s, mesh - 15, mesh + 15))
        for s in (well, ill)
    ]
    assert ratios[1] > ratios[0] + 1


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
