"""Whether sound is fit to learn from: heard at all, not clipped, and steady."""

from __future__ import annotations

import numpy as np

from monitor.audio.level import dbfs
from monitor.core.snapshot import FloatArray

SILENT_DBFS = -80.0  # the RMS level of a 16-bit recording in which three steps are all there is
CLIPPED_SHARE = 1e-3  # of the samples at full scale: more than a loud moment has
FULL_SCALE = 0.9999
DRIFT_DB = 3.0  # from the first third to the last
SPREAD_DB = 6.0  # from the tenth part of the seconds that is quietest to that which is loudest


class Soundness:
    """Judges sound that comes in pieces."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._levels: list[float] = []  # of each second, dBFS

    def doubt(self, samples: FloatArray) -> str | None:
        """What is wrong with this piece (n,) by itself, None if it is sound."""
        seconds = samples[: len(samples) // self._rate * self._rate].reshape(-1, self._rate)
        levels = [dbfs(float(np.sqrt(np.mean(np.square(second, dtype=np.float64))))) for second in seconds]
        self._levels += levels
        clipped = float(np.mean(np.abs(samples) >= FULL_SCALE))
        if samples.max() == samples.min() or (levels and max(levels) < SILENT_DBFS):
            return "it is silent: is the microphone muted, or its level turned down?"
        if clipped > CLIPPED_SHARE:
            return f"it is clipped ({clipped:.1%} of the samples are at full scale): turn the microphone's level down."
        return None

    def unsteadiness(self) -> str | None:
        """What is wrong with all pieces together, None if they are steady enough."""
        levels = np.asarray(self._levels)
        if len(levels) < 3:
            return "there is too little of it."
        third = len(levels) // 3
        first, last = float(np.median(levels[:third])), float(np.median(levels[-third:]))
        quiet, loud = (float(level) for level in np.percentile(levels, (10, 90)))
        if abs(last - first) > DRIFT_DB:
            return f"its level went from {first:.0f} to {last:.0f} dBFS: let the machine run as it usually does."
        if loud - quiet > SPREAD_DB:
            return (
                f"its level swings between {quiet:.0f} and {loud:.0f} dBFS: let the machine run evenly, without "
                "other noise, or take more minutes of recordings of all that it does and calibrate from those."
            )
        return None
