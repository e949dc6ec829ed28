"""The recorder: the sink that puts events, warnings and minute values of all streams into the store."""

from __future__ import annotations

import threading
import time

from monitor.core.errors import MonitorError
from monitor.core.events import Event, ScoreRows, State
from monitor.core.snapshot import Snapshot
from monitor.outputs.sink import Sink
from monitor.store.minute_tally import MinuteTally
from monitor.store.running_values import RunningValues
from monitor.store.share_history import AnomalyShares
from monitor.store.warning_events import WarningEvents
from monitor.store.writer import StoreWriter

NO_SOUND = (State.LOST, State.NO_SIGNAL)


class Recorder(Sink):
    """Records events, warnings and minute values in a store. One recorder serves all streams.

    The writer is not closed with the recorder, because other outputs use it, too.

    Args:
        writer: of the store.
    """

    def __init__(self, writer: StoreWriter) -> None:
        self._writer = writer
        self._failure: MonitorError | None = None  # of the recorder's own code
        self._streams: dict[str, _Stream] = {}
        self._closing = threading.Lock()

    @property
    def error(self) -> MonitorError | None:
        """What is wrong with the store."""
        return self._failure or self._writer.error

    @error.setter
    def error(self, error: MonitorError | None) -> None:
        self._failure = error

    @property
    def dropped(self) -> int:
        """The number of entries that were lost."""
        return self._writer.lost

    @property
    def trouble(self) -> str:
        """Why the store cannot be written at present; empty if it can."""
        return str(self._failure) if self._failure else self._writer.trouble

    def event(self, event: Event) -> None:
        """Records an event when it begins, is reported again, or ends."""
        self._stream(event.stream).event(event)

    def scores(self, rows: ScoreRows) -> None:
        """Adds scores to the minute values, and to the shares of the limit of warnings and anomalies."""
        if len(rows.score):
            self._stream(rows.stream).scores(rows)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Adds the level to the minute values, or notes that nothing is heard."""
        stream = self._stream(snapshot.stream)
        stream.snapshot(snapshot)
        if snapshot.finished:
            stream.finish()
            del self._streams[snapshot.stream]

    def close(self) -> None:
        """Records the minutes that are not over. It may be called several times, on any thread."""
        with self._closing:
            for stream in self._streams.values():
                stream.finish()
            self._streams.clear()

    def _stream(self, name: str) -> _Stream:
        if name not in self._streams:
            self._streams[name] = _Stream(name, self._writer)
        return self._streams[name]


class _Stream:
    """What is recorded of one stream."""

    def __init__(self, name: str, writer: StoreWriter) -> None:
        self._minutes = MinuteTally(name, writer.minute)
        self._warnings = WarningEvents(self._write)
        self._shares = AnomalyShares()
        self._reports: list[Event] = []  # anomalies that are written when the scores have come that they were found in
        self._writer = writer

    def event(self, event: Event) -> None:
        if event.kind == "anomaly":
            self._reports.append(event)
        else:
            self._writer.event(event)

    def scores(self, rows: ScoreRows) -> None:
        self._minutes.scores(rows)
        self._shares.push(rows)
        self._write_reports()
        self._warnings.scores(rows)

    def snapshot(self, snapshot: Snapshot) -> None:
        self._write_reports()
        if snapshot.finished:
            return
        if snapshot.state in NO_SOUND:
            now = time.time()
            self._minutes.not_heard_until(now)
            self._warnings.silent(now)
        else:
            self._minutes.level(snapshot.level_dbfs)

    def finish(self) -> None:
        self._write_reports()
        self._warnings.finish()
        self._minutes.flush()

    def _write_reports(self) -> None:
        for event in self._reports:
            self._write(event, self._shares.of(event.id, event.start_s, event.end_s))
        self._reports.clear()

    def _write(self, event: Event, shares: RunningValues) -> None:
        # What is an anomaly only as a whole recording has a score and a limit of its own.
        if shares.count and event.cause != "recording":
            self._writer.event(event, peak_share=shares.highest, mean_share=shares.mean)
        elif event.threshold > 0:
            self._writer.event(event, peak_share=event.peak / event.threshold, mean_share=event.mean / event.threshold)
        else:
            self._writer.event(event)
