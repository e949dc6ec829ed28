"""The anomalies of each stream, and the seconds not heard, since midnight."""

from __future__ import annotations

import time
from collections.abc import Sequence

from monitor.core.snapshot import Snapshot

Totals = tuple[int, float]  # anomalies, and seconds not heard


class DayTotals:
    """Counts since the last midnight, local time, or since the monitoring began if that was later."""

    def __init__(self) -> None:
        self._day: tuple[int, ...] = ()
        self._before: dict[str, Totals] = {}  # of each stream by its name, until midnight
        self._newest: dict[str, Totals] = {}

    def update(self, snapshots: Sequence[Snapshot], now: float) -> tuple[Totals, ...]:
        """The totals of each stream, from its newest snapshot; `now` is the Unix time."""
        day = tuple(time.localtime(now))[:3]
        if day != self._day:
            # the first day's counts begin with the monitoring
            self._before, self._day = self._newest, day
        last, self._newest = self._newest, {shown.stream: (shown.anomalies, shown.lost_s) for shown in snapshots}
        return tuple(self._of_today(name, last.get(name, (0, 0.0))) for name in (shown.stream for shown in snapshots))

    def _of_today(self, name: str, last: Totals) -> Totals:
        (count, lost_s), (before, lost_before) = self._newest[name], self._before.get(name, (0, 0.0))
        if count < last[0] or lost_s < last[1]:  # the stream was made anew, and counts from 0
            before, lost_before = before - last[0], lost_before - last[1]
            self._before[name] = before, lost_before
        return count - before, lost_s - lost_before
