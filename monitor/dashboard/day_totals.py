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
        self._before: list[Totals] = []  # of each stream, until midnight
        self._newest: list[Totals] = []

    def update(self, snapshots: Sequence[Snapshot], now: float) -> tuple[Totals, ...]:
        """The totals of each stream, from its newest snapshot; `now` is the Unix time."""
        day = tuple(time.localtime(now))[:3]
        if day != self._day:
            # the first day's counts begin with the monitoring
            self._before = self._newest or [(0, 0.0)] * len(snapshots)
            self._day = day
        self._newest = [(shown.anomalies, shown.lost_s) for shown in snapshots]
        return tuple(
            (count - before, lost_s - lost_before)
            for (count, lost_s), (before, lost_before) in zip(self._newest, self._before, strict=True)
        )
