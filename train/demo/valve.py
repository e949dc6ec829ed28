"""The sound of a simulated solenoid valve that is switched about once a second, among other machines.

The armature strikes its stop as the valve opens, and its seat as it closes: two clicks that differ, each an impact and
a short rattle that excite resonances, as the impacts of a bearing do (Antoni and Randall 2003, J. Vib. Acoust. 125,
282). After the opening air hisses. The other machines are louder than the valve on average, and vary by some dB, so
that an average spectrum says little about the clicks. All levels and times are chosen, not measured on a valve.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import signal

from monitor.core.types import DoubleArray
from train.demo.days import Day
from train.demo.filters import REFERENCE_RATE, TOP, Drift, Filter, Passing, decay, hiss
from train.demo.stream import HIGHEST_RATE, LOWEST_RATE, SoundStream, demand

FAULTS: tuple[str, ...] = ("weak", "late", "double")

INTERVAL_S, OPEN_S, JITTER = 1.1, 0.5, 0.03  # between openings; from opening to closing; relative deviation of both
OPENING, CLOSING = 0, 1
RINGS = (  # frequency in Hz, decay in s, amplitude of each resonance; of the opening, of the closing
    ((2300.0, 0.010, 0.100), (3600.0, 0.008, 0.075), (4700.0, 0.006, 0.050)),
    ((850.0, 0.014, 0.115), (1500.0, 0.012, 0.090), (2700.0, 0.008, 0.037)),
)
RATTLE_S, RATTLE = 0.006, 0.03  # decay of the rattle, and its amplitude as a multiple of that of the impact
AIR_HZ, AIR_S, AIR = (3000.0, 6500.0), 0.08, 0.014  # band, decay, amplitude
CLICK_DB = 1.0  # standard deviation of the strength from click to click
SUPPLY_DB, SUPPLY_S = 1.0, 60.0  # standard deviation of the strength as the supply varies, and its time constant

# The other machines: a noise in each band between these frequencies, which varies by itself.
BAND_EDGES_HZ = (60.0, 120.0, 240.0, 420.0, 700.0, 1050.0, 1500.0, 2100.0, 2900.0, 3900.0, 5300.0, 7100.0)
PLANT, PLANT_SLOPE_DB = 0.010, 3.0  # amplitude of the band around 1 kHz, and its fall in dB an octave
PLANT_DB, PLANT_S = 1.2, 60.0  # standard deviation, and time constant

LATE_S, MISSING = (0.15, 0.4), 0.25  # delay of a late click; share of the late ones that are missing instead
LATE_EVERY = (2, 5)  # a late click is, at least and at most, this many clicks after the last one
WEAK_DB = (6.0, 10.0)  # how much weaker a weak click is
BOUNCE_S, BOUNCE_DB = (0.04, 0.09), (4.0, 8.0)  # delay of the second click, and how much weaker it is


@dataclass(frozen=True)
class Valve:
    """The parameters of a valve, and the seed of a recording of it.

    `seed` determines the intervals, strengths and noises.

    Args:
        sample_rate: in Hz, 8000 to 48000.
        seed: of the recording.
        passing_noises: whether a cart, a voice or a door is audible about six times an hour.
        day: what is different on this day; None: nothing.

    Raises:
        ConfigError: if the sample rate or the seed is out of range.
    """

    sample_rate: int = REFERENCE_RATE
    seed: int = 0
    passing_noises: bool = True
    day: Day | None = None

    def __post_init__(self) -> None:
        demand("sample rate in Hz", LOWEST_RATE, self.sample_rate, HIGHEST_RATE)
        demand("seed", 0, self.seed, math.inf)


class ClickSound:
    """The clicks of one kind: rings excited by impacts, each followed by a rattle that is never the same twice."""

    def __init__(self, kind: int, rate: int, resonance: float) -> None:
        self._rattle = Filter(decay(RATTLE_S, rate))
        self._noise = RATTLE * REFERENCE_RATE / rate  # noise has a bandwidth that grows with the sample rate
        self._rings = []
        for hz, seconds, size in RINGS[kind]:
            if hz < TOP * rate:
                r, w = math.exp(-1 / (seconds * rate)), 2 * math.pi * hz * resonance / rate
                self._rings.append(Filter(np.array([[size * math.sin(w), 0, 0, 1, -2 * r * math.cos(w), r * r]])))

    def sound(self, impacts: DoubleArray, noise: DoubleArray) -> DoubleArray:
        """The sound (n,) of impacts (n,), which are 0 where there is none, with white noise (n,) for the rattle."""
        blow = impacts + self._noise * noise * self._rattle(impacts)
        return np.asarray(sum(ring(blow) for ring in self._rings))


class Plant:
    """The noise of other machines: one in each band, whose level varies by itself over tens of seconds."""

    def __init__(self, rate: int, rng: np.random.Generator) -> None:
        self._rate, self._rng, self._bands, self._sizes = rate, rng, [], []
        for low, high in itertools.pairwise(BAND_EDGES_HZ):
            if high < TOP * rate:
                self._bands.append(Filter(signal.butter(2, (low, high), "bandpass", fs=rate, output="sos")))
                octaves = math.log2(math.sqrt(low * high) / 1000)
                self._sizes.append(PLANT * 10 ** (-PLANT_SLOPE_DB * octaves / 20))
        self._drift = Drift(np.full(len(self._bands), PLANT_S), rng)
        self._now = self._drift.step()

    def sound(self, ramp: DoubleArray) -> DoubleArray:
        """The next samples (n,), where `ramp` (n,) goes from 0 to 1."""
        old, self._now = self._now, self._drift.step()
        total = np.zeros(len(ramp))
        for band, size, a, b in zip(self._bands, self._sizes, old, self._now, strict=True):
            total += size * 10 ** (PLANT_DB / 20 * (a + (b - a) * ramp)) * band(hiss(self._rng, len(ramp), self._rate))
        return total


class Click(NamedTuple):
    """A click that is to come: its time in seconds, its kind, and the strength of its impact; 1 is ordinary."""

    at_s: float
    kind: int
    strength: float


class ValveSound(SoundStream):
    """The sound of a valve as a stream: `SoundStream` has its properties and arguments.

    weak: the opening, the closing or both are weaker. late: every second to fifth click comes late, by more the more
    severe the fault is; a quarter of these are missing instead, or weaker if the fault is less severe. double: the
    armature bounces when it opens, closes or both, so that a second click follows.

    Args:
        valve: the valve.

    Raises:
        ConfigError: as `SoundStream`.
    """

    FAULTS = FAULTS

    def __init__(
        self,
        valve: Valve,
        *,
        fault: str | None = None,
        onset_s: float = 0.0,
        ramp_s: float = 0.0,
        severity: float = 1.0,
    ) -> None:
        rate, day = valve.sample_rate, valve.day or Day()
        super().__init__(rate, valve.day, fault=fault, onset_s=onset_s, ramp_s=ramp_s, severity=severity)
        self.valve = valve
        # A random generator for each component, so that a fault does not change the random numbers of the others.
        self._switch_rng, self._noise_rng, plant, passing, self._fault_rng = (
            np.random.default_rng(s) for s in np.random.SeedSequence(valve.seed).spawn(5)
        )
        self._plant_level = 10 ** (day.room_db / 20)
        self._plant, self._passing = Plant(rate, plant), Passing(rate, passing)
        self._clicks = [ClickSound(kind, rate, day.resonance) for kind in (OPENING, CLOSING)]
        low, high = AIR_HZ
        self._air_band = Filter(signal.butter(2, (low, min(high, TOP * rate)), "bandpass", fs=rate, output="sos"))
        self._air_level = Filter(decay(AIR_S, rate))
        self._supply = Drift(np.array([SUPPLY_S]), self._switch_rng)
        self._opens_s = INTERVAL_S * self._switch_rng.random()
        self._to_come: list[Click] = []
        self._affected = ((OPENING,), (CLOSING,), (OPENING, CLOSING))[int(self._fault_rng.integers(3))]
        self._weak_db = self._fault_rng.uniform(*WEAK_DB)
        self._until_late = int(self._fault_rng.integers(*LATE_EVERY, endpoint=True))

    def _schedule(self, end_s: float) -> None:
        """Adds the clicks of all cycles that begin before a time to those that are to come."""
        rng, supply_db = self._switch_rng, SUPPLY_DB * float(self._supply.step()[0])
        while self._opens_s < end_s:
            closes_s = self._opens_s + OPEN_S * (1 + JITTER * rng.standard_normal())
            for kind, at_s in ((OPENING, self._opens_s), (CLOSING, closes_s)):
                strength = 10 ** ((supply_db + CLICK_DB * rng.standard_normal()) / 20)
                self._to_come += self._by_fault(Click(at_s, kind, strength))
            self._opens_s += INTERVAL_S * (1 + JITTER * rng.standard_normal())

    def _by_fault(self, click: Click) -> list[Click]:
        """What the fault makes of a click: one or two others; the same one before its onset."""
        wear, rng = float(self._wear(np.array(click.at_s))), self._fault_rng
        if not wear:
            return [click]
        if self._fault == "late":
            self._until_late -= 1
            if self._until_late == 0:
                self._until_late = int(rng.integers(*LATE_EVERY, endpoint=True))
                if rng.random() < MISSING:
                    return [click._replace(strength=(1 - wear) * click.strength)]
                return [click._replace(at_s=click.at_s + wear * rng.uniform(*LATE_S))]
        if self._fault == "weak" and click.kind in self._affected:
            return [click._replace(strength=10 ** (-wear * self._weak_db / 20) * click.strength)]
        if self._fault == "double" and click.kind in self._affected:
            second = wear * 10 ** (-rng.uniform(*BOUNCE_DB) / 20) * click.strength
            return [click, Click(click.at_s + rng.uniform(*BOUNCE_S), click.kind, second)]
        return [click]

    def _block(self) -> DoubleArray:
        n, rate, first = self._n, self._rate, self._blocks * self._n
        self._schedule((first + n) / rate)
        impacts = np.zeros((2, n))
        waiting, self._to_come = self._to_come, []
        for click in waiting:
            place = math.ceil(click.at_s * rate) - first
            if place < n:
                impacts[click.kind, place] += click.strength
            else:
                self._to_come.append(click)
        noise = hiss(self._noise_rng, n, rate)
        sound = AIR * self._air_level(impacts[OPENING]) * self._air_band(noise)
        for clicks, struck in zip(self._clicks, impacts, strict=True):
            sound += clicks.sound(struck, noise)
        sound += self._plant_level * self._plant.sound(np.arange(n) / n)
        if self.valve.passing_noises:
            sound += self._passing.sound(n)
        return sound
