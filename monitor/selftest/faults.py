"""Known faults: sounds of a stated level that are added to the normal sound of a machine.

The level of a sound that is added is its RMS in dB relative to the RMS of the machine's normal sound when its model was
made (`OwnSound.rms`). The level of a missing harmonic is by how many dB that tonal
line of the machine falls which stands out most from the sound beside it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
from scipy import signal

from monitor.core.types import DoubleArray
from monitor.selftest.own_sound import OwnSound

LEVELS_DB = tuple(float(level) for level in range(-30, 13, 3))
FALLS_DB = tuple(float(level) for level in range(3, 31, 3))
FADE_IN_S = 0.5  # a fault that set in within a sample would itself be a click
TOP = 0.4  # highest frequency of a fault as a share of the sample rate

IMPACTS_PER_S, IMPACT_JITTER = 87.0, 0.012  # a ball bearing with 3.6 impacts in a turn of a shaft at 24 Hz
RESONANCES = ((3400.0, 0.0016, 1.0), (4700.0, 0.0010, 0.7))  # Hz, decay in s, amplitude
SQUEAL_HZ, SQUEAL_SWING, SQUEAL_PER_S = 2250.0, 0.04, 3.1  # a belt: its pitch swings by 4 %, three times a second
SQUEAL_PARTIALS = (1.0, 0.45, 0.25)
ROTATION_HZ = 24.0  # where the machine has no tonal line that could be its rotation
HIGHEST_ROTATION_HZ = 200.0
ROTATION_PARTIALS = (1.0, 0.5, 0.25)
NOTCH = 0.02  # half the width of the notch as a share of its frequency
NARROWEST_HZ = 3.0  # half the width of the narrowest notch


class Fault(ABC):
    """A fault that can be added to sound at any of its levels; the same seed gives the same sound at all of them.

    Attributes:
        name: as it is stored and shown.
        levels_db: the levels at which it is tried, the weakest fault first.
    """

    name: str
    levels_db: tuple[float, ...] = LEVELS_DB

    @abstractmethod
    def sound(self, normal: DoubleArray, level_db: float, own: OwnSound, seed: tuple[int, ...]) -> DoubleArray:
        """What is added to normal sound while the machine has the fault.

        Args:
            normal: (n,) the normal sound, as the microphone delivers it.
            level_db: one of `levels_db`.
            own: what is known of the normal sound.
            seed: of the random numbers.

        Returns:
            samples (n,), with a fade-in.
        """

    def missing(self, own: OwnSound) -> str:  # noqa: ARG002 - for those that derive from it
        """Why this machine cannot have the fault; empty if it can."""
        return ""


class Added(Fault):
    """A fault with a sound of its own, which reaches the microphone as weakened as the machine's own sound."""

    def sound(self, normal: DoubleArray, level_db: float, own: OwnSound, seed: tuple[int, ...]) -> DoubleArray:
        raw = self.raw(len(normal), own, np.random.default_rng(seed))
        size = own.rms * 10 ** (level_db / 20) / max(math.sqrt(float(np.mean(raw**2))), 1e-12)
        return _faded(own.weakened(size * raw), own.sample_rate)

    @abstractmethod
    def raw(self, count: int, own: OwnSound, rng: np.random.Generator) -> DoubleArray:
        """The sound (count,) at any level."""


class Clicks(Added):
    """Impacts of a worn bearing: at nearly equal intervals, each a decaying oscillation of the housing."""

    name = "clicks"

    def raw(self, count: int, own: OwnSound, rng: np.random.Generator) -> DoubleArray:
        """Intervals that vary by about 1 %, and impacts of varying strength (Antoni and Randall 2003)."""
        rate = own.sample_rate
        most = math.ceil(1.2 * count / rate * IMPACTS_PER_S) + 8
        at = np.cumsum(rng.normal(1, IMPACT_JITTER, most)) * rate / IMPACTS_PER_S
        sizes = np.exp(0.25 * rng.standard_normal(most))
        heard = at < count
        blows = np.zeros(count)
        blows[at[heard].astype(int)] = sizes[heard]
        time = np.arange(round(0.02 * rate)) / rate
        ring = np.zeros(len(time))
        for hz, decay_s, size in RESONANCES:
            # The velocity of the housing, which radiates the sound: it has no constant part, and little below.
            angle = 2 * np.pi * min(hz, TOP * rate)
            swing = np.cos(angle * time) - np.sin(angle * time) / (decay_s * angle)
            ring += size * np.exp(-time / decay_s) * swing
        return np.asarray(signal.oaconvolve(blows, ring)[:count])


class Squeal(Added):
    """A belt that slips: a tone with partials, whose pitch and strength swing."""

    name = "squeal"

    def raw(self, count: int, own: OwnSound, rng: np.random.Generator) -> DoubleArray:
        """Partials above `TOP` of the sample rate are left out."""
        rate = own.sample_rate
        hz = min(SQUEAL_HZ, 0.9 * TOP * rate)
        swing = np.sin(2 * np.pi * (SQUEAL_PER_S * np.arange(count) / rate + rng.random()))
        phase = 2 * np.pi * np.cumsum(hz * (1 + SQUEAL_SWING * swing)) / rate
        partials = [(k, size) for k, size in enumerate(SQUEAL_PARTIALS, 1) if k * hz < TOP * rate]
        return np.asarray((1 + 0.3 * swing) * sum(size * np.sin(k * phase) for k, size in partials))


class Imbalance(Added):
    """A rotor out of balance: the lowest tonal line of the machine rises, with two of its harmonics."""

    name = "imbalance"

    def raw(self, count: int, own: OwnSound, rng: np.random.Generator) -> DoubleArray:
        """Tones at the rotation: the machine's lowest tonal line up to 200 Hz, else 24 Hz or what is heard above."""
        low = [hz for hz in own.lines_hz if hz <= HIGHEST_ROTATION_HZ]
        hz = min(low) if low else max(ROTATION_HZ, 1.5 * own.lowest_hz)
        phase = 2 * np.pi * (hz * np.arange(count) / own.sample_rate + rng.random())
        return np.asarray(sum(size * np.sin(k * phase) for k, size in enumerate(ROTATION_PARTIALS, 1)))


class MissingHarmonic(Fault):
    """Something does not turn or mesh any more: the most prominent tonal line of the machine falls."""

    name = "missing harmonic"
    levels_db = FALLS_DB

    def missing(self, own: OwnSound) -> str:
        """There has to be a tonal line."""
        return "" if own.lines_hz else "the machine has no tonal line"

    def sound(self, normal: DoubleArray, level_db: float, own: OwnSound, seed: tuple[int, ...]) -> DoubleArray:  # noqa: ARG002
        """The line, with opposite sign, as far as it falls. It is heard as weakened as the microphone hears it."""
        hz, half = own.lines_hz[0], max(NARROWEST_HZ, NOTCH * own.lines_hz[0])
        edges = (max(hz - half, 0.5 * hz), min(hz + half, 0.49 * own.sample_rate))
        band = signal.butter(2, edges, "bandpass", fs=own.sample_rate, output="sos")
        line = signal.sosfiltfilt(band, normal)
        return _faded((10 ** (-level_db / 20) - 1) * line, own.sample_rate)


FAULTS: tuple[Fault, ...] = (Clicks(), Squeal(), Imbalance(), MissingHarmonic())


def _faded(sound: DoubleArray, sample_rate: int) -> DoubleArray:
    """The sound with a fade-in."""
    count = min(len(sound), round(FADE_IN_S * sample_rate))
    faded = sound.copy()
    faded[:count] *= np.sin(0.5 * np.pi * np.arange(count) / max(count, 1)) ** 2
    return faded
