"""Keeps the newest events of a stream for the dashboard, and passes all that the stream reports to the sinks."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from monitor.bundle.bundle import Bundle
from monitor.core.errors import MonitorError
from monitor.core.events import Event, ScoreRows
from monitor.core.snapshot import Snapshot
from monitor.core.types import FloatArray
from monitor.detection.anomaly import Anomaly
from monitor.outputs.sink import Sink

KEPT = 100  # events

log = logging.getLogger(__name__)


class EventTracker:
    """The listener of a stream's detector: keeps the newest events, and calls the sinks.

    A new report of an event replaces the earlier one with the same id. A sink that raises an exception is not called
    again; the error is logged and kept in its `error`.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.events: deque[Event] = deque(maxlen=KEPT)  # oldest first
        self.has_news = False  # whether there was an event since the last snapshot
        self._failed: list[Sink] = []  # sinks that raised an exception
        self._use(sinks)

    @property
    def wants_samples(self) -> bool:
        """Whether there is a sink for samples."""
        return bool(self._of_samples)

    @property
    def wants_frames(self) -> bool:
        """Whether there is a sink for frames."""
        return bool(self._of_frames)

    @property
    def wants_scores(self) -> bool:
        """Whether there is a sink for scores."""
        return bool(self._of_scores)

    def use_sinks(self, sinks: Sequence[Sink], first: int, begun: FloatArray) -> None:
        """Passes everything on to these sinks from now on.

        Args:
            sinks: all sinks; those that are new receive the beginning of the present hop first.
            first: number of the frame at whose centre that hop begins.
            begun: (n,) samples of it so far, fewer than a hop.
        """
        new = [sink for sink in sinks if sink not in self._sinks]
        self._use(sinks)
        self._failed = [sink for sink in self._failed if sink in self._sinks]
        self._call_sinks(lambda sink: sink.segment(first), new)
        if len(begun):
            self._call_sinks(lambda sink: sink.samples(begun), new)

    def use_model(self, bundle: Bundle) -> None:
        """Tells the sinks that the stream is scored with another model."""
        self._call_sinks(lambda sink: sink.use_model(bundle))

    def segment(self, first: int) -> None:
        """Tells the sinks that a segment of sound begins with frame `first` of its recording."""
        self._call_sinks(lambda sink: sink.segment(first))

    def samples(self, samples: FloatArray) -> None:
        """Passes samples (n,) to the sinks, before they are scored."""
        self._call_sinks(lambda sink: sink.samples(samples), self._of_samples)

    def frames(self, first: int, power: FloatArray) -> None:
        """Passes power mel frames (t, n_mels) to the sinks."""
        self._call_sinks(lambda sink: sink.frames(first, power), self._of_frames)

    def event(self, event: Event) -> None:
        """Keeps an event that began, was reported again, or ended, and passes it to the sinks."""
        for index in range(len(self.events) - 1, -1, -1):
            if self.events[index].id == event.id:
                self.events[index] = event
                break
        else:
            self.events.append(event)
        self.has_news = True
        self._call_sinks(lambda sink: sink.event(event))

    def scores(self, rows: ScoreRows) -> None:
        """Passes the scores of windows to the sinks."""
        self._call_sinks(lambda sink: sink.scores(rows), self._of_scores)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Passes the state of the stream to the sinks."""
        self.has_news = False
        self._call_sinks(lambda sink: sink.snapshot(snapshot))

    def current(self, ongoing: Anomaly | None) -> tuple[Event, ...]:
        """The events, oldest first; that of the ongoing anomaly with its present peak and mean."""
        if ongoing is None:
            return tuple(self.events)
        return tuple(
            replace(event, peak=ongoing.peak, mean=ongoing.mean) if event.id == ongoing.id else event
            for event in self.events
        )

    def _use(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)
        self._of_samples = tuple(sink for sink in sinks if sink.wants_samples)
        self._of_frames = tuple(sink for sink in sinks if sink.wants_frames)
        self._of_scores = tuple(sink for sink in sinks if sink.wants_scores)

    def _call_sinks(self, call: Callable[[Sink], None], some: Sequence[Sink] | None = None) -> None:
        for sink in self._sinks if some is None else some:
            if sink in self._failed:
                continue
            try:
                call(sink)
            except Exception as error:  # noqa: BLE001 - a failing sink must not end the monitoring
                sink.error = MonitorError(f"{type(sink).__name__} failed: {type(error).__name__}: {error}.")
                log.error("%s", sink.error)
                self._failed.append(sink)
