"""The queue of events for an MQTT broker: bounded, and emptied only by the broker's acknowledgements."""

from __future__ import annotations

import threading
from collections import deque

from monitor.core.events import Event

SIZE = 2000  # events


class Outbox:
    """Holds events until they are acknowledged. If it is full, the oldest event is lost, and counted in `lost`.

    An event is taken to be sent; then it is either acknowledged or put back, before those that came later. May be used
    by several threads.
    """

    def __init__(self, size: int = SIZE) -> None:
        self.lost = 0
        self._size = size
        self._waiting: deque[Event] = deque()
        self._taken: deque[Event] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._taken)

    def put(self, event: Event) -> None:
        """Adds an event."""
        with self._lock:
            self._waiting.append(event)
            self._drop_oldest()

    def take(self) -> Event | None:
        """The oldest event that has not been taken yet; None if there is none."""
        with self._lock:
            if not self._waiting:
                return None
            self._taken.append(self._waiting.popleft())
            return self._taken[-1]

    def acknowledge(self, event: Event) -> None:
        """Removes an event that was taken, because the broker has it."""
        with self._lock:
            self._taken.remove(event)

    def put_back(self) -> None:
        """Puts all events back that were taken and not acknowledged, because the connection ended."""
        with self._lock:
            self._waiting.extendleft(reversed(self._taken))
            self._taken.clear()
            self._drop_oldest()

    def give_up(self, *, only_taken: bool = False) -> None:
        """Counts all events, or those that were taken, as lost, because nobody will send them any more."""
        with self._lock:
            self.lost += len(self._taken)
            self._taken.clear()
            if not only_taken:
                self.lost += len(self._waiting)
                self._waiting.clear()

    def _drop_oldest(self) -> None:
        while self._waiting and len(self) > self._size:
            self._waiting.popleft()
            self.lost += 1
