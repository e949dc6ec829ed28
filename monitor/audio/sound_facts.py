"""Measures a recording while it is read: range, clipping, and whether channels are dead or cancel each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from monitor.audio.level import dbfs
from monitor.core.types import DoubleArray, FloatArray

FULL_SCALE = 0.9999
DEAD_DBFS = -80.0  # level of a dead channel: at most about the noise of an input that nothing is connected to …
DEAD_BELOW_DB = 20.0  # … and at least so far below the loudest channel
# Unrelated channels have a mean with 1/n of their mean power. If it is so far below that, they cancel each other.
CANCELLED_BELOW_DB = 20.0


def count_clipped(samples: FloatArray) -> int:
    """The number of samples at full scale in an array of any shape."""
    return int(np.count_nonzero(np.abs(samples) >= FULL_SCALE))


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """What is known of the samples of a recording. A constant offset counts neither for peak nor for levels."""

    sample_rate: int = 0  # of the recording itself, in Hz; 0 if unknown
    peak: float = 1.0  # half the range of the samples that the model hears: one channel, or the mean of all
    clipped_share: float = 0.0  # share of clipped samples in the channels used
    cancelled: bool = False  # whether the channels cancel each other, so that little is left of them in the mean
    dead_channels: tuple[int, ...] = ()  # numbers of the channels of the mean that are silent, while others are not


class SoundSurvey:
    """Collects the facts of a recording from its blocks; they do not depend on how it is divided."""

    def __init__(self) -> None:
        self._sample_rate = self._count = self._clipped = self._values = 0
        self._low, self._high = math.inf, -math.inf
        self._heard = np.zeros((2, 1))  # sum and sum of squares of the samples heard
        self._channels: DoubleArray = np.zeros((2, 0))  # the same of each channel

    def add(self, recorded: FloatArray, heard: FloatArray, sample_rate: int) -> None:
        """Adds a block.

        Args:
            recorded: samples (n, channels) of the channels used; n > 0.
            heard: samples (n,) that the model hears: that channel, or the mean of all.
            sample_rate: of the recording in Hz.
        """
        if not self._count:
            self._channels = np.zeros((2, recorded.shape[1]))
        self._sample_rate, self._count = sample_rate, self._count + len(heard)
        self._low, self._high = min(self._low, float(heard.min())), max(self._high, float(heard.max()))
        self._clipped, self._values = self._clipped + count_clipped(recorded), self._values + recorded.size
        if recorded.shape[1] > 1:
            self._channels += _sums(recorded)
            self._heard += _sums(heard[:, None])

    def facts(self) -> SoundFacts:
        """The facts of all blocks so far."""
        if not self._count:
            return SoundFacts(peak=0.0)
        peak, clipped_share = (self._high - self._low) / 2, self._clipped / self._values
        if self._channels.shape[1] < 2:
            return SoundFacts(self._sample_rate, peak, clipped_share)
        powers = _powers(self._channels, self._count)
        levels = [dbfs(math.sqrt(power)) for power in powers]
        if max(levels) <= DEAD_DBFS:  # all are silent
            return SoundFacts(self._sample_rate, peak, clipped_share)
        quiet = min(DEAD_DBFS, max(levels) - DEAD_BELOW_DB)
        unrelated = dbfs(math.sqrt(float(powers.mean()) / len(powers)))
        heard = dbfs(math.sqrt(float(_powers(self._heard, self._count)[0])))
        return SoundFacts(
            self._sample_rate, peak, clipped_share, cancelled=heard < unrelated - CANCELLED_BELOW_DB,
            dead_channels=tuple(number for number, level in enumerate(levels) if level <= quiet),
        )  # fmt: skip


def _sums(samples: FloatArray) -> DoubleArray:
    """Sum and sum of squares (2, channels) of samples (n, channels)."""
    exact = samples.astype(np.float64)
    return np.stack([exact.sum(axis=0), np.einsum("nc,nc->c", exact, exact)])


def _powers(sums: DoubleArray, count: int) -> DoubleArray:
    """The mean squares (channels,) without the mean, from sums (2, channels) of `count` samples."""
    powers: DoubleArray = np.maximum(sums[1] / count - np.square(sums[0] / count), 0.0)
    return powers
