"""The sound of a machine that does not exist: well, or with one of four faults that come on when told.

A four-pole induction motor drives a gearbox and a belt: shaft harmonics, gear mesh with sidebands, mains
hum, flow noise, housing resonances, room noise, and now and then someone passing. Demo, tests and
benchmarks use it where no recording is at hand.

Where the formulas come from: gear mesh modulated by its shaft, McFadden 1986 (J. Vib. Acoust. 108, 165);
bearing impacts with random gaps, Antoni and Randall 2003 (J. Vib. Acoust. 125, 282); peaking filters,
R. Bristow-Johnson's "Audio EQ Cookbook". Levels and drifts are set to look like workshop recordings, not
measured on one machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from monitor.core.errors import ConfigError

Floats = NDArray[np.float64]
Phasors = NDArray[np.complex128]

FAULTS: tuple[str, ...] = ("bearing", "imbalance", "belt", "gear")
LOWEST_RATE, HIGHEST_RATE = 8000, 48000  # Hz

BLOCK_S = 0.25  # short enough for a squeal to come and go, long enough for numpy to be fast
TOP = 0.45  # of the sample rate: no tone and no resonance is made above it
REFERENCE_RATE = 16000  # Hz, at which the levels were set

# Amplitudes are in full scale, and those of several numbers are for 1, 2, 3, ... times a frequency.
HUM = (0.003, 0.006, 0.001, 0.0, 0.0, 0.002)
FLOW, ROOM = 0.037, 0.010
PASSING_PER_HOUR = 6.0
PASSING = (  # low, high edge in Hz, shortest, longest in s, share of the time before the peak, flutter in Hz
    (120.0, 900.0, 4.0, 10.0, 0.5, 9.0),  # a cart
    (250.0, 1800.0, 2.0, 5.0, 0.4, 4.0),  # a voice
    (60.0, 350.0, 0.75, 1.5, 0.15, 0.0),  # a door
)

BEARING_RINGS = ((3400.0, 0.0016, 0.09), (4700.0, 0.0010, 0.07))  # Hz, decay in s, amplitude
BELT_HZ, BELT_PARTIALS = 2250.0, (0.05, 0.022, 0.012)
BELT_TURNS = 0.31  # of the belt in one turn of the shaft
IMBALANCE_GAINS = (2.4, 1.6, 0.8, 0.4, 0.2)  # added to a harmonic at severity 1, in times its healthy size
TOOTH, TOOTH_WIDTH = 0.37, 0.06  # of a turn: where the missing tooth sits, and how fast its knock dies away
TOOTH_KNOCK = 0.14


@dataclass(frozen=True)
class Machine:
    """One machine, and the moment at which it is recorded.

    `seed` chooses the moment: drifts, noise, who passes by. Every other field is the machine itself, the
    same for all seeds. The overall level is about -26 dBFS RMS with the default fields.

    `sample_rate` is in Hz, 8000 to 48000. The speed drifts by less than 2 % about `shaft_hz`, 5 to 100
    turns a second. With `passing_noises` a cart, a voice or a door swells up about six times an hour.
    `teeth` are those of the gear, `blades` those of the fan on the shaft; `ball_pass` is how often a
    damaged bearing knocks in a turn. `harmonics` of the shaft and of the `mesh` are amplitudes in full
    scale of 1, 2, 3, ... times its frequency; `resonances` of the housing are (Hz, Q, dB).

    Raises ConfigError for a sample rate, a shaft speed or a seed that cannot be used.
    """

    sample_rate: int = REFERENCE_RATE
    seed: int = 0
    shaft_hz: float = 24.0
    passing_noises: bool = True
    teeth: int = 31
    blades: int = 7
    mains_hz: float = 50.0
    ball_pass: float = 3.58
    harmonics: tuple[float, ...] = (0.014, 0.012, 0.013, 0.008, 0.010, 0.006, 0.005, 0.005, 0.004, 0.003)
    mesh: tuple[float, ...] = (0.017, 0.011, 0.005, 0.003)
    resonances: tuple[tuple[float, float, float], ...] = ((410, 3, 5), (1150, 4, 6), (2700, 4, 5))

    def __post_init__(self) -> None:
        _demand("sample rate in Hz", LOWEST_RATE, self.sample_rate, HIGHEST_RATE)
        _demand("shaft speed in turns a second", 5, self.shaft_hz, 100)
        _demand("seed", 0, self.seed, math.inf)


class _Filter:
    """Second-order sections that remember where they were."""

    def __init__(self, sections: Floats) -> None:
        self._sections, self._state = sections, np.zeros((len(sections), 2))

    def __call__(self, x: Floats) -> Floats:
        y, self._state = signal.sosfilt(self._sections, x, zi=self._state)
        return np.asarray(y)


class _Drift:
    """Smooth processes of unit variance, a value a block: an AR(1) smoothed by another of the same pole.

    With x the first process and a its pole, the second has variance (1 + a²)/(1 + a)² and covariance 1/(1 +
    a) with x. The first draw is from that, so that no recording begins with a machine still settling.
    """

    def __init__(self, seconds: Floats, rng: np.random.Generator) -> None:
        self._rng, self._pole = rng, np.exp(-BLOCK_S / seconds)
        self._inner = rng.standard_normal(len(seconds))
        self._outer = (self._inner + self._pole * rng.standard_normal(len(seconds))) / (1 + self._pole)

    def step(self) -> Floats:
        pole = self._pole
        self._inner = pole * self._inner + np.sqrt(1 - pole**2) * self._rng.standard_normal(len(pole))
        self._outer = pole * self._outer + (1 - pole) * self._inner
        return np.asarray(self._outer * (1 + pole) / np.sqrt(1 + pole**2))


class _Passing:
    """A cart, a voice, a door in the distance. It begins at the start of a block, in silence."""

    def __init__(self, rate: int, rng: np.random.Generator) -> None:
        self._rate, self._rng, self._kind = rate, rng, PASSING[0]
        self._age = self._length = 0

    def sound(self, n: int) -> Floats | float:
        rng = self._rng
        if self._age == self._length:
            if rng.random() >= PASSING_PER_HOUR * BLOCK_S / 3600:
                return 0.0
            self._kind = PASSING[int(rng.integers(len(PASSING)))]
            low, high, shortest, longest, _, _ = self._kind
            self._age, self._length = 0, round(rng.uniform(shortest, longest) / BLOCK_S)
            self._level = 0.04 * 2 ** rng.uniform(-1, 1)
            self._band = _Filter(signal.butter(2, (low, high), "bandpass", fs=self._rate, output="sos"))
        *_, peak, flutter = self._kind
        age = self._age + np.arange(n) / n
        self._age += 1
        swell = np.sin(np.pi * (age / self._length) ** (math.log(0.5) / math.log(peak))) ** 2
        swell *= self._level * (1 + 0.5 * np.cos(2 * np.pi * flutter * BLOCK_S * age))
        return swell * self._band(_hiss(rng, n, self._rate))


class _Bearing:
    """Impacts at the ball-pass rate, with gaps that slip by a percent, ringing the housing at 3 to 5 kHz."""

    def __init__(self, machine: Machine, rng: np.random.Generator) -> None:
        self._machine, self._rng, self._next = machine, rng, 0.0
        self._rings = []
        for hz, decay, size in BEARING_RINGS:
            if hz < TOP * machine.sample_rate:
                r, w = math.exp(-1 / (decay * machine.sample_rate)), 2 * math.pi * hz / machine.sample_rate
                ring = [[size * math.sin(w), 0, 0, 1, -2 * r * math.cos(w), r * r]]
                self._rings.append(_Filter(np.array(ring)))

    def sound(self, turns: Floats, wear: Floats) -> Floats:
        most = math.ceil(2 * self._machine.ball_pass * (turns[-1] - turns[0])) + 4
        gaps = self._rng.normal(1, 0.012, most) / self._machine.ball_pass
        sizes = np.exp(0.25 * self._rng.standard_normal(most + 1))
        hits = max(self._next, turns[0]) + np.concatenate(([0.0], np.cumsum(gaps)))
        heard = int(np.searchsorted(hits, turns[-1], side="right"))
        self._next = hits[heard]
        # A damaged spot is hit harder where the shaft presses: once a turn.
        sizes *= 1 + 0.3 * _spun(hits).real
        blows = np.zeros(len(turns))
        blows[np.searchsorted(turns, hits[:heard])] = sizes[:heard]
        return np.asarray(sum(ring(wear * blows) for ring in self._rings))


class _Belt:
    """A squeal that comes and goes, more often the worse the belt, with a pitch that wobbles."""

    def __init__(self, machine: Machine, rng: np.random.Generator) -> None:
        self._rate, self._rng = machine.sample_rate, rng
        self._slips, self._pitch, self._phase = 0.0, 0.0, 0.0

    def sound(self, turns: Floats, wear: Floats) -> Floats:
        slipped, pitch = self._slips, self._pitch
        self._slips = float(self._rng.random() < (0.75 if slipped else 0.15 + 0.35 * wear[-1]))
        self._pitch = 0.8 * pitch + 0.6 * self._rng.standard_normal()
        ramp = np.arange(len(turns)) / len(turns)
        slip = slipped + (self._slips - slipped) * ramp**2 * (3 - 2 * ramp)
        belt = _spun(BELT_TURNS * turns).real
        wobble = 0.08 * np.tanh((pitch + (self._pitch - pitch) * ramp) / 2) + 0.004 * belt + 0.03 * (slip - 1)
        phase = self._phase + np.cumsum(BELT_HZ * (1 + wobble)) / self._rate
        self._phase = phase[-1] % 1
        partials = BELT_PARTIALS[: int(0.5 * self._rate / (1.1 * BELT_HZ))]
        sizes = -1j * np.array(partials)
        return wear * slip * (0.75 + 0.25 * belt) * _tones(_spun(phase), sizes, sizes, ramp)


class MachineSound:
    """A machine as a stream: constant memory, and any chunking gives the same samples.

    `fault` is one of FAULTS, or None for a machine that is well. It begins at `onset_s` seconds and grows
    linearly to `severity` (0 to 1; amplitudes are proportional to it) over `ramp_s` seconds, at once where
    that is 0. Until then the sound is that of the healthy machine of the same seed, sample for sample.

    Raises ConfigError for an unknown fault, and for an onset, a ramp or a severity out of range.
    """

    def __init__(
        self,
        machine: Machine,
        *,
        fault: str | None = None,
        onset_s: float = 0.0,
        ramp_s: float = 0.0,
        severity: float = 1.0,
    ) -> None:
        if fault is not None and fault not in FAULTS:
            raise ConfigError(f"There is no fault {fault!r}; the known ones are {', '.join(FAULTS)}.")
        _demand("fault's severity", 0, severity, 1)
        _demand("fault's onset in seconds", 0, onset_s, math.inf)
        _demand("fault's ramp in seconds", 0, ramp_s, math.inf)
        self._fault, self._onset_s, self._ramp_s, self._severity = fault, onset_s, ramp_s, severity
        self.machine, rate = machine, machine.sample_rate
        # A generator for each part, so that none shifts another's draws: a fault leaves the rest as it was.
        drift, self._flow_rng, self._room_rng, passing, self._fault_rng = (
            np.random.default_rng(s) for s in np.random.SeedSequence(machine.seed).spawn(5)
        )
        self._n, self._blocks, self._rest = round(BLOCK_S * rate), 0, np.zeros(0, np.float32)

        highest = TOP * rate / (1.02 * machine.shaft_hz)
        self._shaft = np.array(machine.harmonics[: int(highest)])
        self._mesh = np.array(machine.mesh[: int(highest / machine.teeth)])
        self._hum = np.array(HUM[: int(TOP * rate / machine.mains_hz)], np.complex128)
        tones = len(self._shaft) + len(self._mesh)
        # How the tones stand to each other on the wave is the machine's, not the moment's.
        self._lags = np.exp(2.4j * np.arange(tones) ** 2)
        # Speed, load, flow and room, then each tone.
        self._drift = _Drift(np.array([25.0, 50.0, 30.0, 60.0] + tones * [15.0]), drift)
        self._now = self._drift.step()
        self._turns, self._mains = drift.random(2)

        self._flow = _Filter(signal.butter(1, (250, 2500), "bandpass", fs=rate, output="sos"))
        # Poles and zeros by turns, half a decade apart, fall by 10 dB a decade: pink.
        poles, zeros = -2 * np.pi * np.array([[20.0, 200.0, 2000.0], [63.0, 630.0, 6300.0]])
        self._room = _Filter(signal.zpk2sos(*signal.bilinear_zpk(zeros, poles, 1.0, rate)))
        peaks = [_peak(*r, rate) for r in machine.resonances if r[0] < TOP * rate]
        self._housing = _Filter(np.reshape(peaks, (-1, 6)))
        self._passing = _Passing(rate, passing)
        self._bearing, self._belt = _Bearing(machine, self._fault_rng), _Belt(machine, self._fault_rng)

    def read(self, n: int) -> NDArray[np.float32]:
        """The next n samples: (n,) float32 within [-1, 1]. Raises ValueError where n is negative."""
        sound, done = np.empty(n, np.float32), 0
        while done < n:
            if not len(self._rest):
                self._rest = self._block()
            taken, self._rest = self._rest[: n - done], self._rest[n - done :]
            sound[done : done + len(taken)] = taken
            done += len(taken)
        return sound

    def _wear(self) -> Floats:
        """How bad the fault is at each sample of this block: (n,), 0 to 1."""
        since = (self._blocks * self._n + np.arange(self._n)) / self.machine.sample_rate - self._onset_s
        grown = np.clip(since / self._ramp_s, 0, 1) if self._ramp_s else (since >= 0).astype(np.float64)
        return np.asarray(self._severity * grown)

    def _speed(self, drift: Floats) -> float:
        """Turns a second: an induction motor slips more under load."""
        return self.machine.shaft_hz * (1 + 0.013 * math.tanh(drift[0]) - 0.004 * math.tanh(drift[1]))

    def _sizes(self, drift: Floats) -> tuple[Phasors, Phasors]:
        """Amplitude and phase of each shaft harmonic, and of each mesh tone."""
        k, varied = len(self._shaft), self._lags * np.exp(0.09 * drift[4:])
        return self._shaft * varied[:k], self._mesh * varied[k:] * math.exp(0.09 * drift[1])

    def _block(self) -> NDArray[np.float32]:
        """One block. Where the wear is 0, a fault adds exactly 0 and multiplies by exactly 1."""
        machine, n, rate = self.machine, self._n, self.machine.sample_rate
        wear, ramp = self._wear(), np.arange(n) / n
        fault = self._fault if wear.any() else None
        old, new = self._now, self._drift.step()
        (shaft_old, mesh_old), (shaft_new, mesh_new) = self._sizes(old), self._sizes(new)
        flow_level, room_level = np.exp(0.08 * (old[2:4] + np.outer(ramp, new[2:4] - old[2:4]))).T
        mains = self._mains + machine.mains_hz * (self._blocks + ramp) * n / rate
        was, speed = self._speed(old), self._speed(new)
        turns = self._turns + n / rate * (was * ramp + 0.5 * (speed - was) * ramp**2)
        self._turns += n / rate * 0.5 * (was + speed)
        self._blocks, self._now = self._blocks + 1, new

        spin = _spun(turns)
        sway = spin.real
        torn = wear * np.exp(-((turns - TOOTH) % 1) / TOOTH_WIDTH) if fault == "gear" else np.zeros(n)
        mesh = _tones(_spun(machine.teeth * turns + 0.2 * torn), mesh_old, mesh_new, ramp)
        wheel = _spun(turns * machine.teeth / (machine.teeth + 22)).real  # the slower shaft of the gearbox
        mesh *= (1 + 0.25 * sway + 0.12 * (spin * spin).real + 0.1 * wheel) * (1 - 0.8 * torn)
        flow = FLOW * flow_level * self._flow(_hiss(self._flow_rng, n, rate))
        flow *= 1 + 0.3 * _spun(machine.blades * turns).real + 0.1 * sway
        source = _tones(spin, shaft_old, shaft_new, ramp) + mesh + flow
        if fault == "imbalance":
            gains = np.array(IMBALANCE_GAINS[: len(shaft_new)])
            more = gains * shaft_new[: len(gains)]
            # Everything bolted to the shaft shakes with it, and what is loose rattles.
            source += wear * (_tones(spin, more, more, ramp) + 0.6 * sway * source + 0.6 * flow)
        elif fault == "gear":
            source += TOOTH_KNOCK * torn * _hiss(self._fault_rng, n, rate)
        elif fault == "bearing":
            source += self._bearing.sound(turns, wear)
        elif fault == "belt":
            source += self._belt.sound(turns, wear)

        sound = self._housing(source) + _tones(_spun(mains), self._hum, self._hum, ramp)
        sound += ROOM * room_level * self._room(_hiss(self._room_rng, n, rate))
        if machine.passing_noises:
            sound += self._passing.sound(n)
        # A microphone saturates softly, and never clips.
        return np.tanh(sound).astype(np.float32)


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
    """The first `duration_s` seconds of a `MachineSound`: (round(duration_s * sample_rate),) float32.

    Within [-1, 1]. Raises ConfigError as `Machine` and `MachineSound` do.
    """
    machine = Machine(sample_rate=sample_rate, seed=seed)
    stream = MachineSound(machine, fault=fault, onset_s=onset_s, ramp_s=ramp_s, severity=severity)
    return stream.read(round(duration_s * sample_rate))


def _demand(what: str, low: float, value: float, high: float) -> None:
    if not (low <= value <= high and math.isfinite(value)):
        bounds = f"{low} to {high}" if math.isfinite(high) else f"{low} or more"
        raise ConfigError(f"The {what} of a synthetic machine is {bounds}, not {value}.")


def _peak(hz: float, q: float, decibels: float, rate: int) -> Floats:
    """The cookbook's peaking filter as one second-order section: (6,)."""
    w, a = 2 * math.pi * hz / rate, 10 ** (decibels / 40)
    up, down, middle = math.sin(w) / (2 * q) * a, math.sin(w) / (2 * q) / a, -2 * math.cos(w)
    return np.array([1 + up, middle, 1 - up, 1 + down, middle, 1 - down]) / (1 + down)


def _hiss(rng: np.random.Generator, n: int, rate: int) -> Floats:
    """White noise (n,) of the same power per hertz at every sample rate."""
    return math.sqrt(rate / REFERENCE_RATE) * rng.standard_normal(n)


def _spun(cycles: Floats) -> Phasors:
    return np.asarray(np.exp(2j * np.pi * cycles))


def _tones(spin: Phasors, old: Phasors, new: Phasors, ramp: Floats) -> Floats:
    """The real part of the sum over k of a_k spin^k, each a_k going linearly from old to new: (n,)."""
    # Horner's scheme: a matrix product would be no faster here, and would wake every core.
    value, change = np.zeros_like(spin), np.zeros_like(spin)
    for a, b in zip(old[::-1], new[::-1], strict=True):
        value += a
        value *= spin
        change += b - a
        change *= spin
    return np.asarray((value + ramp * change).real)
