"""Checks whether sound can be used for training and calibration: not silent, not clipped, and of a steady level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.audio.level import dbfs
from monitor.core.types import FloatArray

SILENT_DBFS = -80.0  # RMS level of a 16-bit recording with a range of three quantization steps
SILENT_PEAK = 1e-5  # a 16-bit recording that is not constant has a peak (half of its range) of at least 1.5e-5
CLIPPED_SHARE = 1e-3  # share of samples at full scale; a loud moment or a normalised peak has fewer
FULL_SCALE = 0.9999
LEVEL_CHANGE_DB = 3.0  # between the median levels of the first and the last third
LEVEL_SPREAD_DB = 6.0  # between the 10th and the 90th percentile of the levels of all seconds


def count_clipped(samples: FloatArray) -> int:
    """The number of samples at full scale in an array of any shape."""
    return int(np.count_nonzero(np.abs(samples) >= FULL_SCALE))


@dataclass(slots=True)
class Amplitudes:
    """The range of the samples of a recording, and the number of clipped ones."""

    low: float = 0.0
    high: float = 0.0
    clipped: int = 0
    total: int = 0

    def add(self, block: FloatArray) -> None:
        """Adds samples of any shape."""
        low, high = float(block.min()), float(block.max())
        self.low, self.high = (min(self.low, low), max(self.high, high)) if self.total else (low, high)
        self.clipped += count_clipped(block)
        self.total += block.size

    @property
    def peak(self) -> float:
        """Half of the range, so that a constant offset does not count."""
        return (self.high - self.low) / 2

    @property
    def clipped_share(self) -> float:
        """The share of clipped samples, 0 to 1."""
        return self.clipped / max(1, self.total)


@dataclass(frozen=True, slots=True)
class Defect:
    """A reason why sound cannot be used for training or calibration."""

    kind: str  # "silent", "clipped" or "unsteady"
    advice: str  # what is wrong and what to do; a sentence in which "it" is the sound


class QualityCheck:
    """Checks consecutive pieces of sound, each by itself and all together."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._levels: list[float] = []  # RMS level of each second in dBFS

    def defect_of(self, samples: FloatArray) -> Defect | None:
        """The defect of the next piece of sound (n,) by itself; None if it has none."""
        seconds = samples[: len(samples) // self._rate * self._rate].reshape(-1, self._rate)
        levels = [dbfs(float(np.sqrt(np.mean(np.square(second, dtype=np.float64))))) for second in seconds]
        self._levels += levels
        if samples.max() == samples.min() or (levels and max(levels) < SILENT_DBFS):
            return Defect("silent", "it is silent: check that the microphone is not muted or turned down.")
        clipped = count_clipped(samples) / len(samples)
        if clipped > CLIPPED_SHARE:
            return Defect(
                "clipped",
                f"it is clipped ({clipped:.1%} of the samples are at full scale): turn the microphone's level down.",
            )
        return None

    def unsteadiness(self) -> Defect | None:
        """The defect of all pieces so far together, if their level is not steady enough; otherwise None."""
        levels = np.asarray(self._levels)
        if len(levels) < 3:
            return Defect("unsteady", "it is too short: at least three seconds are needed.")
        third = len(levels) // 3
        first, last = float(np.median(levels[:third])), float(np.median(levels[-third:]))
        quiet, loud = (float(level) for level in np.percentile(levels, (10, 90)))
        if abs(last - first) > LEVEL_CHANGE_DB:
            return Defect(
                "unsteady",
                f"its level changed from {first:.0f} to {last:.0f} dBFS: let the machine run as it usually does.",
            )
        if loud - quiet > LEVEL_SPREAD_DB:
            return Defect(
                "unsteady",
                f"its level varies between {quiet:.0f} and {loud:.0f} dBFS: let the machine run evenly, without "
                "other noise, or record all of its usual operation and calibrate with the recordings.",
            )
        return None
