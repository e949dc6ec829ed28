"""Detects by the sound level whether a machine is running."""

from __future__ import annotations

import math

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config import schema
from monitor.core.types import BoolArray, DoubleArray

MARGIN_DB = 12.0  # below the quietest normal sound: no relevant fault makes a machine so much quieter
HYSTERESIS_DB = 3.0
AVERAGED_S = 0.5  # length of the blocks whose mean level is compared
OFF_BLOCKS = 2  # consecutive blocks below the level after which the machine is off
QUIET_S = 0.1  # the machine is quiet after frames below the level for so long


def off_level(bundle: Bundle, settings: schema.Alarm) -> float:
    """The level in dBFS below which the machine is off; minus infinity if it never counts as off."""
    if settings.off_below_dbfs == "never":
        return -math.inf
    return bundle.normal_dbfs - MARGIN_DB if settings.off_below_dbfs == "auto" else settings.off_below_dbfs


class OnOff:
    """Decides for each frame whether the machine is off, and whether it is quiet.

    It is off after OFF_BLOCKS blocks of AVERAGED_S below the level, and on again after one block that is HYSTERESIS_DB
    above it. It is quiet after QUIET_S of frames below the level: it may have just been switched off.

    Args:
        off_below_dbfs: the level.
        hop_s: seconds from one frame to the next.
    """

    def __init__(self, off_below_dbfs: float, hop_s: float) -> None:
        self._use(off_below_dbfs)
        self._block, self._short = max(1, round(AVERAGED_S / hop_s)), max(1, round(QUIET_S / hop_s))
        self.reset()

    def change(self, off_below_dbfs: float) -> None:
        """Goes on with another level."""
        self._use(off_below_dbfs)
        if self._never:
            self.reset()

    def _use(self, off_below_dbfs: float) -> None:
        self._never, self._limit = off_below_dbfs == -math.inf, 10 ** (off_below_dbfs / 10)

    def reset(self) -> None:
        """Forgets all frames: the machine counts as running until it is found to be off."""
        self.off = False
        self._sum, self._count, self._below = 0.0, 0, 0
        self._tail = np.full(self._short - 1, np.inf)  # mean squares of the last frames

    def push(self, mean_square: DoubleArray) -> tuple[BoolArray, BoolArray]:
        """Processes the mean squares (t,) of the next frames.

        Returns:
            whether the machine is off at each frame (t,), and whether it is quiet (t,).
        """
        if self._never or not len(mean_square):
            none = np.zeros(len(mean_square), bool)
            return none, none
        joined = np.concatenate((self._tail, mean_square))
        self._tail = joined[len(joined) - (self._short - 1) :]
        quiet = np.zeros(len(mean_square), bool)
        if mean_square.min() < self._limit:
            quiet = np.lib.stride_tricks.sliding_window_view(joined, self._short).max(axis=1) < self._limit
        return self._blocks(mean_square), quiet

    def _blocks(self, mean_square: DoubleArray) -> BoolArray:
        off = np.empty(len(mean_square), bool)
        done = 0
        while done < len(mean_square):
            count = min(self._block - self._count, len(mean_square) - done)
            self._sum += float(mean_square[done : done + count].sum())
            self._count += count
            off[done : done + count] = self.off
            done += count
            if self._count == self._block:
                self._decide(self._sum / self._block)
                self._sum, self._count = 0.0, 0
                off[done - 1] = self.off
        return off

    def _decide(self, mean_square: float) -> None:
        self._below = self._below + 1 if mean_square < self._limit else 0
        if self.off and mean_square >= self._limit * 10 ** (HYSTERESIS_DB / 10):
            self.off = False
        elif self._below >= OFF_BLOCKS:
            self.off = True


class FrameFlags:
    """A queue of the flags of frames, until their rows are scored: the row of a frame is complete some frames later."""

    def __init__(self) -> None:
        self._waiting = np.zeros((2, 0), bool)

    def push(self, off: BoolArray, quiet: BoolArray) -> None:
        """Adds the flags of the next frames: (t,) each."""
        self._waiting = np.concatenate((self._waiting, np.stack((off, quiet))), axis=1)

    def take(self, rows: int) -> tuple[BoolArray, BoolArray]:
        """Removes the flags of the next rows, and returns them: (rows,) each."""
        taken, self._waiting = self._waiting[:, :rows], self._waiting[:, rows:]
        return taken[0], taken[1]
