"""The sounds of a worn bearing and of a slipping belt, which are added to the sound of the synthetic machine.

Bearing impacts with random gaps: Antoni and Randall 2003 (J. Vib. Acoust. 125, 282).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from monitor.core.types import DoubleArray
from train.demo.filters import TOP, Filter, spun, tones

if TYPE_CHECKING:
    from train.demo.machine import Machine

BEARING_RINGS = ((3400.0, 0.0016, 0.09), (4700.0, 0.0010, 0.07))  # Hz, decay in s, amplitude
BELT_HZ, BELT_PARTIALS = 2250.0, (0.05, 0.022, 0.012)
BELT_TURNS = 0.31  # turns of the belt in one turn of the shaft


class Bearing:
    """Impacts at the ball-pass frequency, with intervals that vary by 1.2 %, which excite resonances at 3 to 5 kHz."""

    def __init__(self, machine: Machine, rng: np.random.Generator) -> None:
        self._machine, self._rng, self._next = machine, rng, 0.0
        self._rings = []
        warmth = machine.day.resonance if machine.day else 1.0
        for cold_hz, decay, size in BEARING_RINGS:
            hz = warmth * cold_hz
            if hz < TOP * machine.sample_rate:
                r, w = math.exp(-1 / (decay * machine.sample_rate)), 2 * math.pi * hz / machine.sample_rate
                ring = [[size * math.sin(w), 0, 0, 1, -2 * r * math.cos(w), r * r]]
                self._rings.append(Filter(np.array(ring)))

    def sound(self, turns: DoubleArray, wear: DoubleArray) -> DoubleArray:
        most = math.ceil(2 * self._machine.ball_pass * (turns[-1] - turns[0])) + 4
        gaps = self._rng.normal(1, 0.012, most) / self._machine.ball_pass
        sizes = np.exp(0.25 * self._rng.standard_normal(most + 1))
        hits = max(self._next, turns[0]) + np.concatenate(([0.0], np.cumsum(gaps)))
        heard = int(np.searchsorted(hits, turns[-1], side="right"))
        self._next = hits[heard]
        # Impacts are stronger in the load zone of the shaft: amplitude modulation once a turn.
        sizes *= 1 + 0.3 * spun(hits).real
        blows = np.zeros(len(turns))
        blows[np.searchsorted(turns, hits[:heard])] = sizes[:heard]
        return np.asarray(sum(ring(wear * blows) for ring in self._rings))


class Belt:
    """An intermittent squeal with a varying pitch, which is more frequent the worse the belt is."""

    def __init__(self, machine: Machine, rng: np.random.Generator) -> None:
        self._rate, self._rng = machine.sample_rate, rng
        self._slips, self._pitch, self._phase = 0.0, 0.0, 0.0

    def sound(self, turns: DoubleArray, wear: DoubleArray) -> DoubleArray:
        slipped, pitch = self._slips, self._pitch
        self._slips = float(self._rng.random() < (0.75 if slipped else 0.15 + 0.35 * wear[-1]))
        self._pitch = 0.8 * pitch + 0.6 * self._rng.standard_normal()
        ramp = np.arange(len(turns)) / len(turns)
        slip = slipped + (self._slips - slipped) * ramp**2 * (3 - 2 * ramp)
        belt = spun(BELT_TURNS * turns).real
        wobble = 0.08 * np.tanh((pitch + (self._pitch - pitch) * ramp) / 2) + 0.004 * belt + 0.03 * (slip - 1)
        phase = self._phase + np.cumsum(BELT_HZ * (1 + wobble)) / self._rate
        self._phase = phase[-1] % 1
        partials = BELT_PARTIALS[: int(0.5 * self._rate / (1.1 * BELT_HZ))]
        sizes = -1j * np.array(partials)
        return wear * slip * (0.75 + 0.25 * belt) * tones(spun(phase), sizes, sizes, ramp)
