"""Makes events of the times in which a stream is in the state WARNING."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from monitor.core.events import Event, ScoreRows, State
from monitor.store.running_values import RunningValues

TOGETHER_S = 30.0  # warnings with a shorter time between them are one


class WarningEvents:
    """Reports the warnings of one stream as events, each when it begins and when it is over.

    A warning ends where the anomaly begins that it becomes. Otherwise it is over when there has been none for
    `TOGETHER_S`; its end is the end of its last score. Peaks and means are those of the scores in the state WARNING.

    Args:
        report: receives the events, and their shares of the limit.
    """

    def __init__(self, report: Callable[[Event, RunningValues], None]) -> None:
        self._report = report
        self._event: Event | None = None
        self._score, self._shares = RunningValues(), RunningValues()
        self._end_s = 0.0  # end of the last score in the state WARNING
        self._warned = False  # whether the newest score is in it

    def __bool__(self) -> bool:
        """Whether a warning goes on; without one, only scores in the state WARNING change anything."""
        return self._event is not None

    def scores(self, rows: ScoreRows) -> None:
        """Takes the next scores."""
        start_s, end_s = rows.first * rows.hop_s, (rows.first + len(rows.score)) * rows.hop_s
        if rows.first == 0 or start_s < self._end_s - rows.hop_s:  # another recording
            self.finish()
        elif start_s - self._end_s >= TOGETHER_S:
            self._finish(self._end_s, cut_off=self._warned)
        if rows.state is State.WARNING:
            self._add(rows, start_s, end_s)
        elif rows.state is State.ANOMALY:
            self._finish(max(self._end_s, start_s), cut_off=False)
        elif end_s - self._end_s >= TOGETHER_S:
            self._finish(self._end_s, cut_off=False)
        self._warned = rows.state is State.WARNING

    def silent(self, time: float) -> None:
        """There is no sound at present; `time` is the Unix time."""
        if self._event is not None:
            ended = self._event.wall_time + self._end_s - self._event.start_s
            if not 0 <= time - ended < TOGETHER_S:
                self.finish()

    def finish(self) -> None:
        """Ends an ongoing warning, because the sound ends."""
        self._finish(self._end_s, cut_off=self._warned)
        self._end_s, self._warned = 0.0, False

    def _add(self, rows: ScoreRows, start_s: float, end_s: float) -> None:
        began = self._event is None
        event = self._event or Event(
            "warning", start_s, None, rows.wall_time, rows.source, -math.inf, reported_s=start_s, stream=rows.stream
        )
        self._score.add(RunningValues.of(rows.score))
        self._shares.add(RunningValues.of(rows.share))
        if self._score.count:
            event = replace(event, peak=self._score.highest, mean=self._score.mean)
        self._event, self._end_s = replace(event, threshold=rows.threshold), end_s
        if began:
            self._report(self._event, self._shares)

    def _finish(self, end_s: float, *, cut_off: bool) -> None:
        if self._event is not None:
            self._report(replace(self._event, end_s=end_s, cut_off=cut_off), self._shares)
        self._event, self._score, self._shares = None, RunningValues(), RunningValues()
