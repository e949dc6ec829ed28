"""Minute values of days, of which those that are over are read only once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import pairwise

from monitor.store.calendar_days import DayMinutes, minutes_by_day
from monitor.store.database import Store

LATE_S = 900.0  # so long after its end a day's minutes may still be written
MOST_KEPT = 5000  # days that are remembered


class PastDays:
    """The minute values of days that are over, which do not change any more. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[tuple[int, ...], float, float], DayMinutes] = {}

    def read(self, store: Store, starts: Sequence[float], streams: tuple[int, ...], now: float) -> list[DayMinutes]:
        """As `minutes_by_day`; each past day is read once."""
        found: list[DayMinutes] = []
        for begin, end in pairwise(starts):
            key = (streams, begin, end)
            with self._lock:
                known = self._known.get(key)
            if known is None:
                known = DayMinutes() if begin > now else minutes_by_day(store, (begin, end), streams)[0]
                if end + LATE_S < now:
                    self._keep(key, known)
            found.append(known)
        return found

    def _keep(self, key: tuple[tuple[int, ...], float, float], day: DayMinutes) -> None:
        with self._lock:
            while len(self._known) >= MOST_KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key] = day
