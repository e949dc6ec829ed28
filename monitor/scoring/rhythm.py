"""The rhythm of a machine that clicks or strokes: how unusual the intervals between its impulses are.

An impulse is a moment at which the spectrum rises steeply. The time from one impulse to the next has a density, learnt
from normal sound. The surprise of an interval is minus the logarithm of its density: a click that is late, missing or
doubled gives intervals that normal sound does not have. It cannot be seen in means over seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.core.array_backend import ArrayBackend, namespace
from monitor.core.types import Array, BoolArray, DoubleArray, FloatArray, IndexArray

RISE_S = 0.02  # time over which a spectrum rises
APART_S = 0.03  # shortest time between impulses: of nearer ones only the steepest counts
SHORTEST_S, LONGEST_S, POINTS = 0.02, 20.0, 400  # range of intervals, and points of their density


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The density of the intervals between impulses in normal sound.

    Attributes:
        steepness: the least rise in RISE_S that is an impulse, in dB, averaged over the bands.
        surprise: (POINTS,) minus the logarithm of the density of ln(interval), at intervals from SHORTEST_S to
            LONGEST_S with equal ratios.
        log_distance: (2, 2) mean of the surprise of normal sound, and its standard deviation relative to that of
            the logarithm of the score; rows as in `monitor.scoring.gaussian.Reference`.
    """

    steepness: float
    surprise: DoubleArray
    log_distance: DoubleArray

    def surprise_of(self, intervals_s: DoubleArray) -> DoubleArray:
        """The surprise (n,) of intervals (n,) in seconds."""
        return np.interp(np.log(np.maximum(intervals_s, 1e-6)), grid(), self.surprise)


def grid() -> DoubleArray:
    """The logarithms (POINTS,) of the intervals that a density is stored for."""
    return np.linspace(np.log(SHORTEST_S), np.log(LONGEST_S), POINTS)


def rises(decibels: Array, hop_s: float) -> Array:
    """The steepness of each frame: its rise over RISE_S, averaged over the bands, falls not counted.

    Args:
        decibels: (…, T, n_mels) levels of frames.
        hop_s: seconds from one frame to the next.

    Returns:
        (…, T - lag) of the frames from number `lag` on, where lag is RISE_S in frames.
    """
    lag = rise_frames(hop_s)
    xp = namespace(decibels)
    return xp.mean(xp.clip(decibels[..., lag:, :] - decibels[..., :-lag, :], 0.0, None), axis=-1)


def impulses(steepness: Array, radius: int, least: float) -> Array:
    """Which frames are impulses: those that are steep enough, and steeper than all others within `radius`.

    Args:
        steepness: (…, T).
        radius: in frames.
        least: the least steepness of an impulse.

    Returns:
        (…, T - 2 · radius) of bool, of the frames from number `radius` on.
    """
    count = steepness.shape[-1] - 2 * radius
    middle = steepness[..., radius : radius + count]
    found = middle > least
    for step in range(1, radius + 1):
        found = found & (middle > steepness[..., radius - step : radius - step + count])
        found = found & (middle >= steepness[..., radius + step : radius + step + count])
    return found


def rise_frames(hop_s: float) -> int:
    """RISE_S in frames."""
    return max(1, round(RISE_S / hop_s))


def apart_frames(hop_s: float) -> int:
    """APART_S in frames."""
    return max(1, round(APART_S / hop_s))


class RhythmTracker:
    """Finds the impulses of streams, and the surprise of the interval that ends with each.

    Args:
        rhythm: of normal sound.
        deviation: (n_mels,) standard deviation of each band in dB, which turns normalized frames into decibels.
        hop_s: seconds from one frame to the next.
        window_frames: frames in a window.
        streams: number of streams.
        backend: where the frames are.
    """

    def __init__(
        self,
        rhythm: Rhythm,
        deviation: FloatArray,
        hop_s: float,
        window_frames: int,
        streams: int,
        backend: ArrayBackend,
    ) -> None:
        self._rhythm, self._hop_s, self._backend = rhythm, hop_s, backend
        self._deviation = backend.upload(deviation)
        self._before, self._radius = rise_frames(hop_s), apart_frames(hop_s)
        self._half = window_frames // 2
        self._last = np.full(streams, -1, np.int64)  # number of the frame of the last impulse of each stream, -1: none

    def reset(self, streams: IndexArray) -> None:
        """Restarts these streams (n,)."""
        self._last[streams] = -1

    def push(self, frames: Array, streams: IndexArray, first: IndexArray) -> FloatArray:
        """The surprise of each window's middle frame, and whether an interval ends there.

        Args:
            frames: (n, W - 1 + k, n_mels) normalized frames of k windows.
            streams: (n,) numbers of the streams.
            first: (n,) number of the frame in the middle of the first window; windows of frames before number 1 have
                no impulse.

        Returns:
            (n, k, 2) in host memory.
        """
        count = frames.shape[1] - 2 * self._half + 1
        start = self._half - self._radius - self._before
        stop = self._half + count + self._radius
        steepness = rises(frames[:, start:stop] * self._deviation, self._hop_s)
        found: BoolArray = self._on_host(impulses(steepness, self._radius, self._rhythm.steepness))
        columns = np.zeros((len(streams), count, 2), np.float32)
        for i, step in zip(*np.nonzero(found), strict=True):
            frame, last = int(first[i]) + int(step), int(self._last[streams[i]])
            if frame < 1:
                continue
            self._last[streams[i]] = frame
            if last >= 0:
                surprise = self._rhythm.surprise_of(np.array([(frame - last) * self._hop_s]))
                columns[i, step] = surprise[0], 1.0
        return columns

    def _on_host(self, found: Array) -> BoolArray:
        return found if isinstance(found, np.ndarray) else np.asarray(found.cpu())


def is_possible(hop_s: float, window_frames: int) -> bool:
    """Whether windows are long enough, and frames dense enough, to find impulses."""
    return hop_s <= RISE_S and window_frames // 2 >= rise_frames(hop_s) + apart_frames(hop_s) + 1
