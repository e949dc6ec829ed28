"""The monitoring as log lines, for files, pipes and terminals that cannot show the dashboard."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial

from monitor.core.events import Event, State
from monitor.core.snapshot import Snapshot
from monitor.core.text import band_list, counted
from monitor.dashboard.render.formatting import (
    duration,
    event_cause,
    event_peak,
    level,
    method,
    name,
    number,
    of_limit,
    pace,
    share,
    span,
)
from monitor.dashboard.render.theme import ASCII
from monitor.dashboard.widgets.stream_order import counts

WriteLog = Callable[[str, Mapping[str, object]], None]  # takes a line of ASCII without newline, and its facts for JSON
_Reported = tuple[bool, int]  # what was written about an event: whether it has ended, and how many reminders
_GROWING = 0.5  # lasting sum, as a share of its limit, from which on it is said
_ROOM = 120  # characters for the frequencies of an anomaly


class PlainLogs:
    """The log of one stream; or of several, with the stream's name before each line and one summary of all of them."""

    def __init__(self, write: WriteLog, every_s: float = 10.0) -> None:
        """Takes the same as `PlainLog`."""
        self._all = PlainLog(write, every_s)
        self._make = partial(PlainLog, write, every_s)
        self._each: dict[str, PlainLog] = {}  # by the name of the stream
        self._first: str | None = None  # name of the only stream, as long as there was only one
        self._every_s, self._next_s = every_s, 0.0  # the next summary is due at this `uptime_s`

    def say(self, text: str) -> None:
        """Writes a line."""
        self._all.say(text)

    def update(self, snapshots: Sequence[Snapshot]) -> None:
        """Writes the news of all streams."""
        if len(snapshots) == 1 and not self._each:
            self._all.update(snapshots[0])
            self._first = snapshots[0].stream
            return
        if not self._each and self._first is not None:  # a stream was added to a single one
            self._each[self._first] = self._all.of_stream(self._first)
        for shown in snapshots:
            if shown.stream not in self._each:
                self._each[shown.stream] = self._make(shown.stream)
            self._each[shown.stream].update(shown)
        self._each = {shown.stream: self._each[shown.stream] for shown in snapshots}
        uptime_s = max(shown.uptime_s for shown in snapshots)
        self._next_s = min(self._next_s, uptime_s + self._every_s)  # the stream that ran for longest may be removed
        if uptime_s >= self._next_s:
            self._next_s = uptime_s + self._every_s
            found = counts(snapshots)
            load = max(shown.load for shown in snapshots)
            highest = max(
                snapshots, key=lambda shown: -1.0 if math.isnan(shown.share_of_limit) else shown.share_of_limit
            )
            self._all.say(
                f"{len(snapshots)} streams: {', '.join(f'{count} {state}' for state, count in found)}  nearest "
                f"to an alarm: {of_limit(highest.share_of_limit)} in {highest.stream}  computer {share(load)} busy",
                {"kind": "summary", "states": {state.value: count for state, count in found}},
            )


class PlainLog:
    """Writes a line for each change of state, for each event that begins, goes on or ends, and regular summaries.

    With a stream's name there are no summaries, and the name stands before each line.

    The time between summaries is wall-clock time: a fast replay must not fill the log, and it must go on while no sound
    comes in.
    """

    def __init__(self, write: WriteLog, every_s: float = 10.0, stream: str = "") -> None:
        """Takes the function that writes a line, and the seconds between summaries."""
        self._write, self._stream = write, stream
        self._every_s = math.inf if stream else every_s
        self._state: State | None = None
        self._reported: dict[str, _Reported] = {}  # by the id of the event
        self._next_s = -math.inf  # the next summary is due at this `uptime_s`
        self._uptime_s, self._finished = 0.0, False

    def of_stream(self, name: str) -> PlainLog:
        """A log of the same stream as one of several, which goes on where this one is."""
        log = PlainLog(self._write, stream=name)
        log._state, log._reported = self._state, self._reported
        log._uptime_s, log._finished = self._uptime_s, self._finished
        log._next_s = math.inf
        return log

    def say(self, text: str, facts: Mapping[str, object] | None = None) -> None:
        """Writes a line."""
        before = f"{self._stream}: " if self._stream else ""
        of_stream = {"stream": self._stream} if self._stream else {}
        self._write(name(before + text, ASCII), {"kind": "message", **of_stream, **(facts or {})})

    def update(self, snapshot: Snapshot) -> None:
        """Writes the news in `snapshot`."""
        if snapshot.uptime_s < self._uptime_s:  # the stream was made anew, under the same name
            self._state, self._finished, self._next_s = None, False, -math.inf
        self._uptime_s = snapshot.uptime_s
        started = snapshot.uptime_s > 0 or not snapshot.failure
        if self._state is None and started:
            self.say(
                f"listening to {snapshot.source}; model {snapshot.model}; method {method(snapshot.score_kind)}; limit "
                f"{number(snapshot.threshold)} ({snapshot.threshold_note})"
            )
        self._write_events(snapshot.events, snapshot.position_s)
        changed = snapshot.state is not self._state
        ended = snapshot.finished and not self._finished
        if changed or ended or snapshot.uptime_s >= self._next_s:
            before = f" (was {self._state})" if changed and self._state is not None else ""
            self.say(_summary(snapshot, before), {"kind": "state", **_facts(snapshot)})
            self._next_s = snapshot.uptime_s + self._every_s
        if ended and not started:
            self.say(f"not monitored: {snapshot.failure}")
        elif ended:
            self.say(f"ended after {span(snapshot.position_s)}; {counted(snapshot.anomalies, 'anomaly', 'anomalies')}")
            if snapshot.failure and snapshot.stream:  # the program itself reports the failure of a single stream
                self.say(snapshot.failure)
        self._state, self._finished = snapshot.state, snapshot.finished

    def _write_events(self, events: tuple[Event, ...], position_s: float) -> None:
        reported: dict[str, _Reported] = {}
        for event in events:
            now = reported[event.id] = (event.end_s is not None, event.reminders)
            before = self._reported.get(event.id)
            facts = {"kind": "event", "event": asdict(event)}
            if before is None or before[0] != now[0]:
                self.say(_event(event), facts)
            elif event.end_s is None and before != now:
                self.say(_reminder(event, position_s), facts)
        self._reported = reported


def _facts(snapshot: Snapshot) -> dict[str, object]:
    """The state and its figures for JSON; null where there is no number."""
    figures = {
        "score": snapshot.score,
        "limit": snapshot.threshold,
        "error": snapshot.error,
        "error_limit": snapshot.error_threshold,
        "lasting": snapshot.lasting_sum,
        "share_of_limit": snapshot.share_of_limit,
        "level_dbfs": snapshot.level_dbfs,
        "position_s": snapshot.position_s,
        "not_heard_s": snapshot.lost_s,
    }
    known = {key: value if math.isfinite(value) else None for key, value in figures.items()}
    return {"state": snapshot.state.value, "source": snapshot.source, **known}


def _summary(snapshot: Snapshot, before: str) -> str:
    score_share = snapshot.score / snapshot.threshold if snapshot.threshold > 0 else math.nan
    score = f"score {number(snapshot.score)}, {of_limit(score_share)}"
    parts = [f"{snapshot.state}{before}", "no score yet" if math.isnan(snapshot.score) else score]
    if snapshot.score_kind != "error" and snapshot.error_threshold > 0 and not math.isnan(snapshot.error):
        parts.append(f"error {number(snapshot.error)}, {of_limit(snapshot.error / snapshot.error_threshold)}")
    if snapshot.lasting_sum >= _GROWING:
        parts.append(f"lasting {of_limit(snapshot.lasting_sum)}")
    silent = "no sound" if snapshot.position_s else "no sound yet"
    parts.append(silent if snapshot.level_dbfs == -math.inf else f"level {level(snapshot.level_dbfs)}")
    parts.append(f"at {span(snapshot.position_s)}")
    if snapshot.speed != 1.0:
        parts.append(pace(snapshot.speed))
    parts.append(f"computer {share(snapshot.load)} busy")
    if snapshot.lost_s > 0:
        parts.append(f"{duration(snapshot.lost_s)} not heard")
    return "  ".join(parts)


def _event(event: Event) -> str:
    at = f"at {span(event.start_s)} in {event.source}"
    long = "" if event.duration_s is None else duration(event.duration_s)
    if event.kind == "anomaly":
        until = f"lasted for {long}, until the end" if event.cut_off else f"ended after {long}"
        return f"anomaly {f'{until}, ' if long else ''}began {at}: {_why(event)}"
    if event.kind == "off" and event.cut_off:
        return f"machine was off for {long}, until the end, {at}"
    if event.kind == "off":
        return f"machine on again after {long}, was off {at}" if long else f"machine off {at}"
    if event.kind == "new mode":
        what = "an operating mode that was not heard in training"
        until = ", until the end" if event.cut_off else ""
        return f"{what}, for {long}{until}, began {at}" if long else f"{what}, {at}"
    if event.kind == "drift":
        return f"adapted to a slow change of the machine, {share(event.peak)} of what is allowed, {at}"
    if event.kind == "gap":
        return f"{long} not heard {at}"
    if event.kind == "lost":
        return f"sound is back after {long}, was lost {at}" if long else f"sound lost {at}"
    if event.kind == "overloaded":
        return (
            f"most sound is heard again after {long}, overloaded {at}"
            if long
            else f"overloaded: a large part of the sound is not heard {at}"
        )
    if event.kind == "invalid samples":
        count = f"; {event.lost_samples:,} in {long}" if long else ""
        return f"samples that are no numbers were replaced by silence {at}{count}: check the source"
    return f"{event.kind} ended after {long}, began {at}" if long else f"{event.kind} began {at}"


def _reminder(event: Event, position_s: float) -> str:
    at = f"at {span(event.start_s)} in {event.source}"
    return f"anomaly goes on for {span(position_s - event.start_s)}, began {at}: {_why(event)}"


def _why(event: Event) -> str:
    """The cause of an anomaly, its frequencies, and its highest score."""
    peak = f"score up to {of_limit(event_peak(event))}"
    return "; ".join(part for part in (event_cause(event), band_list(event.bands, _ROOM), peak) if part)
