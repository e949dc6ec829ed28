"""How late the monitor is: what the method needs by itself, and what the computing adds to it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from monitor.config.schema import Features
from monitor.core.snapshot import FloatArray

KEPT = 1 << 14  # measurements: some minutes of one every 10 ms
_POLL_S = 0.0005  # close to when sound is due
_EARLY_S = 0.002  # before it is due, polling begins: sound comes that regularly
_LONGEST_S = 0.004  # a portion that comes early waits no longer than this


def algorithmic_s(features: Features) -> float:
    """Seconds from the middle of a window to the last sample that its last frame needs."""
    return (features.window_frames // 2 - 1) * features.hop_s + features.n_fft / 2 / features.sample_rate


@dataclass(frozen=True, slots=True)
class Spread:
    """Of many durations in seconds; NaN where there are none."""

    count: int
    median: float
    p99: float
    worst: float

    @classmethod
    def of(cls, seconds: FloatArray) -> Spread:
        """The spread of (n,) durations."""
        if not len(seconds):
            return cls(0, float("nan"), float("nan"), float("nan"))
        median, p99 = np.percentile(seconds, (50, 99))
        return cls(len(seconds), float(median), float(p99), float(seconds.max()))


class Latencies:
    """The last some thousand measurements, in memory that does not grow."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = np.zeros(kept, np.float32)
        self.count = 0  # measurements so far

    def add(self, seconds: float) -> None:
        """One more."""
        self._kept[self.count % len(self._kept)] = seconds
        self.count += 1

    def last(self, count: int) -> FloatArray:
        """The last `count` of those that are kept: (count,), in no order."""
        newest = min(count, self.count, len(self._kept))
        return self._kept[np.arange(self.count - newest, self.count) % len(self._kept)]

    def spread(self) -> Spread:
        """Of all that are kept."""
        return Spread.of(self.last(self.count))


class Rhythm:
    """Sleeps until sound is due, instead of looking every moment whether it has come.

    A device hands sound over at regular times, often several blocks at once: the time between is learnt.
    """

    def __init__(self) -> None:
        self._last = 0.0
        self._period = 0.01

    def came(self, at: float) -> None:
        """Sound came at this time of the monotonic clock."""
        since = at - self._last
        if since > 0.5:
            self._period = 0.01
        elif since > 0.003:  # less is the rest of the same portion
            self._period += 0.1 * (since - self._period) if since > self._period else 0.3 * (since - self._period)
        else:
            return
        self._last = at

    def nap_s(self, now: float) -> float:
        """How long to sleep now before looking again, in seconds."""
        left = self._last + self._period - now
        if left > _EARLY_S:
            return min(left - _EARLY_S, _LONGEST_S)
        return _POLL_S if left > -0.01 else 0.002 if left > -0.1 else _LONGEST_S

    def sleep(self) -> None:
        """Sleeps until it may be worth looking."""
        time.sleep(self.nap_s(time.monotonic()))


class BusyShare:
    """The share of the last second or so that was spent computing, 0 to 1."""

    def __init__(self) -> None:
        self.share = 0.0

    def worked(self, seconds: float) -> None:
        """So long was computed."""
        self._mix(1.0, seconds)

    def waited(self, seconds: float) -> None:
        """So long was waited."""
        self._mix(0.0, seconds)

    def _mix(self, value: float, seconds: float) -> None:
        self.share += (value - self.share) * min(1.0, seconds)
