"""The last minute of a stream, in slots of a tenth of a second: what the dashboard draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.core.snapshot import FloatArray

SLOT_S = 0.1
SLOTS = 600


class History:
    """Worst error and score, and mean level of each band, by slot. Constant memory; what is not there is NaN."""

    def __init__(self, n_mels: int, hop_s: float) -> None:
        self._hop_s = hop_s
        self.slot_s = max(SLOT_S, hop_s)
        self._newest = -1
        self._worst = np.full((SLOTS, 2), np.nan, np.float32)
        self._level_sum = np.zeros((SLOTS, n_mels), np.float32)
        self._level_count = np.zeros(SLOTS, np.int64)

    def add_scores(self, first: int, error: NDArray[np.float64], score: NDArray[np.float64]) -> None:
        """Rolling errors and scores (k,) of the windows from hop number `first` of the stream on."""
        starts, places = self._slots(first, len(error))
        for column, values in enumerate((error, score)):
            if len(places):
                worst = np.fmax.reduceat(values, starts)[-len(places) :]
                self._worst[places, column] = np.fmax(self._worst[places, column], worst)

    def add_levels(self, first: int, decibels: FloatArray) -> None:
        """Mel frames (t, n_mels) in dB from hop number `first` of the stream on."""
        starts, places = self._slots(first, len(decibels))
        if len(places):
            self._level_sum[places] += np.add.reduceat(decibels, starts)[-len(places) :]
            self._level_count[places] += np.diff(starts, append=len(decibels))[-len(places) :]

    def view(self) -> tuple[int, FloatArray, FloatArray, FloatArray]:
        """The first slot's number, and from it on error (slots,), score (slots,) and spectrogram (slots, n_mels)."""
        first = max(0, self._newest + 1 - SLOTS)
        order = np.arange(first, self._newest + 1) % SLOTS
        count = self._level_count[order, None]
        levels = np.where(count > 0, self._level_sum[order] / np.maximum(count, 1), np.nan).astype(np.float32)
        return first, self._worst[order, 0], self._worst[order, 1], levels

    def _slots(self, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where each slot begins among `count` hops from number `first` on, and the places of those that are kept."""
        if not count:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        slots = ((np.arange(first, first + count) + 0.5) * (self._hop_s / self.slot_s)).astype(np.int64)
        newest = int(slots[-1])
        if newest > self._newest:
            fresh = np.arange(max(self._newest + 1, newest + 1 - SLOTS), newest + 1) % SLOTS
            self._worst[fresh], self._level_sum[fresh], self._level_count[fresh] = np.nan, 0.0, 0
            self._newest = newest
        starts = np.concatenate(([0], np.flatnonzero(slots[1:] != slots[:-1]) + 1))
        kept = slots[starts]
        return starts, kept[kept > self._newest - SLOTS] % SLOTS
