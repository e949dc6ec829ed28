"""Level meters: RMS level of the last tenth of a second, and of all since it was asked for; peak of two seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.core.types import BoolArray, DoubleArray, FloatArray, IndexArray

RMS_WINDOW_S = 0.1
PEAK_HOLD_S = 2.0
MEAN_S = 0.5  # of more samples at once only the last count for the mean level: live sound seldom comes in more


@dataclass(frozen=True, slots=True)
class Measured:
    """What meters need to know of the next m samples of n streams."""

    seconds: float  # that they take
    peaks: FloatArray  # (n,) the highest absolute values; NaN if there is one among the samples
    window: int  # samples in RMS_WINDOW_S
    count: int  # how many of the last samples the rest is of: m, but at most `window`
    mean: DoubleArray  # (n,) of these
    squares: DoubleArray  # (n,) their sum of squares about the mean
    power: DoubleArray  # (n,) mean square, about their mean, of the last MEAN_S of the samples

    @classmethod
    def of(cls, samples: FloatArray, sample_rate: int) -> Measured:
        """Measures samples (n, m), of which some may be no numbers; the sample rate is in Hz."""
        window = max(1, int(RMS_WINDOW_S * sample_rate))
        tail, seconds = samples[:, -window:], samples.shape[1] / sample_rate
        with np.errstate(invalid="ignore", over="ignore"):
            peaks: FloatArray = np.maximum(samples.max(axis=1), -samples.min(axis=1))
            mean, squares = _about_mean(tail)
            power = squares / tail.shape[1]
            if samples.shape[1] > window:
                longer = samples[:, -max(window, int(MEAN_S * sample_rate)) :]
                power = _about_mean(longer)[1] / longer.shape[1]
            return cls(seconds, peaks, window, tail.shape[1], mean, squares, power)

    @classmethod
    def joined(cls, parts: Sequence[Measured], rows: BoolArray) -> Measured:
        """Those of several measurements of equally many samples that are True in `rows` (all streams,)."""
        peaks, mean, squares, power = (
            np.concatenate([getattr(part, name) for part in parts])[rows]
            for name in ("peaks", "mean", "squares", "power")
        )
        return replace(parts[0], peaks=peaks, mean=mean, squares=squares, power=power)


class LevelMeters:
    """Measures the levels of many streams in dB relative to full scale (a full-scale sine has -3 dBFS); -inf: silence.

    Args:
        streams: their number.
    """

    def __init__(self, streams: int) -> None:
        self._mean_square = np.zeros(streams)  # of the last RMS_WINDOW_S
        self._peak = np.zeros(streams, np.float32)
        self._peak_age_s = np.zeros(streams)
        # Samples that are not part of `_mean_square` yet, because they are shorter than RMS_WINDOW_S: how long they
        # are, how many, their mean and their sum of squares about it.
        self._pending_s, self._count, self._mean, self._squares = np.zeros((4, streams))
        self._energy, self._heard_s = np.zeros((2, streams))  # since the mean level was taken: mean square · s, and s

    def reset(self, stream: int) -> None:
        """Restarts one stream."""
        for values in self._values:
            values[stream] = 0.0

    def take_over(self, stream: int, other: LevelMeters, other_stream: int) -> None:
        """Makes a stream go on where a stream of other meters is."""
        for ours, theirs in zip(self._values, other._values, strict=True):
            ours[stream] = theirs[other_stream]

    def push(self, measured: Measured, streams: IndexArray) -> None:
        """Adds the next samples of streams (n,), all different, of which the levels were measured."""
        seconds, peaks, squares = measured.seconds, measured.peaks, measured.squares
        age_s = self._peak_age_s[streams] + seconds
        higher = (peaks >= self._peak[streams]) | (age_s > PEAK_HOLD_S)
        self._peak[streams] = np.where(higher, peaks, self._peak[streams])
        self._peak_age_s[streams] = np.where(higher, 0.0, age_s)
        if measured.count == measured.window:
            self._pending_s[streams] = self._count[streams] = 0.0
            self._mean_square[streams] = squares / measured.count
            self._energy[streams] += measured.power * seconds
            self._heard_s[streams] += seconds
            return
        before, before_mean = self._count[streams], self._mean[streams]
        total = before + measured.count
        between = measured.mean - before_mean
        self._mean[streams] = before_mean + between * (measured.count / total)
        apart = self._squares[streams] + between**2 * (before * measured.count / total)
        squares = squares + np.where(before > 0, apart, 0.0)
        self._count[streams], self._squares[streams] = total, squares
        self._pending_s[streams] += seconds
        if len(full := np.flatnonzero(total >= measured.window)):
            which = streams[full]
            self._mean_square[which] = squares[full] / total[full]
            self._energy[which] += self._mean_square[which] * self._pending_s[which]
            self._heard_s[which] += self._pending_s[which]
            self._pending_s[which] = self._count[which] = self._mean[which] = 0.0

    def rms_dbfs(self, stream: int) -> float:
        """The RMS level of the last RMS_WINDOW_S of a stream, without a constant offset."""
        mean_square = float(self._mean_square[stream])
        if self._count[stream]:
            newest = float(self._squares[stream] / self._count[stream])
            mean_square += min(1.0, float(self._pending_s[stream]) / RMS_WINDOW_S) * (newest - mean_square)
        return dbfs(math.sqrt(mean_square))

    def take_mean_dbfs(self, stream: int) -> float:
        """The RMS level of a stream since this was called last, without a constant offset; NaN if nothing is known."""
        heard_s, energy = float(self._heard_s[stream]), float(self._energy[stream])
        self._energy[stream] = self._heard_s[stream] = 0.0
        return dbfs(math.sqrt(energy / heard_s)) if heard_s else math.nan

    def peak_dbfs(self, stream: int) -> float:
        """The highest absolute sample value of the last PEAK_HOLD_S of a stream."""
        return dbfs(float(self._peak[stream]))

    @property
    def _values(self) -> tuple[DoubleArray | FloatArray, ...]:
        return (
            self._mean_square, self._peak, self._peak_age_s, self._pending_s, self._count, self._mean, self._squares,
            self._energy, self._heard_s,
        )  # fmt: skip


class LevelMeter:
    """The level meter of one stream."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate, self._meters = sample_rate, LevelMeters(1)

    def push(self, samples: FloatArray) -> None:
        """Adds the next samples (n,)."""
        if len(samples):
            self._meters.push(Measured.of(samples[None], self._sample_rate), _ONLY)

    @property
    def rms_dbfs(self) -> float:
        """The RMS level of the last RMS_WINDOW_S, without a constant offset."""
        return self._meters.rms_dbfs(0)

    @property
    def peak_dbfs(self) -> float:
        """The highest absolute sample value of the last PEAK_HOLD_S."""
        return self._meters.peak_dbfs(0)


_ONLY = np.zeros(1, np.int64)


def _about_mean(samples: FloatArray) -> tuple[DoubleArray, DoubleArray]:
    """The mean of each row of samples (n, m), and its sum of squares about the mean: (n,) each."""
    # From the first sample of each row: so float32 suffices, however large a constant offset is.
    shifted, count = samples - samples[:, :1], samples.shape[1]
    offset = (shifted @ np.full(count, 1 / count, np.float32)).astype(np.float64)
    squares = np.vecdot(shifted, shifted).astype(np.float64) - count * offset**2
    return samples[:, 0] + offset, np.maximum(squares, 0.0)


def dbfs(amplitude: float) -> float:
    """An amplitude in dB relative to full scale; -inf for silence."""
    return 20 * math.log10(amplitude) if amplitude > 1e-7 else -math.inf
