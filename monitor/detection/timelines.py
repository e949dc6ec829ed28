"""The history of the last minute of many streams in slots of a tenth of a second, for the dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.types import BoolArray, FloatArray, IndexArray

SLOT_S = 0.1
SLOTS = 600
QUIETEST = 1e-12  # power, -120 dB: quieter bands are shown as this
FRAMES_AT_ONCE = 100  # the work to add them up grows with their number times that of their slots
ERROR, SCORE, SHARE, LASTING = range(4)  # columns of what the highest value of each slot is kept of


class Timelines:
    """The last minute of `count` streams: highest values, and the mean power of each band, in each slot.

    What there is the highest value of: error, score, share of the limit and cumulative sum. They are NaN if there is no
    value. Memory is constant: the newest SLOTS slots are kept.

    Args:
        count: number of streams.
        n_mels: number of bands.
        hop_s: seconds from one frame to the next.
    """

    def __init__(self, count: int, n_mels: int, hop_s: float) -> None:
        self.slot_s = max(SLOT_S, hop_s)
        self._per_hop = hop_s / self.slot_s
        self._newest = np.full(count, -1)  # number of the newest slot
        # The arrays below are not written to for streams that are not in use, so they occupy no memory.
        self._highest = np.empty((count, SLOTS, 4), np.float32)
        self._power = np.empty((count, SLOTS, n_mels), np.float32)  # sum over the frames of the slot
        self._frames = np.empty((count, SLOTS), np.int64)  # number of these frames
        self._decibels = np.empty((count, SLOTS, n_mels), np.float32)
        self._changed: BoolArray = np.empty((count, SLOTS), bool)  # whether `_decibels` has to be computed again

    def reset(self, stream: int) -> None:
        """Forgets the last minute of a stream."""
        self._newest[stream] = -1

    def take_over(self, stream: int, other: Timelines, other_stream: int) -> None:
        """Gives a stream the last minute of a stream of other timelines."""
        for name in ("_newest", "_highest", "_power", "_frames", "_decibels", "_changed"):
            getattr(self, name)[stream] = getattr(other, name)[other_stream]

    def add_highest(self, streams: IndexArray, first: IndexArray, values: Sequence[NDArray[Any] | None]) -> None:
        """Adds values of k hops of each of n streams.

        Args:
            streams: (n,) numbers of the streams.
            first: (n,) hop number of the first of them.
            values: (n, k) of each column, None for those without.
        """
        stream, slot, starts, _ = self._slots(streams, first, next(len(one[0]) for one in values if one is not None))
        kept = slot > self._newest[stream] - SLOTS
        stream, place = stream[kept], slot[kept] % SLOTS
        for column, one in enumerate(values):
            if one is not None:
                highest = np.fmax.reduceat(one.reshape(-1), starts)[kept]
                self._highest[stream, place, column] = np.fmax(self._highest[stream, place, column], highest)

    def add_frames(self, streams: IndexArray, first: IndexArray, power: FloatArray) -> None:
        """Adds power mel frames (n, t, n_mels) of n streams; `first` (n,) are the hop numbers of the first frames."""
        for start in range(0, power.shape[1], FRAMES_AT_ONCE):
            part = power[:, start : start + FRAMES_AT_ONCE]
            stream, slot, starts, within = self._slots(streams, first + start, part.shape[1])
            number = np.arange(int(within[:, -1].max()) + 1)
            sums = (within[:, None] == number[:, None]).astype(np.float32) @ part
            kept = slot > self._newest[stream] - SLOTS
            stream, place = stream[kept], slot[kept] % SLOTS
            self._power[stream, place] += sums[number <= within[:, -1:]][kept]
            self._frames[stream, place] += (np.concatenate((starts[1:], [within.size])) - starts)[kept]
            self._changed[stream, place] = True

    def advance(self, stream: int, hop: int) -> None:
        """Continues a stream without sound, up to and including a hop number."""
        self._slots(np.array([stream]), np.array([hop]), 1)

    def levels(self, stream: int) -> tuple[FloatArray, FloatArray]:
        """The share of the limit (slots,) and the cumulative sum (slots,), from the same slot on as `view`."""
        order = self._order(stream)
        return self._highest[stream, order, SHARE], self._highest[stream, order, LASTING]

    def view(self, stream: int) -> tuple[int, FloatArray, FloatArray, FloatArray]:
        """The number of the oldest slot, and from it on error (slots,), score (slots,) and spectrogram (slots, n_mels).

        The spectrogram is in dB.
        """
        order = self._order(stream)
        changed = order[self._changed[stream, order]]
        if len(changed):
            frames = self._frames[stream, changed, None]
            decibels = 10 * np.log10(np.maximum(self._power[stream, changed] / np.maximum(frames, 1), QUIETEST))
            self._decibels[stream, changed] = np.where(frames > 0, decibels, np.nan)
            self._changed[stream, changed] = False
        oldest = max(0, int(self._newest[stream]) + 1 - SLOTS)
        highest = self._highest[stream, order]
        return oldest, highest[:, ERROR], highest[:, SCORE], self._decibels[stream, order]

    def _order(self, stream: int) -> IndexArray:
        """The positions in the arrays of the slots that are kept, the oldest first."""
        newest = int(self._newest[stream])
        return np.arange(max(0, newest + 1 - SLOTS), newest + 1) % SLOTS

    def _slots(
        self, streams: IndexArray, first: IndexArray, count: int
    ) -> tuple[IndexArray, IndexArray, IndexArray, IndexArray]:
        """Divides `count` hops of each of n streams from number `first` on into slots, and clears the new ones.

        Returns:
            of each slot with hops, in the order of streams and time: the number of its stream, its number, and the
            index of its first hop among all hops; and of each hop (n, count) the number of its slot among those of its
            stream, from 0 on.
        """
        slots = ((first[:, None] + np.arange(0.5, count)) * self._per_hop).astype(np.int64)
        self._clear(streams, slots[:, -1])
        begins = np.ones(slots.shape, bool)
        np.not_equal(slots[:, 1:], slots[:, :-1], out=begins[:, 1:])
        starts = np.flatnonzero(begins)
        return streams[starts // count], slots.reshape(-1)[starts], starts, slots - slots[:, :1]

    def _clear(self, streams: IndexArray, newest: IndexArray) -> None:
        """Clears the slots of n streams that are new, up to and including number `newest` (n,)."""
        before = self._newest[streams]
        if (newest <= before).all():
            return
        begin = np.maximum(before + 1, newest + 1 - SLOTS)
        count = newest + 1 - begin
        ahead = np.arange(int(count.max()))
        new = ahead < count[:, None]
        fresh = np.repeat(streams, np.maximum(count, 0)), (begin[:, None] + ahead)[new] % SLOTS
        self._highest[fresh], self._power[fresh], self._frames[fresh], self._changed[fresh] = np.nan, 0.0, 0, True
        self._newest[streams] = np.maximum(before, newest)
