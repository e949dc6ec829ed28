"""The newest snapshot of each stream, and counts since the start: cheap to update, read when metrics are asked for."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Collection

from monitor.core.events import Event, ScoreRows
from monitor.core.snapshot import Snapshot

ONGOING = 1000  # events of which the end is awaited; older ones are no longer expected to end


class Tally:
    """Counts the scored sound and the events of streams. May be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held for microseconds
        self._snapshots: dict[str, Snapshot] = {}
        self._scored_s: defaultdict[str, float] = defaultdict(float)
        self._events: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._ongoing: dict[str, None] = {}  # ids of events that were counted and have not ended, oldest first

    def update(self, snapshot: Snapshot) -> None:
        """Keeps the newest snapshot of a stream."""
        with self._lock:
            self._snapshots[snapshot.stream] = snapshot

    def scored(self, rows: ScoreRows) -> None:
        """Adds the length of the sound that these scores are of."""
        with self._lock:
            self._scored_s[rows.stream] += len(rows.score) * rows.hop_s

    def event(self, event: Event) -> None:
        """Counts an event, once for all its reports."""
        with self._lock:
            if event.id not in self._ongoing:
                self._events[event.stream][event.kind] += 1
            if event.end_s is None:
                self._ongoing[event.id] = None
            else:
                self._ongoing.pop(event.id, None)
            if len(self._ongoing) > ONGOING:
                del self._ongoing[next(iter(self._ongoing))]

    def keep(self, streams: Collection[str]) -> None:
        """Forgets all streams but these."""
        with self._lock:
            for name in self._snapshots.keys() - set(streams):
                for kept in (self._snapshots, self._scored_s, self._events):
                    kept.pop(name, None)

    def snapshots(self) -> dict[str, Snapshot]:
        """The newest snapshot of each stream, by its name."""
        with self._lock:
            return dict(self._snapshots)

    def scored_s(self, stream: str) -> float:
        """The seconds of a stream that were scored."""
        return self._scored_s.get(stream, 0.0)

    def events(self, stream: str) -> dict[str, int]:
        """The number of events of a stream, by kind."""
        with self._lock:
            return dict(self._events.get(stream, {}))
