"""A level meter: RMS level of the last tenth of a second, and peak level of the last two seconds."""

from __future__ import annotations

import math

import numpy as np

from monitor.core.types import FloatArray

RMS_WINDOW_S = 0.1
PEAK_HOLD_S = 2.0


class LevelMeter:
    """Measures levels in dB relative to full scale (a full-scale sine has an RMS level of -3 dBFS); -inf for silence.

    Samples are collected and measured RMS_WINDOW_S at a time, because measuring each hop of many streams is slow.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._mean_square = 0.0
        self._peak = 0.0
        self._held_s = 0.0  # age of the peak
        self._pending: list[FloatArray] = []  # samples that are not yet measured
        self._pending_count = 0

    def push(self, samples: FloatArray) -> None:
        """Adds the next samples (n,)."""
        self._pending.append(samples)
        self._pending_count += len(samples)
        if self._pending_count >= RMS_WINDOW_S * self._sample_rate:
            self._measure()

    def _measure(self) -> None:
        if not self._pending_count:
            return
        samples = np.concatenate(self._pending)
        self._pending, self._pending_count = [], 0
        seconds = len(samples) / self._sample_rate
        tail = samples[-max(1, int(RMS_WINDOW_S * self._sample_rate)) :]
        weight = min(1.0, seconds / RMS_WINDOW_S)
        self._mean_square += weight * (float(np.var(tail, dtype=np.float64)) - self._mean_square)
        peak = float(np.abs(samples).max())
        self._held_s += seconds
        if peak >= self._peak or self._held_s > PEAK_HOLD_S:
            self._peak, self._held_s = peak, 0.0

    @property
    def rms_dbfs(self) -> float:
        """The RMS level of the last RMS_WINDOW_S, without a constant offset."""
        self._measure()
        return dbfs(math.sqrt(self._mean_square))

    @property
    def peak_dbfs(self) -> float:
        """The highest absolute sample value of the last PEAK_HOLD_S."""
        self._measure()
        return dbfs(self._peak)


def dbfs(amplitude: float) -> float:
    """An amplitude in dB relative to full scale; -inf for silence."""
    return 20 * math.log10(amplitude) if amplitude > 1e-7 else -math.inf
