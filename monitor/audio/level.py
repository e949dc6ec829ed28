"""The level meter: RMS of the last tenth of a second, and the highest peak of the last two."""

from __future__ import annotations

import math

import numpy as np

from monitor.core.snapshot import FloatArray

AVERAGED_S = 0.1
HELD_S = 2.0


class LevelMeter:
    """Levels in dB relative to full scale (a full-scale sine has an RMS level of -3 dBFS); -inf for silence.

    What comes is measured a tenth of a second at a time: to look at every hop of many streams would take long.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._mean_square = 0.0
        self._peak = 0.0
        self._held_s = 0.0
        self._waiting: list[FloatArray] = []
        self._count = 0  # samples that wait

    def push(self, samples: FloatArray) -> None:
        """Takes the next samples (n,)."""
        self._waiting.append(samples)
        self._count += len(samples)
        if self._count >= AVERAGED_S * self._sample_rate:
            self._measure()

    def _measure(self) -> None:
        if not self._count:
            return
        samples = np.concatenate(self._waiting)
        self._waiting, self._count = [], 0
        seconds = len(samples) / self._sample_rate
        tail = samples[-max(1, int(AVERAGED_S * self._sample_rate)) :]
        weight = min(1.0, seconds / AVERAGED_S)
        self._mean_square += weight * (float(np.mean(np.square(tail, dtype=np.float64))) - self._mean_square)
        peak = float(np.abs(samples).max())
        self._held_s += seconds
        if peak >= self._peak or self._held_s > HELD_S:
            self._peak, self._held_s = peak, 0.0

    @property
    def rms_dbfs(self) -> float:
        """The RMS level now."""
        self._measure()
        return dbfs(math.sqrt(self._mean_square))

    @property
    def peak_dbfs(self) -> float:
        """The highest sample of the last two seconds."""
        self._measure()
        return dbfs(self._peak)


def dbfs(amplitude: float) -> float:
    """An amplitude in dB relative to full scale; -inf for silence."""
    return 20 * math.log10(amplitude) if amplitude > 1e-7 else -math.inf
