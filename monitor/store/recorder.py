"""The recorder: the sink that puts events, warnings and minute values of all streams into the store."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from typing import NamedTuple

import numpy as np

from monitor.core.errors import MonitorError
from monitor.core.events import Event, ScoreRows, State
from monitor.core.snapshot import Snapshot
from monitor.core.text import counted
from monitor.outputs.collecting import CollectingSink
from monitor.store.minute_tally import MinuteTally
from monitor.store.running_values import RunningValues
from monitor.store.score_sums import ScoreSums
from monitor.store.share_history import AnomalyShares, ShareHistory
from monitor.store.warning_events import WarningEvents
from monitor.store.writer import StoreWriter

NO_SOUND = (State.LOST, State.NO_SIGNAL)


class _Seen(NamedTuple):
    """What counts of a snapshot, without its histories."""

    stream: str
    state: State
    level_dbfs: float
    finished: bool
    time: float  # Unix time


class Recorder(CollectingSink[Event | ScoreRows | _Seen]):
    """Records events, warnings and minute values in a store. One recorder serves all streams.

    Scores of different streams are added up together, in arrays; a stream takes time of its own only while there is an
    anomaly or a warning. The writer is not closed with the recorder, because other outputs use it, too.

    Args:
        writer: of the store.
        wait: as in `monitor.outputs.background.BackgroundSink`.
    """

    def __init__(self, writer: StoreWriter, *, wait: bool = False) -> None:
        self._writer = writer
        self._minutes, self._shares = MinuteTally(lambda rows: writer.minute(*rows)), ShareHistory()
        self._streams: dict[str, _Stream] = {}
        self._free: list[int] = []  # numbers of streams that have ended
        self._together: dict[str, ScoreRows] = {}  # by stream: scores that are to be added together
        self._levels: list[_Seen] = []  # of these streams, that followed
        self._news = False  # whether there are events that the store does not know
        self._closing = threading.Lock()
        super().__init__("store", wait=wait, amount=lambda count: counted(count, "entry", "entries"))

    @property
    def error(self) -> MonitorError | None:
        """What is wrong with the store."""
        return super().error or self._writer.error

    @error.setter
    def error(self, error: MonitorError | None) -> None:
        self._failure = error

    @property
    def dropped(self) -> int:
        """The number of entries that were lost."""
        return super().dropped + self._writer.lost

    @property
    def trouble(self) -> str:
        """Why the store cannot be written at present; empty if it can."""
        return super().trouble or self._writer.trouble

    def event(self, event: Event) -> None:
        """Records an event when it begins, is reported again, or ends."""
        self._collect(event)
        self._news = True

    def scores(self, rows: ScoreRows) -> None:
        """Adds scores to the minute values, and to the shares of the limit of warnings and anomalies."""
        if len(rows.score):
            self._collect(rows)
            self._pass_news_on()

    def snapshot(self, snapshot: Snapshot) -> None:
        """Adds the level to the minute values, or notes that nothing is heard."""
        level = snapshot.level_dbfs if math.isnan(snapshot.mean_level_dbfs) else snapshot.mean_level_dbfs
        seen = _Seen(snapshot.stream, snapshot.state, level, snapshot.finished, time.time())
        self._collect(seen)
        self._news |= snapshot.finished
        self._pass_news_on()

    def close(self) -> None:
        """Records the minutes that are not over. It may be called several times, on any thread."""
        with self._closing:
            super().close()

    def _pass_news_on(self) -> None:
        """People may have to be told of an event, now that the scores are there that it was found in."""
        if self._news:
            self._news = False
            self._process_soon()

    # From here on all is done on the sink's thread.

    def _process(self, items: deque[Event | ScoreRows | _Seen]) -> None:
        """Processes items in the order of each stream; scores of different streams are added in one computation."""
        while items:
            item = items.popleft()
            waits = item.stream in self._together
            if isinstance(item, _Seen) and self._only_heard(item):
                if waits:
                    self._levels.append(item)
                else:
                    self._minutes.level(self._stream(item.stream).number, item.level_dbfs)
                continue
            if waits:
                self._add_together()
            if isinstance(item, ScoreRows):
                self._together[item.stream] = item
            elif isinstance(item, Event):
                self._stream(item.stream).event(item)
            else:
                self._see(item)
        self._add_together()

    def _last(self) -> None:
        for name in list(self._streams):
            self._end(name)

    def _add_together(self) -> None:
        """Adds the scores that were collected, a block of each stream, and then the levels that followed them."""
        blocks, levels = self._together, self._levels
        self._together, self._levels = {}, []
        if not blocks:
            return
        streams, scores = [self._stream(name) for name in blocks], ScoreSums.of(list(blocks.values()))
        numbers = np.array([stream.number for stream in streams])
        self._minutes.scores(numbers, [rows.state for rows in blocks.values()], scores)
        self._shares.push(numbers, scores)
        for stream, rows in zip(streams, blocks.values(), strict=True):
            if stream.concerned or rows.state is State.WARNING:
                stream.scores(rows)
        for seen in levels:
            self._minutes.level(self._stream(seen.stream).number, seen.level_dbfs)

    def _only_heard(self, seen: _Seen) -> bool:
        """Whether nothing but the level counts of a snapshot."""
        return not (seen.finished or seen.state in NO_SOUND or self._stream(seen.stream).reports)

    def _see(self, seen: _Seen) -> None:
        stream = self._stream(seen.stream)
        stream.write_reports()
        if seen.finished:
            self._end(seen.stream)
        elif seen.state in NO_SOUND:
            self._minutes.not_heard_until(stream.number, seen.time)
            stream.warnings.silent(seen.time)
        else:
            self._minutes.level(stream.number, seen.level_dbfs)

    def _stream(self, name: str) -> _Stream:
        if name not in self._streams:
            number = self._free.pop() if self._free else len(self._streams)
            self._minutes.begin(number, name)
            self._shares.begin(number)
            self._streams[name] = _Stream(number, self._shares, self._writer)
        return self._streams[name]

    def _end(self, name: str) -> None:
        stream = self._streams.pop(name)
        stream.finish()
        self._minutes.flush(np.array([stream.number]))
        self._free.append(stream.number)


class _Stream:
    """The anomalies and warnings of one stream, and the events that wait to be written.

    Args:
        number: of the stream.
        shares: of all streams.
        writer: of the store.
    """

    def __init__(self, number: int, shares: ShareHistory, writer: StoreWriter) -> None:
        self.number = number
        self.warnings = WarningEvents(self._write)
        self._shares = AnomalyShares(shares, number)
        self.reports: list[Event] = []  # anomalies that are written when the scores have come that they were found in
        self._writer = writer

    @property
    def concerned(self) -> bool:
        """Whether its scores matter to an anomaly or a warning that goes on, or to an event that is to be written."""
        return bool(self.reports or self._shares or self.warnings)

    def event(self, event: Event) -> None:
        if event.kind == "anomaly":
            self.reports.append(event)
        else:
            self._writer.event(event)

    def scores(self, rows: ScoreRows) -> None:
        """Takes scores that the minute values and the shares have already."""
        self._shares.push(rows)
        self.write_reports()
        self.warnings.scores(rows)

    def finish(self) -> None:
        self.write_reports()
        self.warnings.finish()

    def write_reports(self) -> None:
        for event in self.reports:
            self._write(event, self._shares.of(event.id, event.start_s, event.end_s))
        self.reports.clear()

    def _write(self, event: Event, shares: RunningValues) -> None:
        # What is an anomaly only as a whole recording has a score and a limit of its own.
        if shares.count and event.cause != "recording":
            self._writer.event(event, peak_share=shares.highest, mean_share=shares.mean)
        elif event.threshold > 0:
            self._writer.event(event, peak_share=event.peak / event.threshold, mean_share=event.mean / event.threshold)
        else:
            self._writer.event(event)
