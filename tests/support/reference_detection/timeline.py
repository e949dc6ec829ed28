"""The history of the last minute of a stream in slots of a tenth of a second, for the dashboard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.core.types import BoolArray, DoubleArray, FloatArray, IndexArray

SLOT_S = 0.1
SLOTS = 600
QUIETEST = 1e-12  # power, -120 dB: quieter bands are shown as this


class Timeline:
    """The highest error, score, share of the limit and cumulative sum, and the mean power of each band, in each slot.

    They are NaN if there is no value. Memory is constant: the newest SLOTS slots are kept.

    Args:
        n_mels: number of bands.
        hop_s: seconds from one frame to the next.
    """

    def __init__(self, n_mels: int, hop_s: float) -> None:
        self._hop_s = hop_s
        self.slot_s = max(SLOT_S, hop_s)
        self._newest = -1
        self._highest = np.full((SLOTS, 4), np.nan, np.float32)  # error, score, share of the limit, sum
        self._power = np.zeros((SLOTS, n_mels), np.float32)  # sum over the frames of the slot
        self._frames = np.zeros(SLOTS, np.int64)  # number of these frames
        self._decibels = np.full((SLOTS, n_mels), np.nan, np.float32)
        self._changed: BoolArray = np.zeros(SLOTS, bool)  # whether `_decibels` has to be computed again

    def add_scores(self, first: int, error: NDArray[np.floating], score: DoubleArray) -> None:
        """Adds the rolling errors (k,) and scores (k,) of windows; `first` is the hop number of the first window."""
        self._add_highest(first, slice(0, 2), np.stack((error, score), axis=1))

    def add_levels(self, first: int, levels: DoubleArray) -> None:
        """Adds the share of the limit and the cumulative sum of windows, (k, 2), as `Alarm.trace`."""
        self._add_highest(first, slice(2, 4), levels)

    def _add_highest(self, first: int, columns: slice, values: DoubleArray) -> None:
        starts, places = self._slots(first, len(values))
        if len(places):
            highest = np.fmax.reduceat(values, starts)[-len(places) :]
            self._highest[places, columns] = np.fmax(self._highest[places, columns], highest)

    def add_frames(self, first: int, power: FloatArray) -> None:
        """Adds power mel frames (t, n_mels); `first` is the hop number of the first frame."""
        starts, places = self._slots(first, len(power))
        if len(places):
            self._power[places] += np.add.reduceat(power, starts)[-len(places) :]
            self._frames[places] += np.diff(starts, append=len(power))[-len(places) :]
            self._changed[places] = True

    def advance(self, hop: int) -> None:
        """Continues without sound, up to and including hop number `hop`."""
        self._slots(hop, 1)

    def levels(self) -> tuple[FloatArray, FloatArray]:
        """The share of the limit (slots,) and the cumulative sum (slots,), from the same slot on as `view`."""
        order = self._order()
        return self._highest[order, 2], self._highest[order, 3]

    def view(self) -> tuple[int, FloatArray, FloatArray, FloatArray]:
        """The number of the oldest slot, and from it on error (slots,), score (slots,) and spectrogram (slots, n_mels).

        The spectrogram is in dB.
        """
        changed = np.flatnonzero(self._changed)
        if len(changed):
            mean = self._power[changed] / self._frames[changed, None]
            self._decibels[changed] = 10 * np.log10(np.maximum(mean, QUIETEST))
            self._changed[changed] = False
        order = self._order()
        return max(0, self._newest + 1 - SLOTS), self._highest[order, 0], self._highest[order, 1], self._decibels[order]

    def _order(self) -> IndexArray:
        """The positions in the arrays of the slots that are kept, the oldest first."""
        return np.arange(max(0, self._newest + 1 - SLOTS), self._newest + 1) % SLOTS

    def _slots(self, first: int, count: int) -> tuple[IndexArray, IndexArray]:
        """Divides `count` hops from number `first` on into slots, and clears the slots that are new.

        Returns:
            the index of the first hop of each slot (s,), and the positions in the arrays of the newest of these slots;
            those older than SLOTS are left out.
        """
        if not count:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        slots = ((np.arange(first, first + count) + 0.5) * (self._hop_s / self.slot_s)).astype(np.int64)
        newest = int(slots[-1])
        if newest > self._newest:
            fresh = np.arange(max(self._newest + 1, newest + 1 - SLOTS), newest + 1) % SLOTS
            self._highest[fresh], self._power[fresh], self._frames[fresh] = np.nan, 0.0, 0
            self._decibels[fresh], self._changed[fresh] = np.nan, False
            self._newest = newest
        starts = np.concatenate(([0], np.flatnonzero(slots[1:] != slots[:-1]) + 1))
        kept = slots[starts]
        return starts, kept[kept > self._newest - SLOTS] % SLOTS
