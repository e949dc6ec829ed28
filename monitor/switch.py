"""Whether a machine runs at all, by the level of its sound."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from monitor import config
from monitor.bundle import Bundle
from monitor.features import FrameLevel

MARGIN_DB = 12.0  # below the quietest normal sound: no fault that matters makes a machine so much quieter
HYSTERESIS_DB = 3.0
AVERAGED_S = 0.5
OFF_BLOCKS = 2  # in a row below, so a second of it


def off_level(bundle: Bundle, settings: config.Alarm) -> float:
    """Below which level in dBFS the machine is off; minus infinity for never."""
    if settings.off_below_dbfs == "never":
        return -math.inf
    return bundle.normal_dbfs - MARGIN_DB if settings.off_below_dbfs == "auto" else settings.off_below_dbfs


class Switch:
    """Tells from mel frames when a machine is switched off and on: by the mean power of half a second."""

    def __init__(self, level: FrameLevel, off_below_dbfs: float, hop_s: float) -> None:
        self._level, self._limit = level, off_below_dbfs
        self._block = max(1, round(AVERAGED_S / hop_s))
        self.reset()

    def reset(self) -> None:
        """Forgets what was heard: the machine counts as running until it is known to be off."""
        self.off = False
        self._waiting = torch.empty(0)
        self._below = 0

    def push(self, frames: Tensor) -> bool:
        """Takes power mel frames (t, n_mels); whether it was switched by them."""
        if self._limit == -math.inf or not len(frames):
            return False
        before = self.off
        self._waiting = torch.cat((self._waiting, 10 ** (self._level(frames) / 10)))
        while len(self._waiting) >= self._block:
            level = 10 * math.log10(max(float(self._waiting[: self._block].mean()), 1e-20))
            self._waiting = self._waiting[self._block :]
            self._below = self._below + 1 if level < self._limit else 0
            if self.off and level >= self._limit + HYSTERESIS_DB:
                self.off = False
            elif self._below >= OFF_BLOCKS:
                self.off = True
        return self.off is not before
