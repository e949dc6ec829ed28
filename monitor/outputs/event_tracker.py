"""The events of one stream: kept for the screen, given to the sinks. At most one of them lasts at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from monitor.detection.alarm import Anomaly
from monitor.outputs.sink import Sink
from monitor.core.snapshot import Event

KEPT = 100


class Journal:
    """Takes events when they begin and when they end, and puts the stream's name on them."""

    def __init__(self, sinks: Sequence[Sink], stream: str = "") -> None:
        self.events: deque[Event] = deque(maxlen=KEPT)
        self.anomalies = 0
        self._sinks, self._stream = sinks, stream

    def tell(self, event: Event) -> None:
        """An event; one that lasted is ended by it, and keeps the time at which it was first told to have begun."""
        event = replace(event, stream=self._stream)
        if self.events and self.events[-1].end_s is None:
            event = replace(event, start_s=self.events[-1].start_s, wall_time=self.events[-1].wall_time)
            self.events.pop()
        elif event.kind == "anomaly":
            self.anomalies += 1
        self.events.append(event)
        for sink in self._sinks:
            sink.event(event)

    def shown(self, lasting: Anomaly | None) -> tuple[Event, ...]:
        """The events for the screen; the last one with what is known by now of the anomaly that lasts."""
        events = tuple(self.events)
        if lasting is None or not events:
            return events
        return (*events[:-1], replace(events[-1], peak=lasting.peak, mean=lasting.mean))
