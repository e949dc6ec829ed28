"""Components of the sound of the synthetic machine: filters, slow drifts, noise, tones, and passing noises."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from monitor.core.types import DoubleArray

Phasors = NDArray[np.complex128]

BLOCK_S = 0.25  # short enough for an intermittent squeal, long enough for numpy to be fast
REFERENCE_RATE = 16000  # sample rate in Hz at which the levels were set
TOP = 0.45  # highest frequency of tones and resonances, as a share of the sample rate
PASSING_PER_HOUR = 6.0
PASSING = (  # low, high edge in Hz, shortest, longest in s, share of the time before the peak, flutter in Hz
    (120.0, 900.0, 4.0, 10.0, 0.5, 9.0),  # a cart
    (250.0, 1800.0, 2.0, 5.0, 0.4, 4.0),  # a voice
    (60.0, 350.0, 0.75, 1.5, 0.15, 0.0),  # a door
)


class Filter:
    """A filter of second-order sections that keeps its state from call to call."""

    def __init__(self, sections: DoubleArray) -> None:
        self._sections, self._state = sections, np.zeros((len(sections), 2))

    def __call__(self, x: DoubleArray) -> DoubleArray:
        y, self._state = signal.sosfilt(self._sections, x, zi=self._state)
        return np.asarray(y)


class Drift:
    """Smooth random processes of unit variance with one value for each block: AR(1), smoothed with the same pole.

    If x is the AR(1) process and a its pole, the smoothed process has variance (1 + a²)/(1 + a)² and covariance
    1/(1 + a) with x. The initial values are drawn from this distribution, so that the processes are stationary from
    the start.

    Args:
        seconds: (m,) time constants of the processes.
        rng: draws the values.
    """

    def __init__(self, seconds: DoubleArray, rng: np.random.Generator) -> None:
        self._rng, self._pole = rng, np.exp(-BLOCK_S / seconds)
        self._inner = rng.standard_normal(len(seconds))
        self._outer = (self._inner + self._pole * rng.standard_normal(len(seconds))) / (1 + self._pole)

    def step(self) -> DoubleArray:
        """The values (m,) of the next block."""
        pole = self._pole
        self._inner = pole * self._inner + np.sqrt(1 - pole**2) * self._rng.standard_normal(len(pole))
        self._outer = pole * self._outer + (1 - pole) * self._inner
        return np.asarray(self._outer * (1 + pole) / np.sqrt(1 + pole**2))


class Passing:
    """Passing noises: a cart, a voice or a door in the distance. Each begins at the start of a block, from silence."""

    def __init__(self, rate: int, rng: np.random.Generator) -> None:
        self._rate, self._rng, self._kind = rate, rng, PASSING[0]
        self._age = self._length = 0

    def sound(self, n: int) -> DoubleArray | float:
        """The next block (n,); 0.0 if nothing passes."""
        rng = self._rng
        if self._age == self._length:
            if rng.random() >= PASSING_PER_HOUR * BLOCK_S / 3600:
                return 0.0
            self._kind = PASSING[int(rng.integers(len(PASSING)))]
            low, high, shortest, longest, _, _ = self._kind
            self._age, self._length = 0, round(rng.uniform(shortest, longest) / BLOCK_S)
            self._level = 0.04 * 2 ** rng.uniform(-1, 1)
            self._band = Filter(signal.butter(2, (low, high), "bandpass", fs=self._rate, output="sos"))
        *_, peak, flutter = self._kind
        age = self._age + np.arange(n) / n
        self._age += 1
        swell = np.sin(np.pi * (age / self._length) ** (math.log(0.5) / math.log(peak))) ** 2
        swell *= self._level * (1 + 0.5 * np.cos(2 * np.pi * flutter * BLOCK_S * age))
        return swell * self._band(hiss(rng, n, self._rate))


def peak(hz: float, q: float, decibels: float, rate: int) -> DoubleArray:
    """The coefficients (6,) of one second-order section: the peaking filter of the "Audio EQ Cookbook"."""
    w, a = 2 * math.pi * hz / rate, 10 ** (decibels / 40)
    up, down, middle = math.sin(w) / (2 * q) * a, math.sin(w) / (2 * q) / a, -2 * math.cos(w)
    return np.array([1 + up, middle, 1 - up, 1 + down, middle, 1 - down]) / (1 + down)


def decay(seconds: float, rate: int) -> DoubleArray:
    """The section (1, 6) of a filter that makes of an impact of 1 a decay from 1 to 1/e in this time."""
    return np.array([[1, 0, 0, 1, -math.exp(-1 / (seconds * rate)), 0]])


def hiss(rng: np.random.Generator, n: int, rate: int) -> DoubleArray:
    """White noise (n,) with the same power spectral density at every sample rate."""
    return math.sqrt(rate / REFERENCE_RATE) * rng.standard_normal(n)


def spun(cycles: DoubleArray) -> Phasors:
    """Unit phasors (n,) with the given phases in cycles (n,)."""
    return np.asarray(np.exp(2j * np.pi * cycles))


def tones(spin: Phasors, old: Phasors, new: Phasors, ramp: DoubleArray) -> DoubleArray:
    """Harmonics of a fundamental: the real part of the sum over k ≥ 1 of a_k·spin^k.

    Args:
        spin: (n,) unit phasors of the fundamental.
        old: (m,) amplitudes a_k at the start of the block.
        new: (m,) amplitudes at its end; they change linearly.
        ramp: (n,) from 0 to 1.

    Returns:
        samples (n,).
    """
    # Horner's scheme: a matrix product would not be faster, and would occupy all processor cores.
    value, change = np.zeros_like(spin), np.zeros_like(spin)
    for a, b in zip(old[::-1], new[::-1], strict=True):
        value += a
        value *= spin
        change += b - a
        change *= spin
    return np.asarray((value + ramp * change).real)
