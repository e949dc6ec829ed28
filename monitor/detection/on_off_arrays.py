"""Whether machines are running, for many streams: those that are loud enough are looked at together."""

from __future__ import annotations

from operator import attrgetter

import numpy as np

from monitor.core.types import BoolArray, DoubleArray, IndexArray
from monitor.detection.on_off import OnOff, OnOffRecord, block_frames, quiet_frames
from monitor.detection.records import records

_FIELDS = attrgetter(*OnOffRecord.__dataclass_fields__)


class OnOffArrays:
    """The state of `OnOff` of `count` streams.

    Args:
        count: number of streams; `begin` gives each its level.
        hop_s: seconds from one frame to the next.
    """

    def __init__(self, count: int, hop_s: float) -> None:
        self._record, self._hop_s = records(OnOffRecord, count), hop_s
        self._tail = np.full((count, quiet_frames(hop_s) - 1), np.inf)  # mean squares of the last frames

    def begin(self, stream: int, off_below_dbfs: float) -> None:
        """Gives a stream a level, and restarts it."""
        self.put(stream, OnOff(off_below_dbfs, self._hop_s))

    def get(self, stream: int) -> OnOff:
        """A copy of one stream."""
        return OnOff.of(OnOffRecord(*self._record[stream].item()), self._tail[stream].copy(), self._hop_s)

    def put(self, stream: int, machine: OnOff) -> None:
        """Sets one stream."""
        self._record[stream], self._tail[stream] = _FIELDS(machine.record), machine.tail

    def calm(self, streams: IndexArray, mean_square: DoubleArray) -> BoolArray:
        """Which machines are neither off nor quiet, and cannot be by frames like these: (n,).

        Args:
            streams: (n,) numbers of the streams.
            mean_square: (n, t) levels of their next frames.
        """
        record = self._record[streams]
        limit = record["limit"]
        found: BoolArray = ~record["off"] & (record["sum"] >= limit * record["count"])
        found &= (mean_square >= limit[:, None]).all(axis=1)
        return found

    def push_calm(self, streams: IndexArray, mean_square: DoubleArray) -> None:
        """Processes the levels (n, t) of the next frames of n streams, for which `calm` says so."""
        record, frames = self._record[streams], mean_square.shape[1]
        used = record["limit"] > 0  # otherwise the machine never counts as off
        count = record["count"] + frames
        over = count >= block_frames(self._hop_s)
        count %= block_frames(self._hop_s)
        counted = np.arange(frames) >= np.where(over, frames - count, 0)[:, None]
        record["sum"] = np.where(over, 0.0, record["sum"]) + np.where(counted, mean_square, 0.0).sum(axis=1)
        record["count"], record["below"] = count, np.where(over, 0, record["below"])
        self._record[streams[used]] = record[used]
        size = self._tail.shape[1]
        newest = mean_square if frames >= size else np.concatenate((self._tail[streams], mean_square), axis=1)
        self._tail[streams] = newest[:, newest.shape[1] - size :]
