"""How near the alarm all streams were in the last minutes, and the highest and mean share of their anomalies."""

from __future__ import annotations

import math

import numpy as np

from monitor.core.events import ScoreRows
from monitor.core.types import IndexArray
from monitor.store.running_values import RunningValues
from monitor.store.score_sums import SHARE, ScoreSums, where_new

KEPT_S = 900  # seconds that are remembered: the evidence for an anomaly may begin minutes before its report
_NONE = -1  # for a second: nothing is remembered
_SECOND = np.dtype([("second", np.int64), ("count", np.int64), ("total", np.float64), ("highest", np.float64)])


class ShareHistory:
    """The shares of the limit of all streams, which are numbered from 0, by seconds of their recordings."""

    def __init__(self) -> None:
        self._kept = np.zeros((0, KEPT_S + 1), _SECOND)  # (streams, seconds): second s is at s modulo their number
        self._newest = np.zeros(0, np.int64)  # (streams,) the newest second, or _NONE

    def begin(self, stream: int) -> None:
        """A stream begins, or another one gets its number: nothing is remembered of it."""
        if stream >= len(self._newest):
            more = len(self._newest) + 1  # twice as many, so that this happens seldom
            self._kept = np.concatenate([self._kept, np.zeros((more, KEPT_S + 1), _SECOND)])
            self._newest = np.concatenate([self._newest, np.full(more, _NONE)])
        self._forget(np.array([stream]))

    def push(self, streams: IndexArray, scores: ScoreSums) -> None:
        """Adds a block of scores of each of n different streams (n,). Another recording replaces the one before."""
        starts = where_new(scores.block, scores.second)
        block, second = scores.block[starts], scores.second[starts]
        first, last = second[where_new(block)], second[np.append(where_new(block)[1:], len(block)) - 1]
        self._forget(streams[(scores.first == 0) | (first < self._newest[streams])])
        self._newest[streams] = last
        remembered = np.flatnonzero(second >= last[block] - KEPT_S)  # of a block that is longer, the end
        sums, second, rows = scores.sums.over(starts), second[remembered], streams[block[remembered]]
        total, count, highest = (one[SHARE, remembered] for one in (sums.total, sums.count, sums.highest))
        places = rows, second % (KEPT_S + 1)
        goes_on = self._kept["second"][places] == second
        self._kept["total"][places] = total + np.where(goes_on, self._kept["total"][places], 0.0)
        self._kept["count"][places] = count + np.where(goes_on, self._kept["count"][places], 0)
        self._kept["highest"][places] = np.fmax(highest, np.where(goes_on, self._kept["highest"][places], np.nan))
        self._kept["second"][places] = second

    def since(self, stream: int, position_s: float) -> RunningValues:
        """The shares from a position in the recording, in seconds, to the newest, as far as they are remembered."""
        kept = self._kept[stream]
        oldest = max(0, math.floor(position_s), int(self._newest[stream]) - KEPT_S)
        found = kept[(kept["second"] >= oldest) & (kept["count"] > 0)]
        if not len(found):
            return RunningValues()
        return RunningValues(float(found["total"].sum()), int(found["count"].sum()), float(found["highest"].max()))

    def _forget(self, streams: IndexArray) -> None:
        self._kept["second"][streams] = self._newest[streams] = _NONE


class AnomalyShares:
    """The shares of the limit of the ongoing anomalies of one stream, from their onset to their end.

    Args:
        history: of all streams.
        stream: number of this one in it.
    """

    def __init__(self, history: ShareHistory, stream: int) -> None:
        self._history, self._stream = history, stream
        self._ongoing: dict[str, RunningValues] = {}  # by event id

    def __bool__(self) -> bool:
        """Whether there is an ongoing anomaly, so that `push` has to be called."""
        return bool(self._ongoing)

    def push(self, rows: ScoreRows) -> None:
        """Adds the next windows, which are in the history already."""
        new = RunningValues.of(rows.share)
        for shares in self._ongoing.values():
            shares.add(new)

    def of(self, event_id: str, start_s: float, end_s: float | None) -> RunningValues:
        """The shares of an anomaly up to now, or from its onset to its end.

        Args:
            event_id: of the anomaly.
            start_s, end_s: its onset, and its end if it is over, in seconds of the recording.
        """
        shares = self._ongoing.get(event_id) or self._history.since(self._stream, start_s)
        if end_s is None:
            self._ongoing[event_id] = shares
            return shares
        self._ongoing.pop(event_id, None)
        later = self._history.since(self._stream, end_s)  # an anomaly is over when it has been quiet for a while
        return RunningValues(shares.total - later.total, shares.count - later.count, shares.highest)
