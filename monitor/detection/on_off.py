"""Detects by the sound level whether a machine is running."""

from __future__ import annotations

import math
from dataclasses import dataclass

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


def block_frames(hop_s: float) -> int:
    """The number of frames in a block whose mean level is compared."""
    return max(1, round(AVERAGED_S / hop_s))


def quiet_frames(hop_s: float) -> int:
    """The number of frames below the level after which a machine is quiet."""
    return max(1, round(QUIET_S / hop_s))


@dataclass(slots=True)
class OnOffRecord:
    """The state of `OnOff`, except for the levels of the last frames."""

    limit: float  # mean square below which the machine is off; 0 if it never is
    off: bool = False
    sum: float = 0.0  # of the mean squares of the frames of the present block
    count: int = 0  # number of these frames
    below: int = 0  # number of consecutive blocks below the limit


class OnOff:
    """Decides for each frame whether the machine is off, and whether it is quiet.

    It is off after OFF_BLOCKS blocks of AVERAGED_S below the level, and on again after one block that is HYSTERESIS_DB
    above it. It is quiet after QUIET_S of frames below the level: it may have just been switched off.

    Args:
        off_below_dbfs: the level.
        hop_s: seconds from one frame to the next.
    """

    record: OnOffRecord
    tail: DoubleArray  # mean squares of the last frames

    def __init__(self, off_below_dbfs: float, hop_s: float) -> None:
        self._block, self._short = block_frames(hop_s), quiet_frames(hop_s)
        self.record = OnOffRecord(10 ** (off_below_dbfs / 10))
        self.reset()

    @classmethod
    def of(cls, record: OnOffRecord, tail: DoubleArray, hop_s: float) -> OnOff:
        """One with this state."""
        machine = cls(-math.inf, hop_s)
        machine.record, machine.tail = record, tail
        return machine

    @property
    def off(self) -> bool:
        """Whether the machine is off."""
        return self.record.off

    def change(self, off_below_dbfs: float) -> None:
        """Goes on with another level."""
        self.record.limit = 10 ** (off_below_dbfs / 10)
        if not self.record.limit:
            self.reset()

    def reset(self) -> None:
        """Forgets all frames: the machine counts as running until it is found to be off."""
        self.record, self.tail = OnOffRecord(self.record.limit), np.full(self._short - 1, np.inf)

    def push(self, mean_square: DoubleArray) -> tuple[BoolArray, BoolArray]:
        """Processes the mean squares (t,) of the next frames.

        Returns:
            whether the machine is off at each frame (t,), and whether it is quiet (t,).
        """
        limit = self.record.limit
        if not limit or not len(mean_square):
            none = np.zeros(len(mean_square), bool)
            return none, none
        joined = np.concatenate((self.tail, mean_square))
        self.tail = joined[len(joined) - (self._short - 1) :]
        quiet = np.zeros(len(mean_square), bool)
        if mean_square.min() < limit:
            quiet = np.lib.stride_tricks.sliding_window_view(joined, self._short).max(axis=1) < limit
        return self._blocks(mean_square), quiet

    def _blocks(self, mean_square: DoubleArray) -> BoolArray:
        off, record = np.empty(len(mean_square), bool), self.record
        done = 0
        while done < len(mean_square):
            count = min(self._block - record.count, len(mean_square) - done)
            record.sum += float(mean_square[done : done + count].sum())
            record.count += count
            off[done : done + count] = record.off
            done += count
            if record.count == self._block:
                self._decide(record.sum / self._block)
                record.sum, record.count = 0.0, 0
                off[done - 1] = record.off
        return off

    def _decide(self, mean_square: float) -> None:
        record = self.record
        record.below = record.below + 1 if mean_square < record.limit else 0
        if record.off and mean_square >= record.limit * 10 ** (HYSTERESIS_DB / 10):
            record.off = False
        elif record.below >= OFF_BLOCKS:
            record.off = True


class FrameFlags:
    """A queue of the flags of frames, until their rows are scored: the row of a frame is complete some frames later.

    Args:
        waiting: number of frames without flags that are in the queue already.
    """

    def __init__(self, waiting: int = 0) -> None:
        self._waiting = np.zeros((2, waiting), bool)

    @property
    def any_set(self) -> bool:
        """Whether a flag in the queue is set."""
        return bool(self._waiting.any())

    def push(self, off: BoolArray, quiet: BoolArray) -> None:
        """Adds the flags of the next frames: (t,) each."""
        self._waiting = np.concatenate((self._waiting, np.stack((off, quiet))), axis=1)

    def take(self, rows: int) -> tuple[BoolArray, BoolArray]:
        """Removes the flags of the next rows, and returns them: (rows,) each."""
        taken, self._waiting = self._waiting[:, :rows], self._waiting[:, rows:]
        return taken[0], taken[1]
