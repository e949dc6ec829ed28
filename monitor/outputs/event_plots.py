"""Pictures of anomalies in a folder, drawn from the last mel frames."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.core.atomic_io import require_writable
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.events import Event
from monitor.core.text import counted, safe_name
from monitor.core.types import FloatArray
from monitor.outputs.background import BackgroundSink
from monitor.outputs.event_picture import AFTER_S, BEFORE_S, SHOWN_S, Excerpt, draw_event, frames_for, run_up

SPARE_S = 6.0  # further frames to keep, because a fast replay pushes 4 s of frames before it reports their events
QUEUE_SIZE = 4  # pictures; the frames of each are 2 MB
CLOSE_S = 30.0  # longest time that a picture may take at the end


class EventPlots(BackgroundSink):
    """Writes a PNG of each anomaly into a folder when it ends, or SHOWN_S after its start if it is still ongoing.

    The sink keeps about the last 70 s of mel frames. Everything that a picture shows is computed from them with the
    same model, on the sink's own thread.

    Args:
        folder: for the pictures; it is created if necessary.
        bundle: the model.
        wait: as in `BackgroundSink`.

    Raises:
        MonitorError: if the folder cannot be written.
    """

    def __init__(self, folder: Path, bundle: Bundle, *, wait: bool = False) -> None:
        try:
            require_writable(folder, "choose another folder for the pictures.")
        except ConfigError as error:  # sinks raise a MonitorError if they cannot write
            raise MonitorError(str(error)) from None
        features = bundle.config.features
        self._folder, self._bundle, self._hop_s = folder, bundle, features.hop_s
        kept = run_up(bundle) + self._hops(BEFORE_S + SHOWN_S + AFTER_S + SPARE_S)
        self._kept = np.zeros((kept, features.n_mels), np.float32)
        self._first = self._next = 0  # frame numbers of the oldest kept frame, and of the next frame
        # The ongoing anomaly, until its picture is queued, and the model that reported it.
        self._ongoing: tuple[Event, Bundle] | None = None
        super().__init__(
            str(folder), wait=wait, size=QUEUE_SIZE, amount=lambda count: counted(count, "picture"), close_s=CLOSE_S
        )

    def use_model(self, bundle: Bundle) -> None:
        """Draws the anomalies that begin from now on with another model."""
        self._bundle = bundle

    def frames(self, first: int, power: FloatArray) -> None:
        """Keeps power mel frames (t, n_mels), and queues the picture of an anomaly that began SHOWN_S ago."""
        if first != self._next:  # after a gap, or in another recording
            self._first = self._next = first
        newest = power[-len(self._kept) :]
        start = first + len(power) - len(newest)
        self._kept[np.arange(start, start + len(newest)) % len(self._kept)] = newest
        self._next = first + len(power)
        self._first = max(self._first, self._next - len(self._kept))
        if self._ongoing is not None and self._next >= self._hops(self._ongoing[0].start_s + SHOWN_S):
            self._queue_picture(*self._ongoing)

    def event(self, event: Event) -> None:
        """Notes an anomaly that begins, and queues the picture of one that ends."""
        if event.kind != "anomaly":
            return
        if event.end_s is None:
            if not event.reminders:
                self._ongoing = event, self._bundle
        elif self._ongoing is not None:
            self._queue_picture(event, self._ongoing[1])

    def close(self) -> None:
        """Draws all queued pictures and that of the ongoing anomaly, and ends the thread."""
        if self._ongoing is not None:
            self._queue_picture(*self._ongoing)
        super().close()

    def _hops(self, seconds: float) -> int:
        return round(seconds / self._hop_s)

    def _queue_picture(self, event: Event, bundle: Bundle) -> None:
        """Queues the picture of an event with the kept frames around it, as the model hears it."""
        self._ongoing = None
        first, stop = frames_for(bundle, event, self._first, self._next)
        if stop > first:
            power = self._kept[np.arange(first, stop) % len(self._kept)]
            self._put(lambda: self._draw(bundle, Excerpt(event, first, power)))

    def _draw(self, bundle: Bundle, excerpt: Excerpt) -> None:
        draw_event(bundle, excerpt, _free_path(self._folder, excerpt.event))


def _free_path(folder: Path, event: Event) -> Path:
    """The path of the picture of an event; no such file exists yet."""
    began = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(event.wall_time))
    plain = event.stream or re.sub(r"\.\w{2,4}$", "", event.source.replace("\\", "/").rpartition("/")[2])
    stem = safe_name(plain)
    path = folder / f"anomaly-{began}-{stem}.png"
    number = 2
    while path.exists():
        path = folder / f"anomaly-{began}-{stem}-{number}.png"
        number += 1
    return path
