"""The events of one stream: its anomalies, the times in which its machine is not judged, and drift."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

from monitor.core.events import Event, State
from monitor.detection.anomaly import Anomaly
from monitor.detection.anomaly_events import AnomalyEvents
from monitor.detection.pauses import NEW_MODE, OFF
from monitor.detection.recording import Listener, Recording

# Why a machine is not judged: the kind of event of each reason, and its state.
KINDS = {OFF: "off", NEW_MODE: "new mode"}
STATES = {"off": State.OFF, "new mode": State.NEW_MODE}


class StreamEvents:
    """Reports the events of a stream to its listener, and counts its anomalies.

    Args:
        listener: receives the events.
        of_anomalies: makes the events of anomalies.
        hop_s: seconds from one window to the next.
        stream: name of the stream if there are several.
        speed: stream seconds per second, to convert times of the stream to wall-clock times.
        clock: the Unix time of a position of the stream in seconds; None: from the time of the recording.
    """

    def __init__(
        self,
        listener: Listener,
        of_anomalies: AnomalyEvents,
        hop_s: float,
        *,
        stream: str,
        speed: float,
        clock: Callable[[float], float] | None,
    ) -> None:
        self.anomalies = 0  # number of anomalies so far
        self.of_anomalies = of_anomalies
        self._listener, self._hop_s, self._stream, self._clock = listener, hop_s, stream, clock
        self._wall_speed = speed if math.isfinite(speed) else 1.0
        self._pause: Event | None = None  # while the machine is not judged: the event that says so
        self.begin(Recording(""))

    def begin(self, recording: Recording) -> None:
        """Starts a new recording."""
        self.recording = recording
        self.worst: Event | None = None  # the anomaly of the recording with the highest score
        self._began, self._before, self._first = time.time(), self.anomalies, 0
        self._ended_in: State | None = None  # the state of a machine that was not judged when its sound ended
        self._ended_anomalous = False  # whether the recording has ended, and as a whole was an anomaly

    def rename(self, name: str) -> None:
        """Changes the name of the recording."""
        self.recording = replace(self.recording, name=name)

    def go_on_at(self, hop: int) -> None:
        """Takes note that row 0 of the alarm is from now on the window with this number in the recording."""
        self._first = hop

    @property
    def in_recording(self) -> int:
        """The number of anomalies of the recording."""
        return self.anomalies - self._before

    @property
    def paused(self) -> State | None:
        """The state of a machine that is not judged at present; None: it is."""
        return None if self._pause is None else STATES[self._pause.kind]

    def state(self, of_alarm: State) -> State:
        """The state of the machine, by that of its alarm."""
        not_judged = self.paused or self._ended_in
        if not_judged is not None:
            return not_judged
        return State.ANOMALY if self._ended_anomalous else of_alarm

    def wall_time(self, position_s: float) -> float:
        """The Unix time of a position in the recording."""
        if self._clock is not None:
            return self._clock(position_s)
        if self.recording.began is not None:
            return self.recording.began + position_s
        return self._began + position_s / self._wall_speed

    def anomaly(self, anomaly: Anomaly, threshold: float, *, cut_off: bool = False) -> None:
        """Reports an anomaly that began, lasts, or ended.

        Args:
            anomaly: as it is now.
            threshold: the threshold in force.
            cut_off: whether it ends because the sound does.
        """
        if not anomaly.reminders and anomaly.end is None:
            self.anomalies += 1
        event = self.of_anomalies.event(
            anomaly,
            seconds=lambda row: (self._first + row) * self._hop_s,
            wall_time=self.wall_time,
            recording=self.recording.name,
            threshold=threshold,
            cut_off=cut_off,
        )
        if self.worst is None or self.worst.id == event.id or event.peak > self.worst.peak:
            self.worst = event
        self._report(event)

    def whole_recording(self, event: Event) -> None:
        """Reports the anomaly that only the recording as a whole is."""
        self.anomalies += 1
        self.worst, self._ended_anomalous = event, True
        self._report(replace(event, end_s=None))
        self._report(event)

    def changes_pause(self, kind: str) -> bool:
        """Whether a machine that is not judged for this kind of reason is another case than at present; "": it is."""
        return kind != ("" if self._pause is None else self._pause.kind)

    def begin_pause(self, kind: str, at: float) -> None:
        """Reports from `at` seconds on that the machine is not judged, for a kind of reason."""
        self._pause = Event(kind, at, None, self.wall_time(at), self.recording.name)
        self._report(self._pause)

    def end_pause(self, at: float, *, cut_off: bool = False) -> None:
        """Reports that the machine is judged again, or with `cut_off` that the sound ends, if it was not."""
        if self._pause is not None:
            event, self._pause = replace(self._pause, end_s=at, cut_off=cut_off), None
            self._report(event)

    def end_sound(self, at: float) -> None:
        """Takes note that no more sound comes, at `at` seconds: the state stays as it is."""
        self._ended_in = self.paused
        self.end_pause(at, cut_off=True)

    def interrupt(self) -> None:
        """Takes note that a gap follows: the state is not kept any more."""
        self._ended_in = None

    def drift(self, share: float, at: float) -> None:
        """Reports how far the reference has moved, as a share of its cap."""
        self._report(Event("drift", at, at, self.wall_time(at), self.recording.name, peak=share))

    def _report(self, event: Event) -> None:
        self._listener.event(replace(event, stream=self._stream))
