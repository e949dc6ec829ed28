"""The delay of the monitor: the algorithmic delay, measured processing times, and waiting for new samples."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from monitor.config.schema import Features
from monitor.core.types import FloatArray

KEPT = 1 << 14  # measurements: almost three minutes with one every 10 ms
_POLL_S = 0.0005  # time between two looks when samples are due
_EARLY_S = 0.002  # polling starts so long before samples are due; they arrive more regularly than that
_LONGEST_S = 0.004  # longest sleep, so that samples that arrive early do not wait longer


def algorithmic_delay_s(features: Features) -> float:
    """The delay of the method itself: seconds from the middle of a window to the last sample that it needs."""
    return (features.window_frames // 2 - 1) * features.hop_s + features.n_fft / 2 / features.sample_rate


@dataclass(frozen=True, slots=True)
class Spread:
    """Statistics of durations in seconds; NaN if there are none."""

    count: int
    median: float
    p99: float  # 99th percentile
    worst: float  # the longest

    @classmethod
    def of(cls, seconds: FloatArray) -> Spread:
        """The statistics of durations (n,)."""
        if not len(seconds):
            return cls(0, float("nan"), float("nan"), float("nan"))
        median, p99 = np.percentile(seconds, (50, 99))
        return cls(len(seconds), float(median), float(p99), float(seconds.max()))


class Latencies:
    """The last `kept` measured durations, in constant memory."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = np.zeros(kept, np.float32)
        self.count = 0  # number of measurements so far

    def add(self, seconds: float) -> None:
        """Adds a measured duration."""
        self._kept[self.count % len(self._kept)] = seconds
        self.count += 1

    def last(self, count: int) -> FloatArray:
        """The last `count` measurements, or as many as are kept, oldest first."""
        newest = min(count, self.count, len(self._kept))
        return self._kept[np.arange(self.count - newest, self.count) % len(self._kept)]

    def spread(self) -> Spread:
        """The statistics of all measurements that are kept."""
        return Spread.of(self.last(self.count))


class ArrivalPredictor:
    """Predicts when a device delivers the next samples, so that the engine can sleep until then instead of polling.

    A device delivers samples at regular times, often several blocks at once. The period is estimated from the arrivals.
    """

    def __init__(self) -> None:
        self._last = 0.0  # time of the last delivery
        self._period = 0.01  # estimated time between two deliveries

    def arrived(self, at: float) -> None:
        """Notes that samples arrived at this time on the monotonic clock."""
        since = at - self._last
        if since > 0.5:
            self._period = 0.01
        elif since > 0.003:  # otherwise it is a further block of the same delivery
            self._period += 0.1 * (since - self._period) if since > self._period else 0.3 * (since - self._period)
        else:
            return
        self._last = at

    def sleep_s(self, now: float) -> float:
        """The seconds to sleep from `now` (monotonic clock) until the next look for samples."""
        left = self._last + self._period - now
        if left > _EARLY_S:
            return min(left - _EARLY_S, _LONGEST_S)
        return _POLL_S if left > -0.01 else 0.002 if left > -0.1 else _LONGEST_S

    def sleep(self) -> None:
        """Sleeps until the next look for samples."""
        time.sleep(self.sleep_s(time.monotonic()))


class BusyShare:
    """The share of time spent computing, 0 to 1: an exponential mean over about the last second."""

    def __init__(self) -> None:
        self.share = 0.0

    def worked(self, seconds: float) -> None:
        """Adds time spent computing."""
        self._mix(1.0, seconds)

    def waited(self, seconds: float) -> None:
        """Adds time spent waiting."""
        self._mix(0.0, seconds)

    def _mix(self, value: float, seconds: float) -> None:
        self.share += (value - self.share) * min(1.0, seconds)
