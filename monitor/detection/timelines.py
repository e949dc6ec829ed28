"""The history of the last minute of many streams in slots of a tenth of a second, for the dashboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.types import BoolArray, FloatArray, IndexArray
from monitor.detection.slots import SLOTS, HopsInSlots, SlotRing

SLOT_S = 0.1
QUIETEST = 1e-12  # power, -120 dB: quieter bands are shown as this
FRAMES_AT_ONCE = 100  # the work to add them up grows with their number times that of their slots
ERROR, SCORE, SHARE, LASTING = range(4)  # columns of what the highest value of each slot is kept of

# Returns error, score, share of the limit and cumulative sum (m,) of each slot; NaN: none.
HighestIn = Callable[[HopsInSlots], Sequence[NDArray[Any]]]


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
        self._advanced = np.full(count, -1)  # number of the newest slot of each stream without sound
        self._scored, self._heard = SlotRing(count), SlotRing(count)  # the slots with windows, and those with frames
        # The arrays below are not written to for streams that are not in use, so they occupy no memory.
        self._highest = np.empty((count, SLOTS, 4), np.float32)
        self._power = np.empty((count, SLOTS, n_mels), np.float32)  # sum over the frames of the slot
        self._frames = np.empty((count, SLOTS), np.int32)  # number of these frames
        self._decibels = np.empty((count, SLOTS, n_mels), np.float32)
        self._changed: BoolArray = np.empty((count, SLOTS), bool)  # whether `_decibels` has to be computed again

    def reset(self, stream: int) -> None:
        """Forgets the last minute of a stream."""
        self._advanced[stream] = self._scored.newest[stream] = self._heard.newest[stream] = -1

    def take_over(self, stream: int, other: Timelines, other_stream: int) -> None:
        """Gives a stream the last minute of a stream of other timelines."""
        for ours, theirs in zip(self._arrays, other._arrays, strict=True):
            ours[stream] = theirs[other_stream]

    def add_highest(self, streams: IndexArray, first: IndexArray, count: int, highest_in: HighestIn) -> None:
        """Adds values of `count` hops of each of n streams.

        Args:
            streams: (n,) numbers of the streams.
            first: (n,) hop number of the first of them.
            count: number of hops.
            highest_in: returns the highest values in the slots of these hops.
        """
        hops = HopsInSlots.of(first, count, self._per_hop)
        places = self._scored.enter(streams, hops)
        places.skip(self._highest, np.nan)
        places.put(self._highest, np.stack(highest_in(hops), axis=1).astype(np.float32), np.fmax)

    def add_frames(self, streams: IndexArray, first: IndexArray, power: FloatArray) -> None:
        """Adds power mel frames (n, t, n_mels) of n streams; `first` (n,) are the hop numbers of the first frames."""
        for start in range(0, power.shape[1], FRAMES_AT_ONCE):
            part = power[:, start : start + FRAMES_AT_ONCE]
            hops = HopsInSlots.of(first + start, part.shape[1], self._per_hop)
            places = self._heard.enter(streams, hops)
            for values, empty in ((self._power, 0.0), (self._frames, 0), (self._changed, True)):
                places.skip(values, empty)
            places.put(self._power, hops.sums(part), np.add)
            places.put(self._frames, hops.counts, np.add)
            places.put(self._changed, np.ones(len(hops.slot), bool), np.logical_or)

    def advance(self, stream: int, hop: int) -> None:
        """Continues a stream without sound, up to and including a hop number."""
        [slot] = HopsInSlots.of(np.array([hop]), 1, self._per_hop).slot.tolist()
        self._advanced[stream] = max(slot, int(self._advanced[stream]))

    def levels(self, stream: int) -> tuple[FloatArray, FloatArray]:
        """The share of the limit (slots,) and the cumulative sum (slots,), from the same slot on as `view`."""
        highest = self._highest_in(stream, self._slots(stream))
        return highest[:, SHARE], highest[:, LASTING]

    def view(self, stream: int) -> tuple[int, FloatArray, FloatArray, FloatArray]:
        """The number of the oldest slot, and from it on error (slots,), score (slots,) and spectrogram (slots, n_mels).

        The spectrogram is in dB.
        """
        slots = self._slots(stream)
        heard = slots[slots <= self._heard.newest[stream]] % SLOTS
        changed = heard[self._changed[stream, heard]]
        if len(changed):
            frames = self._frames[stream, changed, None]
            decibels = 10 * np.log10(np.maximum(self._power[stream, changed] / np.maximum(frames, 1), QUIETEST))
            self._decibels[stream, changed] = np.where(frames > 0, decibels, np.nan)
            self._changed[stream, changed] = False
        highest = self._highest_in(stream, slots)
        spectrogram = _extended(self._decibels[stream, heard], len(slots))
        return max(0, self._newest(stream) + 1 - SLOTS), highest[:, ERROR], highest[:, SCORE], spectrogram

    def _newest(self, stream: int) -> int:
        """The number of the newest slot of a stream, -1 if there is none."""
        return max(int(one[stream]) for one in (self._scored.newest, self._heard.newest, self._advanced))

    def _slots(self, stream: int) -> IndexArray:
        """The numbers of the slots that are kept of a stream, ascending."""
        newest = self._newest(stream)
        return np.arange(max(0, newest + 1 - SLOTS), newest + 1)

    def _highest_in(self, stream: int, slots: IndexArray) -> FloatArray:
        """The highest values (slots, 4) of a stream in its newest slots, whose numbers are given."""
        return _extended(self._highest[stream, slots[slots <= self._scored.newest[stream]] % SLOTS], len(slots))

    @property
    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return (
            self._advanced, self._scored.newest, self._heard.newest,
            self._highest, self._power, self._frames, self._decibels, self._changed,
        )  # fmt: skip


def _extended(values: FloatArray, count: int) -> FloatArray:
    """Values (m, width), followed by NaN: (count, width)."""
    if len(values) == count:
        return values
    return np.concatenate((values, np.full((count - len(values), values.shape[1]), np.nan, np.float32)))
