"""How near the alarm one stream was in the last minutes, and the highest and mean share of its anomalies."""

from __future__ import annotations

import math
from collections import deque

from monitor.core.events import ScoreRows
from monitor.store.running_values import RunningValues

KEPT_S = 900  # seconds that are remembered: the evidence for an anomaly may begin minutes before its report


class ShareHistory:
    """The shares of the limit of one stream, by seconds of its recording."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, RunningValues]] = deque()

    def push(self, rows: ScoreRows) -> None:
        """Adds the next windows. With the first window of a recording, what was before is forgotten."""
        if rows.first == 0:
            self._seconds.clear()
        begin, count = 0, len(rows.share)
        while begin < count:
            second = int((rows.first + begin) * rows.hop_s + 1e-9)
            end = min(count, max(begin + 1, math.ceil((second + 1) / rows.hop_s - 1e-6) - rows.first))
            if not self._seconds or self._seconds[-1][0] != second:
                self._seconds.append((second, RunningValues()))
            self._seconds[-1][1].add(RunningValues.of(rows.share[begin:end]))
            begin = end
        while self._seconds and self._seconds[0][0] < self._seconds[-1][0] - KEPT_S:
            self._seconds.popleft()

    def since(self, position_s: float) -> RunningValues:
        """The shares from a position in the recording, in seconds, to the newest, as far as they are remembered."""
        shares = RunningValues()
        for second, part in reversed(self._seconds):
            if second < math.floor(position_s):
                break
            shares.add(part)
        return shares


class AnomalyShares:
    """The shares of the limit of the ongoing anomaly of one stream, from its onset to its end."""

    def __init__(self) -> None:
        self._history = ShareHistory()
        self._ongoing: dict[str, RunningValues] = {}  # by event id

    def push(self, rows: ScoreRows) -> None:
        """Adds the next windows."""
        new = RunningValues.of(rows.share)
        for shares in self._ongoing.values():
            shares.add(new)
        self._history.push(rows)

    def of(self, event_id: str, start_s: float, end_s: float | None) -> RunningValues:
        """The shares of an anomaly up to now, or from its onset to its end.

        Args:
            event_id: of the anomaly.
            start_s, end_s: its onset, and its end if it is over, in seconds of the recording.
        """
        shares = self._ongoing.get(event_id) or self._history.since(start_s)
        if end_s is None:
            self._ongoing[event_id] = shares
            return shares
        self._ongoing.pop(event_id, None)
        later = self._history.since(end_s)  # an anomaly is over when it has been quiet for a while
        return RunningValues(shares.total - later.total, shares.count - later.count, shares.highest)
