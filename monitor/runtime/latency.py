"""The delay of the monitor: the algorithmic delay, and measured processing times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.config.schema import Features
from monitor.core.types import DoubleArray, FloatArray, IndexArray

KEPT = 1 << 14  # measurements: almost three minutes with one every 10 ms


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
    """The last `kept` measured durations of each of some streams, in constant memory.

    Args:
        streams: their number.
        kept: how many durations of a stream are kept.
    """

    def __init__(self, streams: int = 1, kept: int = KEPT) -> None:
        self._kept = np.zeros((streams, kept), np.float32)
        self._count = np.zeros(streams, np.int64)  # of measurements so far

    def add(self, seconds: FloatArray | DoubleArray, streams: IndexArray) -> None:
        """Adds a measured duration (n,) of each of these streams (n,), all different."""
        count = self._count[streams]
        self._kept[streams, count % self._kept.shape[1]] = seconds
        self._count[streams] = count + 1

    def take_over(self, stream: int, other: Latencies, other_stream: int) -> None:
        """Replaces the measurements of a stream by those of a stream of other latencies."""
        self._kept[stream], self._count[stream] = other._kept[other_stream], other._count[other_stream]

    def count(self, stream: int = 0) -> int:
        """The number of measurements of a stream so far."""
        return int(self._count[stream])

    def last(self, count: int, stream: int = 0) -> FloatArray:
        """The last `count` measurements of a stream, or as many as are kept, oldest first."""
        so_far, kept = self.count(stream), self._kept.shape[1]
        newest: FloatArray = self._kept[stream, np.arange(so_far - min(count, so_far, kept), so_far) % kept]
        return newest

    def spread(self, stream: int = 0) -> Spread:
        """The statistics of all measurements of a stream that are kept."""
        return Spread.of(self.last(self.count(stream), stream))


@dataclass(frozen=True, slots=True)
class Processing:
    """The measured durations of one stream among others."""

    latencies: Latencies
    stream: int  # its number

    @property
    def count(self) -> int:
        """The number of measurements so far."""
        return self.latencies.count(self.stream)

    def last(self, count: int) -> FloatArray:
        """The last `count` measurements, or as many as are kept, oldest first."""
        return self.latencies.last(count, self.stream)

    def spread(self) -> Spread:
        """The statistics of all measurements that are kept."""
        return self.latencies.spread(self.stream)


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
