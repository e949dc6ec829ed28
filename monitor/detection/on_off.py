"""Whether a machine runs at all, by the level of its sound."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from monitor.config import schema as config
from monitor.bundle.bundle import Bundle

MARGIN_DB = 12.0  # below the quietest normal sound: no fault that matters makes a machine so much quieter
HYSTERESIS_DB = 3.0
AVERAGED_S = 0.5
OFF_BLOCKS = 2  # in a row below, so a second of it
HUSHED_S = 0.1

Flags = NDArray[np.bool_]


def off_level(bundle: Bundle, settings: config.Alarm) -> float:
    """Below which level in dBFS the machine is off; minus infinity for never."""
    if settings.off_below_dbfs == "never":
        return -math.inf
    return bundle.normal_dbfs - MARGIN_DB if settings.off_below_dbfs == "auto" else settings.off_below_dbfs


class Switch:
    """Tells for each frame whether the machine is off: by the mean square of half a second of sound.

    And whether it is hushed, which is as quiet for a tenth of a second: it may be about to be off.
    """

    def __init__(self, off_below_dbfs: float, hop_s: float) -> None:
        self._never, self._limit = off_below_dbfs == -math.inf, 10 ** (off_below_dbfs / 10)
        self._block, self._short = max(1, round(AVERAGED_S / hop_s)), max(1, round(HUSHED_S / hop_s))
        self.reset()

    def reset(self) -> None:
        """Forgets what was heard: the machine counts as running until it is known to be off."""
        self.off = False
        self._sum, self._count, self._below = 0.0, 0, 0
        self._tail = np.full(self._short - 1, np.inf)  # the powers before the next one

    def push(self, power: NDArray[np.float64]) -> tuple[Flags, Flags]:
        """Takes the mean squares of frames (t,); whether it is off, and whether it is hushed, at each: (t,), (t,)."""
        if self._never or not len(power):
            none = np.zeros(len(power), bool)
            return none, none
        joined = np.concatenate((self._tail, power))
        self._tail = joined[len(joined) - (self._short - 1) :]
        hushed = np.zeros(len(power), bool)
        if power.min() < self._limit:
            hushed = np.lib.stride_tricks.sliding_window_view(joined, self._short).max(axis=1) < self._limit
        return self._blocks(power), hushed

    def _blocks(self, power: NDArray[np.float64]) -> Flags:
        off = np.empty(len(power), bool)
        done = 0
        while done < len(power):
            count = min(self._block - self._count, len(power) - done)
            self._sum += float(power[done : done + count].sum())
            self._count += count
            off[done : done + count] = self.off
            done += count
            if self._count == self._block:
                self._judge(self._sum / self._block)
                self._sum, self._count = 0.0, 0
                off[done - 1] = self.off
        return off

    def _judge(self, power: float) -> None:
        self._below = self._below + 1 if power < self._limit else 0
        if self.off and power >= self._limit * 10 ** (HYSTERESIS_DB / 10):
            self.off = False
        elif self._below >= OFF_BLOCKS:
            self.off = True


class Flagged:
    """Flags of frames on their way to the rows that are scored of them: the row of a frame comes some frames later."""

    def __init__(self) -> None:
        self._waiting = np.zeros((2, 0), bool)

    def add(self, off: Flags, hushed: Flags) -> None:
        """Those of the next frames, (t,) each."""
        self._waiting = np.concatenate((self._waiting, np.stack((off, hushed))), axis=1)

    def take(self, rows: int) -> tuple[Flags, Flags]:
        """Those of the next rows, (rows,) each."""
        taken, self._waiting = self._waiting[:, :rows], self._waiting[:, rows:]
        return taken[0], taken[1]
