"""The event log: events as JSON lines, appended to a file."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path

from monitor.core.events import Event
from monitor.outputs.background import LineSink


class EventLog(LineSink):
    """Writes a line when an event begins, for each reminder, and when it ends; all have the same `id`.

    A line is an object with `time` (the start in ISO format, UTC), the fields of `monitor.core.events.Event`, and
    `duration_s`. `end_s` and `duration_s` are null while the event is ongoing. `bands` is a list of objects, the
    largest share first: {"low_hz": 2100.0, "high_hz": 2800.0, "share": 0.62, "change": "new"}. `cause`, `model_id` and
    `bands` are empty for events that are not anomalies.

    Args:
        path: of the file.
        wait: as in `monitor.outputs.background.BackgroundSink`.
    """

    def __init__(self, path: Path, *, wait: bool = False) -> None:
        super().__init__(path, wait=wait)

    def event(self, event: Event) -> None:
        """Writes the line of an event."""
        self._write(lambda: json.dumps(event_fields(event)) + "\n")


def event_fields(event: Event) -> dict[str, object]:
    """The JSON object of an event, as described in `EventLog`."""
    began = datetime.datetime.fromtimestamp(event.wall_time, datetime.UTC).isoformat(timespec="milliseconds")
    return {"time": began, **dataclasses.asdict(event), "duration_s": event.duration_s}
