"""The events of one stream that say which of its sound was not heard, or was damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from monitor.core.events import Event
from monitor.sources.overload import Overload

VALID_AGAIN_S = 60.0  # an event of invalid samples ends when there was none for so long


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a stream."""

    position_s: float  # in the recording
    wall_time: float  # Unix time
    source: str  # name of the recording


class InterruptionEvents:
    """Reports interruptions, overload and invalid samples as events, each at its beginning and its end.

    Args:
        report: receives the events.
        stream: name of the stream if there are several.
    """

    def __init__(self, report: Callable[[Event], None], stream: str) -> None:
        self.lost_s = 0.0  # seconds that were not heard
        self._report, self._stream = report, stream
        self._ongoing: dict[str, Event] = {}  # by kind
        self._overload = Overload()
        self._invalid_at = 0.0  # position of the newest invalid sample

    @property
    def overloaded(self) -> bool:
        """Whether a large part of the last minute was not heard."""
        return self._overload.active

    @property
    def quiet(self) -> bool:
        """Whether `check_overload` and `invalid_samples` need not be called as long as nothing new happens."""
        return not self._ongoing and self._overload.quiet

    def begin(self, kind: str, at: Moment) -> None:
        """Reports that something begins; `kind` is that of the event."""
        event = Event(kind, at.position_s, None, at.wall_time, at.source, stream=self._stream)
        self._ongoing[kind] = event
        self._report(event)

    def end(self, kind: str, began: Moment, seconds: float, sample_rate: int, now: float) -> None:
        """Reports the end of an interruption, whose beginning need not have been reported.

        Args:
            kind: "gap", "lost" or "no signal".
            began: when it began.
            seconds: its length.
            sample_rate: of the source, in Hz.
            now: on the monotonic clock.
        """
        self.lost_s += seconds
        if kind == "gap":
            self._overload.add_gap(now, seconds)
        begun = self._ongoing.pop(kind, None) or Event(
            kind, began.position_s, None, began.wall_time, began.source, stream=self._stream
        )
        lost = round(seconds * sample_rate)
        self._report(replace(begun, end_s=begun.start_s + seconds, lost_samples=lost))

    def check_overload(self, at: Callable[[], Moment], sample_rate: int, now: float) -> None:
        """Reports the beginning or the end of an overload, if there is one; `at` returns the present moment."""
        if not self._overload.check(now):
            return
        if self._overload.active:
            self.begin("overloaded", at())
        else:
            self._end_overload(at(), sample_rate)

    def invalid_samples(self, count: int, at: Callable[[], Moment]) -> None:
        """Reports that `count` samples (or none) just before the moment that `at` returns were invalid."""
        event = self._ongoing.get("invalid samples")
        if count:
            moment = at()
            self._invalid_at = moment.position_s
            if event is None:
                self.begin("invalid samples", moment)
                event = self._ongoing["invalid samples"]
            self._ongoing["invalid samples"] = replace(event, lost_samples=event.lost_samples + count)
        elif event is not None and at().position_s - self._invalid_at >= VALID_AGAIN_S:
            self._end_invalid(self._invalid_at)

    def finish(self, at: Moment, sample_rate: int, *, of_recording: bool = False) -> None:
        """Ends the ongoing events of invalid samples, and of overload unless only a recording ends."""
        if "invalid samples" in self._ongoing:
            self._end_invalid(self._invalid_at)
        if "overloaded" in self._ongoing and not of_recording:
            self._end_overload(at, sample_rate)

    def _end_invalid(self, at_s: float) -> None:
        event = self._ongoing.pop("invalid samples")
        self._report(replace(event, end_s=max(at_s, event.start_s)))

    def _end_overload(self, at: Moment, sample_rate: int) -> None:
        event = self._ongoing.pop("overloaded")
        lost = round(self._overload.missing_s * sample_rate)
        self._report(replace(event, end_s=max(at.position_s, event.start_s), lost_samples=lost))
