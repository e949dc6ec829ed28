"""The sound of a simulated motor with a gearbox: healthy, or with one of four faults that begin at a given time.

A four-pole induction motor drives a gearbox and a belt. The sound has shaft harmonics, gear mesh with sidebands, mains
hum, flow noise, housing resonances, room noise, and occasional passing noises. The demo, tests and benchmarks use it in
place of recordings.

Sources of the formulas: gear mesh modulated by its shaft, McFadden 1986 (J. Vib. Acoust. 108, 165); bearing impacts
with random gaps, Antoni and Randall 2003 (J. Vib. Acoust. 125, 282); peaking filters, R. Bristow-Johnson's "Audio EQ
Cookbook". Levels and drifts are chosen to resemble workshop recordings; they are not measured on a machine.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from monitor.core.types import DoubleArray
from train.demo.days import Day
from train.demo.faults import Bearing, Belt
from train.demo.filters import REFERENCE_RATE, TOP, Drift, Filter, Passing, Phasors, hiss, peak, spun, tones
from train.demo.modes import Change, Mode, Operation, mode_changes
from train.demo.stream import HIGHEST_RATE, LOWEST_RATE, SoundStream, demand

FAULTS: tuple[str, ...] = ("bearing", "imbalance", "belt", "gear")

# Amplitudes are relative to full scale; tuples are the amplitudes at 1, 2, 3, ... times a frequency.
HUM = (0.003, 0.006, 0.001, 0.0, 0.0, 0.002)
FLOW, ROOM = 0.037, 0.010
IMBALANCE_GAINS = (2.4, 1.6, 0.8, 0.4, 0.2)  # added to a harmonic at severity 1, as multiples of its healthy amplitude
TOOTH, TOOTH_WIDTH = 0.37, 0.06  # position of the missing tooth, and decay of its knock, in turns
TOOTH_KNOCK = 0.14


@dataclass(frozen=True)
class Machine:
    """The parameters of a machine, and the seed of a recording of it.

    `seed` determines drifts, noise and passing noises; the other fields describe the machine. With their default
    values the level is about -26 dBFS RMS.

    Args:
        sample_rate: in Hz, 8000 to 48000.
        seed: of the recording.
        shaft_hz: speed of the shaft in turns a second, 5 to 100; it drifts by less than 2 %.
        passing_noises: whether a cart, a voice or a door is audible about six times an hour.
        modes: operating modes, between which it switches at random times; none: it runs at `shaft_hz` throughout.
        day: what is different on this day; None: nothing.
        teeth: number of teeth of the gear.
        blades: number of blades of the fan on the shaft.
        mains_hz: frequency of the mains.
        ball_pass: impacts of a damaged bearing in a turn of the shaft.
        harmonics: amplitudes at 1, 2, 3, ... times the shaft frequency, relative to full scale.
        mesh: amplitudes at 1, 2, 3, ... times the gear mesh frequency, relative to full scale.
        resonances: of the housing: frequency in Hz, Q, and gain in dB of each.

    Raises:
        ConfigError: if the sample rate, the shaft speed or the seed is out of range.
    """

    sample_rate: int = REFERENCE_RATE
    seed: int = 0
    shaft_hz: float = 24.0
    passing_noises: bool = True
    modes: tuple[Mode, ...] = ()
    day: Day | None = None
    teeth: int = 31
    blades: int = 7
    mains_hz: float = 50.0
    ball_pass: float = 3.58
    harmonics: tuple[float, ...] = (0.014, 0.012, 0.013, 0.008, 0.010, 0.006, 0.005, 0.005, 0.004, 0.003)
    mesh: tuple[float, ...] = (0.017, 0.011, 0.005, 0.003)
    resonances: tuple[tuple[float, float, float], ...] = ((410, 3, 5), (1150, 4, 6), (2700, 4, 5))

    def __post_init__(self) -> None:
        demand("sample rate in Hz", LOWEST_RATE, self.sample_rate, HIGHEST_RATE)
        demand("shaft speed in turns a second", 5, self.shaft_hz, 100)
        demand("seed", 0, self.seed, math.inf)

    def operation(self) -> Iterator[Change]:
        """Yields the mode at the start of the recording as a change at 0 s, then the changes to others."""
        # The sixth of the independent seeds; the first five are those of `MachineSound`.
        return mode_changes(self.modes or (Mode("only"),), np.random.SeedSequence(self.seed, spawn_key=(5,)))


class MachineSound(SoundStream):
    """The sound of a machine as a stream: `SoundStream` has its properties and arguments.

    The amplitudes of a fault are proportional to its severity.

    Args:
        machine: the machine.

    Raises:
        ConfigError: as `SoundStream`.
    """

    FAULTS = FAULTS

    def __init__(
        self,
        machine: Machine,
        *,
        fault: str | None = None,
        onset_s: float = 0.0,
        ramp_s: float = 0.0,
        severity: float = 1.0,
    ) -> None:
        rate, day = machine.sample_rate, machine.day or Day()
        super().__init__(rate, machine.day, fault=fault, onset_s=onset_s, ramp_s=ramp_s, severity=severity)
        self.machine = machine
        # A random generator for each component, so that a fault does not change the random numbers of the others.
        drift, self._flow_rng, self._room_rng, passing, self._fault_rng = (
            np.random.default_rng(s) for s in np.random.SeedSequence(machine.seed).spawn(5)
        )
        self._operation = Operation(machine.operation())
        self._mode = self._operation.at(0.0)

        fastest = max((mode.speed for mode in machine.modes), default=1.0)
        highest = TOP * rate / (1.02 * machine.shaft_hz * fastest)
        self._shaft = np.array(machine.harmonics[: int(highest)])
        self._mesh = np.array(machine.mesh[: int(highest / machine.teeth)])
        self._hum = np.array(HUM[: int(TOP * rate / machine.mains_hz)], np.complex128)
        tones = len(self._shaft) + len(self._mesh)
        # The phases of the tones relative to each other belong to the machine: they do not depend on the seed.
        self._lags = np.exp(2.4j * np.arange(tones) ** 2)
        # Drifts of the speed, load, flow and room, and of the amplitude of each tone.
        self._drift = Drift(np.array([25.0, 50.0, 30.0, 60.0] + tones * [15.0]), drift)
        self._now = self._drift.step()
        self._turns, self._mains = drift.random(2)

        self._flow = Filter(signal.butter(1, (250, 2500), "bandpass", fs=rate, output="sos"))
        # Pink noise: alternating poles and zeros, half a decade apart, give a slope of -10 dB a decade.
        poles, zeros = -2 * np.pi * np.array([[20.0, 200.0, 2000.0], [63.0, 630.0, 6300.0]])
        self._room = Filter(signal.zpk2sos(*signal.bilinear_zpk(zeros, poles, 1.0, rate)))
        self._room_level = ROOM * 10 ** (day.room_db / 20)
        resonances = [(day.resonance * hz, q, decibels) for hz, q, decibels in machine.resonances]
        self._housing = Filter(np.reshape([peak(*r, rate) for r in resonances if r[0] < TOP * rate], (-1, 6)))
        self._passing = Passing(rate, passing)
        self._bearing, self._belt = Bearing(machine, self._fault_rng), Belt(machine, self._fault_rng)

    def changes(self) -> Iterator[Change]:
        return itertools.islice(self.machine.operation(), 1, None)

    def _speed(self, drift: DoubleArray, mode: DoubleArray) -> float:
        """The speed in turns a second, which falls with the load because of the slip of the induction motor."""
        slip = 1 + 0.013 * math.tanh(drift[0]) - 0.004 * math.tanh(drift[1])
        return self.machine.shaft_hz * float(mode[0]) * slip

    def _sizes(self, drift: DoubleArray, mode: DoubleArray) -> tuple[Phasors, Phasors]:
        """The complex amplitudes of the shaft harmonics, and of the gear mesh tones."""
        k, varied = len(self._shaft), self._lags * np.exp(0.09 * drift[4:])
        return self._shaft * varied[:k] * mode[1], self._mesh * varied[k:] * (math.exp(0.09 * drift[1]) * mode[2])

    def _block(self) -> DoubleArray:
        """The samples (n,) of the next block. At severity 0 a fault adds exactly 0 and multiplies by exactly 1."""
        machine, n, rate = self.machine, self._n, self.machine.sample_rate
        wear, ramp = self._block_wear(), np.arange(n) / n
        fault = self._fault if wear.any() else None
        old, new = self._now, self._drift.step()
        mode_old, mode_new = self._mode, self._operation.at((self._blocks + 1) * n / rate)
        (shaft_old, mesh_old), (shaft_new, mesh_new) = self._sizes(old, mode_old), self._sizes(new, mode_new)
        flow_level, room_level = np.exp(0.08 * (old[2:4] + np.outer(ramp, new[2:4] - old[2:4]))).T
        flow_level *= mode_old[3] + (mode_new[3] - mode_old[3]) * ramp
        mains = self._mains + machine.mains_hz * (self._blocks + ramp) * n / rate
        was, speed = self._speed(old, mode_old), self._speed(new, mode_new)
        turns = self._turns + n / rate * (was * ramp + 0.5 * (speed - was) * ramp**2)
        self._turns += n / rate * 0.5 * (was + speed)
        self._now, self._mode = new, mode_new

        spin = spun(turns)
        sway = spin.real
        torn = wear * np.exp(-((turns - TOOTH) % 1) / TOOTH_WIDTH) if fault == "gear" else np.zeros(n)
        mesh = tones(spun(machine.teeth * turns + 0.2 * torn), mesh_old, mesh_new, ramp)
        wheel = spun(turns * machine.teeth / (machine.teeth + 22)).real  # the slower shaft of the gearbox
        mesh *= (1 + 0.25 * sway + 0.12 * (spin * spin).real + 0.1 * wheel) * (1 - 0.8 * torn)
        flow = FLOW * flow_level * self._flow(hiss(self._flow_rng, n, rate))
        flow *= 1 + 0.3 * spun(machine.blades * turns).real + 0.1 * sway
        source = tones(spin, shaft_old, shaft_new, ramp) + mesh + flow
        if fault == "imbalance":
            gains = np.array(IMBALANCE_GAINS[: len(shaft_new)])
            more = gains * shaft_new[: len(gains)]
            # All sounds are modulated once a turn, and loose parts add noise.
            source += wear * (tones(spin, more, more, ramp) + 0.6 * sway * source + 0.6 * flow)
        elif fault == "gear":
            source += TOOTH_KNOCK * torn * hiss(self._fault_rng, n, rate)
        elif fault == "bearing":
            source += self._bearing.sound(turns, wear)
        elif fault == "belt":
            source += self._belt.sound(turns, wear)

        sound = self._housing(source) + tones(spun(mains), self._hum, self._hum, ramp)
        sound += self._room_level * room_level * self._room(hiss(self._room_rng, n, rate))
        if machine.passing_noises:
            sound += self._passing.sound(n)
        return np.asarray(sound)


def machine_sound(
    duration_s: float,
    *,
    fault: str | None = None,
    onset_s: float = 0.0,
    ramp_s: float = 0.0,
    severity: float = 1.0,
    seed: int = 0,
    sample_rate: int = REFERENCE_RATE,
) -> NDArray[np.float32]:
    """The first seconds of a `MachineSound`.

    Args:
        duration_s: number of seconds.
        fault: as in `MachineSound`, like `onset_s`, `ramp_s` and `severity`.
        seed: as in `Machine`.
        sample_rate: in Hz.

    Returns:
        samples (round(duration_s * sample_rate),) float32, within [-1, 1].

    Raises:
        ConfigError: as `Machine` and `MachineSound`.
    """
    machine = Machine(sample_rate=sample_rate, seed=seed)
    stream = MachineSound(machine, fault=fault, onset_s=onset_s, ramp_s=ramp_s, severity=severity)
    return stream.read(round(duration_s * sample_rate))
