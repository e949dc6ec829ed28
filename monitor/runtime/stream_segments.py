"""The segments of a stream: sound without a break, between the ends of its recordings and its interruptions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from monitor.detection.detector import Detector
from monitor.detection.recording import Recording
from monitor.outputs.event_tracker import EventTracker
from monitor.runtime.interruptions import InterruptionEvents, Moment
from monitor.runtime.stream_group import StreamGroup
from monitor.runtime.stream_input import StreamInput
from monitor.runtime.stream_position import StreamPosition
from monitor.sources.gap_detector import Interruption
from monitor.sources.preprocess import Chunk
from monitor.sources.source import Mark, Source
from monitor.sources.stream_health import StreamHealth


class StreamSegments:
    """Begins and ends the segments of a stream, so that no score spans two of them, and reports what was not heard.

    `steady` is whether the next samples can be scored at once, if the source has nothing to say; otherwise
    `check_source` has to be called first.

    Args:
        group: the streams that are scored together with this one.
        number: number of the stream in the group.
        source: of the stream.
        stream_input: the input of the stream.
        position: of the stream, which is moved over what was not heard.
        detector: of the stream.
        tracker: is told of each segment.
        interruptions: receives what was not heard.
    """

    def __init__(
        self,
        group: StreamGroup,
        number: int,
        source: Source,
        stream_input: StreamInput,
        position: StreamPosition,
        detector: Detector,
        tracker: EventTracker,
        interruptions: InterruptionEvents,
    ) -> None:
        self.open = True  # whether the current recording has not ended, and its last samples can be scored
        self._source, self._input, self._position, self._detector = source, stream_input, position, detector
        self._tracker, self._interruptions = tracker, interruptions
        self.use_place(group, number)
        self.note_steady()

    def use_place(self, group: StreamGroup, number: int) -> None:
        """Goes on as stream `number` of a group."""
        self._group, self._number = group, number

    def apply(self, mark: Mark) -> None:
        """Starts a new recording, or renames the current one."""
        if mark.kind != "recording":
            self._detector.rename(mark.name)
            return
        self._interruptions.finish(self._moment(), self._input.ring_rate, of_recording=True)
        self._end_recording()
        self._position.samples, self.open = 0, True
        self._begin()
        self._input.cutter.reset()
        self._detector.begin(Recording(mark.name, mark.duration_s, mark.began))

    def finish(self) -> None:
        """Ends ongoing events and the current recording, because the monitoring ends."""
        self._interruptions.finish(self._moment(), self._input.ring_rate)
        self._end_recording()

    def note_steady(self) -> None:
        """Takes note of whether anything is going on because of which the stream is not scored as it is in the ring."""
        self.steady = self._interruptions.quiet and self._input.passes_on

    def check_source(self, health: StreamHealth, now: float) -> None:
        """Changes to the new ring of a live source that was reopened, and reports interruptions.

        Args:
            health: of the source.
            now: on the monotonic clock.
        """
        reopened = self._input.reopen()
        if reopened:
            self._group.levels.reset(self._number)
            self._detector.rename(self._source.name)
        self.report(health.check(now))
        self._interruptions.check_overload(self._moment, self._input.ring_rate, now)
        if reopened:
            health.attach(self._input.preprocessor)
            self.note_steady()  # the new ring may have another sample rate, and no sound yet

    def check_silence(self) -> None:
        """To be called when samples have been taken, and scored if they were whole hops."""
        if self._input.health is not None:
            self.report(self._input.health.after_portion(time.monotonic()))

    def note_damage(self, chunk: Chunk) -> None:
        """Reports what was lost before the samples of a chunk, and what is invalid in it."""
        if chunk.lost:
            self._interrupt()
            self._resume("gap", chunk.lost / self._input.ring_rate, self._moment())
        self._interruptions.invalid_samples(chunk.invalid, self._moment)

    def report(self, interruptions: Sequence[Interruption]) -> None:
        """Reports the beginnings and ends of interruptions of a live source as events."""
        for one in interruptions:
            self.steady = False
            self._interrupt()
            began = replace(self._moment(), wall_time=time.time() - (time.monotonic() - one.began))
            if one.ended is not None:
                self._resume(one.kind, one.ended - one.began, began)
            else:
                self._interruptions.begin(one.kind, began)

    def _end_recording(self) -> None:
        """Scores the last frames and windows of the current recording, and ends it."""
        if not self._position.samples or not self.open:
            return
        self.open = False
        hops = self._input.flush()
        if len(hops):
            self._group.score(hops, self._number)
        self._detector.push(self._group.batch.flush(self._number, self._input.cutter.remainder))
        self._group.forget_frames(self._number)
        self._detector.end(self._position.seconds)

    def _interrupt(self) -> None:
        """Restarts everything that depends on earlier samples."""
        self._detector.interrupt()
        self._group.batch.reset((self._number,))
        self._group.forget_frames(self._number)
        self._input.reset()
        # Silence is known to be over only when some sound after it has been passed on: that is a segment, too.
        self._begin()

    def _resume(self, kind: str, seconds: float, began: Moment) -> None:
        """Reports the end of an interruption, and skips its time in the recording.

        Args:
            kind: "gap", "lost" or "no signal".
            seconds: its length.
            began: its beginning.
        """
        self._interruptions.end(kind, began, seconds, self._input.ring_rate, time.monotonic())
        self._position.skip(seconds)
        self._detector.resume(self._position.seconds)
        self._begin()

    def _begin(self) -> None:
        """Tells the sinks that the next samples do not continue those so far."""
        self._tracker.segment(self._position.frame())

    def _moment(self) -> Moment:
        """The end of the samples that have been taken."""
        position_s = self._position.seconds
        return Moment(position_s, self._detector.wall_time(position_s), self._detector.recording.name)
