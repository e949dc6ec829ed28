"""The monitor in lines of text, for log files, pipes and terminals that cannot do more."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from monitor.dashboard.widgets.stream_order import counts, times_threshold
from monitor.dashboard.render.formatting import band_list, cause, duration, level, name, number, pace, span
from monitor.dashboard.render.theme import ASCII
from monitor.core.snapshot import Event, Snapshot, State

_Key = tuple[str, str, float, float]
_Told = tuple[bool, int]  # of an event: whether it was told as ended, and how many reminders there had been
_ROOM = 120  # characters for the frequencies of an anomaly


class PlainLogs:
    """One stream's log, or, of several, each line with its stream's name, and one summary of all of them."""

    def __init__(
        self, write: Callable[[str], None], every_s: float = 10.0, clock: Callable[[], float] = time.time
    ) -> None:
        """Takes what `PlainLog` does."""
        self._all = PlainLog(write, every_s, clock)
        self._make = partial(PlainLog, write, every_s, clock)
        self._each: list[PlainLog] = []
        self._every_s, self._next_s = every_s, 0.0  # in seconds of `uptime_s`

    def say(self, text: str) -> None:
        """Writes one line of its own."""
        self._all.say(text)

    def update(self, snapshots: Sequence[Snapshot]) -> None:
        """Writes what is new."""
        if len(snapshots) == 1:
            self._all.update(snapshots[0])
            return
        self._each = self._each or [self._make(shown.stream) for shown in snapshots]
        for log, shown in zip(self._each, snapshots, strict=True):
            log.update(shown)
        uptime_s = max(shown.uptime_s for shown in snapshots)
        if uptime_s >= self._next_s:
            self._next_s = uptime_s + self._every_s
            states = ", ".join(f"{count} {state}" for state, count in counts(snapshots))
            load = number(100 * max(shown.load for shown in snapshots))
            highest = max(snapshots, key=lambda shown: -1.0 if math.isnan(x := times_threshold(shown)) else x)
            self.say(
                f"{len(snapshots)} streams: {states}  highest score {number(highest.score)} of "
                f"{number(highest.threshold)} in {highest.stream}  load {load} %"
            )


class PlainLog:
    """Writes a line for each change of state, each event that begins, goes on or ends, and now and then a summary.

    With a stream's name there is no summary, and the name stands before each line.

    Every line begins with the local time in ISO form, and is plain ASCII. Summaries come by the wall clock: a
    replay that runs a thousand times as fast would fill the log otherwise, and a lost source must not silence
    it.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        every_s: float = 10.0,
        clock: Callable[[], float] = time.time,
        stream: str = "",
    ) -> None:
        """Takes where lines go (they come without a newline), and how often to summarise in seconds."""
        self._write, self._stream = write, f"{stream}: " if stream else ""
        self._every_s = math.inf if stream else every_s
        self._clock = clock
        self._state: State | None = None
        self._told: dict[_Key, _Told] = {}
        self._next_s = -math.inf  # in seconds of `uptime_s`
        self._finished = False

    def say(self, text: str) -> None:
        """Writes one line of its own."""
        at = datetime.fromtimestamp(self._clock()).astimezone().isoformat(timespec="seconds")
        self._write(f"{at} {name(self._stream + text, ASCII)}")

    def update(self, snapshot: Snapshot) -> None:
        """Writes what is new in `snapshot`."""
        if self._state is None:
            self.say(
                f"hearing {snapshot.source}; model {snapshot.model}; {snapshot.score_kind} score,"
                f" threshold {number(snapshot.threshold)} ({snapshot.threshold_note})"
            )
        self._tell_events(snapshot.events, snapshot.position_s)
        changed = snapshot.state is not self._state
        ended = snapshot.finished and not self._finished
        if changed or ended or snapshot.uptime_s >= self._next_s:
            before = f" (was {self._state})" if changed and self._state is not None else ""
            self.say(_summary(snapshot, before))
            self._next_s = snapshot.uptime_s + self._every_s
        if ended:
            count = snapshot.anomalies
            self.say(f"ended after {span(snapshot.position_s)}; {count} anomal{'y' if count == 1 else 'ies'}")
            if snapshot.failure and snapshot.stream:  # of a single one the program itself says so
                self.say(snapshot.failure)
        self._state, self._finished = snapshot.state, snapshot.finished

    def _tell_events(self, events: tuple[Event, ...], position_s: float) -> None:
        told: dict[_Key, _Told] = {}
        for event in events:
            key = (event.kind, event.source, event.start_s, event.wall_time)
            told[key] = (event.end_s is not None, event.reminders)
            before = self._told.get(key)
            if before is None or before[0] != told[key][0]:
                self.say(_event(event))
            elif event.end_s is None and before != told[key]:
                self.say(_reminder(event, position_s))
        self._told = told


def _summary(snapshot: Snapshot, before: str) -> str:
    parts = [f"{snapshot.state}{before}", f"score {number(snapshot.score)} of {number(snapshot.threshold)}"]
    if snapshot.score_kind != "error":
        parts.append(f"error {number(snapshot.error)} of {number(snapshot.error_threshold)}")
    parts += [
        f"level {level(snapshot.level_dbfs)} dBFS",
        f"at {span(snapshot.position_s)}",
        f"speed {pace(snapshot.speed)}",
        f"load {number(100 * snapshot.load)} %",
    ]
    if snapshot.dropped_samples:
        parts.append(f"{snapshot.dropped_samples} samples dropped")
    return "  ".join(parts)


def _event(event: Event) -> str:
    at = f"at {span(event.start_s)} in {event.source}"
    long = "" if event.duration_s is None else duration(event.duration_s)
    if event.kind == "anomaly":
        return f"anomaly {f'ended after {long}, ' if long else ''}began {at}: {_why(event)}"
    if event.kind == "off":
        return f"machine on again after {long}, was off {at}" if long else f"machine off {at}"
    if event.kind == "drift":
        return f"what is normal has followed the machine, {100 * event.peak:.0f} % of the cap, {at}"
    if event.kind == "gap":
        return f"gap of {event.lost_samples} samples {at}"
    if event.kind == "lost":
        return f"sound is back after {long}, was lost {at}" if long else f"sound lost {at}"
    return f"{event.kind} ended after {long}, began {at}" if long else f"{event.kind} began {at}"


def _reminder(event: Event, position_s: float) -> str:
    at = f"at {span(event.start_s)} in {event.source}"
    return f"anomaly goes on for {span(position_s - event.start_s)}, began {at}: {_why(event)}"


def _why(event: Event) -> str:
    """Cause, frequencies, peak and threshold of an anomaly."""
    peak = f"peak {number(event.peak)}, threshold {number(event.threshold)}"
    return "; ".join(part for part in (cause(event), band_list(event.bands, _ROOM), peak) if part)
