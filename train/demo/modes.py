"""Operating modes of the simulated motor: two speeds, or idle and load, between which it switches at random times.

A fan's sound grows with the fifth power of its speed, about 50 log10 of the ratio in dB (L. L. Beranek, "Noise and
Vibration Control", 1971). The other levels are chosen, not measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from monitor.core.types import DoubleArray
from train.demo.filters import BLOCK_S

SHORTEST_S, LONGEST_S = 15.0, 60.0  # time from one change of mode to the next
RUN_UP_S = (1.0, 2.0)  # shortest and longest time that a change takes


@dataclass(frozen=True)
class Mode:
    """An operating mode, relative to what the machine is without modes.

    Args:
        name: for names of files and messages.
        speed: factor of the speed of the shaft.
        shaft_db: gain of the tones of the shaft.
        mesh_db: gain of the tones of the gear mesh.
        flow_db: gain of the flow noise.
    """

    name: str
    speed: float = 1.0
    shaft_db: float = 0.0
    mesh_db: float = 0.0
    flow_db: float = 0.0

    def factors(self) -> DoubleArray:
        """Returns the factors (4,) of speed, shaft tones, mesh tones and flow noise."""
        return np.array([self.speed, *(10 ** (db / 20) for db in (self.shaft_db, self.mesh_db, self.flow_db))])


SLOW, FAST = Mode("slow"), Mode("fast", 31 / 24, shaft_db=2.0, mesh_db=1.5, flow_db=5.5)
UNKNOWN = Mode("unknown", 27.5 / 24, shaft_db=1.0, mesh_db=0.8, flow_db=2.9)  # for tests: a speed never trained
IDLE, LOAD = Mode("idle", 1.012, shaft_db=-2.0, mesh_db=-8.0, flow_db=-7.0), Mode("load")
TWO_SPEEDS, IDLE_AND_LOAD = (SLOW, FAST), (IDLE, LOAD)


@dataclass(frozen=True)
class Change:
    """A change of mode: when it begins, how long it takes, in seconds, and the mode that it leads to."""

    start_s: float
    run_up_s: float
    mode: Mode


def mode_changes(modes: tuple[Mode, ...], seed: int | np.random.SeedSequence) -> Iterator[Change]:
    """Yields the mode at the start as a change at 0 s that takes no time, then the changes without end.

    A recording begins at any moment of a mode, so that the first change may come soon. Only one mode is never left.
    All times are multiples of BLOCK_S.

    Args:
        modes: at least one.
        seed: of the times and modes.
    """
    rng = np.random.default_rng(seed)
    at, now = 0.0, int(rng.integers(len(modes)))
    to_come = rng.random()  # share of the first mode's time
    yield Change(0.0, 0.0, modes[now])
    while len(modes) > 1:
        at += BLOCK_S * math.ceil(to_come * rng.uniform(SHORTEST_S, LONGEST_S) / BLOCK_S)
        to_come = 1.0
        now = (now + int(rng.integers(1, len(modes)))) % len(modes)
        yield Change(at, BLOCK_S * round(rng.uniform(*RUN_UP_S) / BLOCK_S), modes[now])


class Operation:
    """The course of the modes in time: the factors of `Mode`, which change smoothly from those of a mode to the next.

    Args:
        changes: of `mode_changes`.
    """

    def __init__(self, changes: Iterator[Change]) -> None:
        self._changes = changes
        self._change = next(changes)
        self._from = self._change.mode.factors()
        self._next = next(changes, None)

    def at(self, seconds: float) -> DoubleArray:
        """Returns the factors (4,) at a time, which is not before that of the call before."""
        if self._next is not None and seconds > self._next.start_s:
            self._from = self._change.mode.factors()
            self._change, self._next = self._next, next(self._changes, None)
        since, to = seconds - self._change.start_s, self._change.mode.factors()
        share = min(1.0, since / self._change.run_up_s) if self._change.run_up_s else 1.0
        return np.asarray(self._from + share**2 * (3 - 2 * share) * (to - self._from))
