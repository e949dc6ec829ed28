"""One stream from its source to its events and snapshots; the scores are computed by a batch of streams."""

from __future__ import annotations

import math
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from monitor.audio.level import Measured
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.errors import MonitorError, RecordingsLeftOut
from monitor.core.events import Event, State
from monitor.core.snapshot import Snapshot
from monitor.core.types import FloatArray
from monitor.detection.detector import Detector
from monitor.detection.drift import Drift
from monitor.detection.recording import Recording, RecordingResult
from monitor.outputs.event_tracker import EventTracker
from monitor.outputs.sink import Sink
from monitor.runtime.interruptions import InterruptionEvents, Moment
from monitor.runtime.latency import Processing
from monitor.runtime.stream_group import StreamGroup
from monitor.runtime.stream_input import LOOK, StreamInput
from monitor.runtime.stream_view import StreamView
from monitor.sources.gap_detector import Interruption
from monitor.sources.preprocess import Chunk
from monitor.sources.source import Mark, Source
from monitor.sources.stream_health import StreamHealth
from monitor.streaming.stream_batch import StreamBatch

_NO_HOPS = np.zeros(0, np.float32)


class MonitoredStream:
    """Monitors one source with one model. It has no thread: `monitor.runtime.engine.Engine` calls its methods.

    What is the same for all streams is done for all those of a group together (`monitor.runtime.collector`,
    `monitor.runtime.stream_group`); here is what depends on the stream, and what is done when something happens to it.
    No method blocks, unless a sink waits (`BackgroundSink` with `wait`). At the end `captured` equals `scored` +
    `discarded`, in samples of the source.

    Args:
        group: the streams that are scored together with this one.
        number: number of the stream in the group.
        source: the source.
        config: the settings in force.
        model_name: display name of the model.
        name: name of the stream if there are several.
        sinks: receive samples, frames, events and scores.
        drift: offsets of the reference distribution, which are updated; None: the reference is fixed.
    """

    def __init__(
        self,
        group: StreamGroup,
        number: int,
        source: Source,
        config: Config,
        *,
        model_name: str,
        name: str = "",
        sinks: Sequence[Sink] = (),
        drift: Drift | None = None,
    ) -> None:
        bundle = group.batch.bundle_of(number)
        features = bundle.config.features
        self.group, self.number, self.source, self.name = group, number, source, name
        self.sinks = tuple(sinks)
        self.ended = False  # whether the source has ended or the stream has failed
        self._config = config
        self._error: MonitorError | None = None
        self._hop_s, self._rate = features.hop_s, features.sample_rate
        self.input = StreamInput(source, features, self._portion_s)
        self._samples = 0  # of the current recording
        self._open = True  # whether the current recording has not ended
        self._tracker = EventTracker(sinks)
        self._interruptions = InterruptionEvents(self._tracker.event, name)
        # The detector must not keep the stream: without a cycle, a stream that is removed frees its memory at once.
        stream = weakref.proxy(self)
        self._detector = Detector(
            bundle, config, group.batch, number, self._tracker, stream=name, speed=source.speed,
            keep_recording_scores=not source.live, drift=drift, detectors=group.detectors,
            wall_time=(lambda position_s: stream._captured_at(position_s)) if source.live else None,
        )  # fmt: skip
        self._detector.begin(Recording(source.name))
        self._view = StreamView(
            self._detector, source, bundle, config, self.input.portion_s, model_name=model_name, stream=name
        )
        # Of a source that is faster than any clock there is nobody to exchange its model while it runs.
        if math.isfinite(source.speed):
            group.keep_frames()
        self._look_first = False  # whether `collect` has to look at the stream before more samples are scored
        self._note_steady()

    @property
    def latest(self) -> Snapshot:
        """The newest snapshot."""
        return self._view.latest

    def show_note(self, note: str) -> None:
        """Shows what is done with the model at present, in a few words; "" for nothing. For any thread."""
        self._view.note = note

    @property
    def processing(self) -> Processing:
        """The time from the arrival of a window's last sample to the end of alarm and sinks."""
        return Processing(self.group.processing, self.number)

    @property
    def batch(self) -> StreamBatch:
        """The batch that scores the stream."""
        return self.group.batch

    @property
    def bundle(self) -> Bundle:
        """The model."""
        return self.batch.bundle_of(self.number)

    @property
    def error(self) -> MonitorError | None:
        """The error that ended the stream, or an error of its source."""
        return self._error or self.source.error

    @property
    def events(self) -> deque[Event]:
        """The last hundred events, oldest first."""
        return self._tracker.events

    @property
    def anomalies(self) -> int:
        """The number of anomalies so far."""
        return self._detector.anomalies

    @property
    def results(self) -> list[RecordingResult]:
        """The results of the recordings that have ended."""
        return self._detector.results

    @property
    def captured(self) -> int:
        """The number of samples that the source has written."""
        return self.input.captured

    @property
    def scored(self) -> int:
        """The number of captured samples that have been passed on to be scored."""
        return self.input.scored

    @property
    def discarded(self) -> int:
        """The number of captured samples that are not scored: lost samples, and silence."""
        return self.input.discarded

    def scale_threshold(self, factor: float) -> None:
        """Multiplies the thresholds by a factor, until the settings of the alarm change or the run ends."""
        self._detector.scale_threshold(factor)
        self._view.note_limits(self.bundle, self._config)

    def change_alarm(self, config: Config) -> None:
        """Goes on with the settings of the group `alarm` in `config`, without a gap, from the next decision on."""
        self._config = config
        self._detector.change_alarm(config.alarm)
        self._view.note_limits(self.bundle, config)

    def use_model(
        self, group: StreamGroup, number: int, config: Config, *, model_name: str, drift: Drift | None = None
    ) -> None:
        """Goes on with another model, without a gap: arguments as for the class.

        Every sample is scored, by the one model or the other: the next score is what it would be if the new model had
        listened from the beginning. The recording, its history, and an ongoing anomaly go on.

        Args:
            group: of a batch whose model can follow the present one (`can_follow`).

        Raises:
            ValueError: if the source is faster than any clock, so that nothing is kept of what was heard.
        """
        if not math.isfinite(self.source.speed):
            raise ValueError(f"{self.source.name}: nothing is kept of what was heard")
        self._detector.decide()  # on what the present model has scored
        group.take_over(number, self.group, self.number)
        self.group, self.number, self._config = group, number, config
        self.input.use_portions(self._portion_s)
        bundle = self.bundle
        self._detector.use_model(bundle, config, group.batch, number, drift=drift, detectors=group.detectors)
        self._view.note_model(bundle, config, self.input.portion_s, model_name)
        self._tracker.use_model(bundle)

    def use_sinks(self, sinks: Sequence[Sink]) -> None:
        """Passes everything on to these sinks from now on."""
        self.sinks = tuple(sinks)
        begun = self.input.cutter.remainder
        self._tracker.use_sinks(sinks, self._frame_at(self._samples - len(begun)), begun)
        self._detector.note_listener()

    def ready(self, now: float) -> int:
        """Whether the newest samples can be scored as they are in the ring, which is then done by `accept`.

        Args:
            now: on the monotonic clock.

        Returns:
            the number of their whole hops, 0 if there are none yet; LOOK: `collect` has to look at the stream.
        """
        if self._look_first:
            return LOOK
        health = self.input.health
        if health is not None:
            if found := health.check(now):
                self._report(found)
            if not health.undisturbed:
                return LOOK
        return self.input.ready(now)

    def accept(self, samples: FloatArray, row: int) -> None:
        """Takes note of a row of samples (n, k · hop_length) that are scored as they were read from the ring."""
        count = samples.shape[1]
        self.input.preprocessor.scored += count
        self._samples += count
        if self._tracker.wants_samples:
            self._tracker.samples(samples[row].copy())  # they are in a buffer that is used again

    def examine(self, samples: FloatArray) -> FloatArray:
        """As `collect`, of samples (n,) that were read from the ring already, and are unusual."""
        return self._use(self.input.preprocessor.examine(samples.copy()))

    def collect(self, now: float) -> FloatArray:
        """Checks the source, and takes its new samples.

        Args:
            now: on the monotonic clock.

        Returns:
            whole hops (m · hop_length,). If there are any, `after_scores` must be called when they have been scored.
        """
        health, marks = self.input.health, self.source.marks
        if health is not None:
            self._check_source(health, now)
        while marks and self.input.reader.read >= marks[0].index:
            mark = marks.popleft()
            if mark.kind == "end":
                self.ended = True
                return _NO_HOPS
            self._apply_mark(mark)
        if health is not None and health.lost:
            self.input.preprocessor.discard()
            return _NO_HOPS
        limit = self.input.limit(now)
        return self._use(self.input.take(limit)) if limit > 0 else _NO_HOPS

    def after_scores(self) -> None:
        """To be called when hops of `collect` or `examine` have been scored."""
        self._check_silence()
        self._note_steady()

    def fail(self, error: MonitorError, *, beyond_repair: bool = False) -> None:
        """Ends the stream with an error.

        Args:
            error: the error.
            beyond_repair: whether `finish` must not score the remaining samples, because that would fail again.
        """
        self._error = self._error or error
        self.ended = True
        self._open = self._open and not beyond_repair

    def finish(self) -> None:
        """Scores the remaining samples, and ends ongoing events. Sound that arrives later is not taken."""
        self.ended = True
        if (health := self.input.health) is not None:
            if not health.lost and self._open:
                hops = self._use(self.input.take_rest())
                if len(hops):
                    self.group.score(hops, self.number)
                    self._check_silence()
            self._report(health.finish(time.monotonic()))
        self._interruptions.finish(self._now(), self.input.ring_rate)
        self._end_recording()
        self.input.preprocessor.discard()

    def publish(self, load: float, *, finished: bool = False, decide: bool = True) -> None:
        """Updates `latest`.

        Args:
            load: share of time that the engine is busy, 0 to 1.
            finished: whether the stream has ended.
            decide: whether to evaluate first, of this stream alone, what was scored since the last decision.
        """
        detector, health = self._detector, self.input.health
        if decide:
            detector.decide()
        if health is not None and health.open is not None:
            detector.advance(self._samples / self._rate + time.monotonic() - health.open.began)
        state = health.state if health is not None else None
        levels = self.group.levels
        failure = str(self.error) if finished and self.error else ""
        broke_off = not isinstance(self.error, RecordingsLeftOut)
        snapshot = self._view.update(
            State.LOST if failure and broke_off else state or self._state_of(detector),
            levels=(levels.rms_dbfs(self.number), levels.peak_dbfs(self.number)), processing=self.processing,
            position_s=self._samples / self._rate, lost_s=self._interruptions.lost_s,
            events=self._tracker.current(detector.anomaly), sinks=self.sinks, load=load, finished=finished,
            failure=failure,
        )  # fmt: skip
        self._tracker.snapshot(snapshot)

    def _state_of(self, detector: Detector) -> State:
        overloaded = self._interruptions.overloaded and detector.state is not State.ANOMALY
        return State.OVERLOADED if overloaded else detector.state

    @property
    def _portion_s(self) -> float:
        """Seconds of live sound that are scored at a time; less with several streams, which share what a turn costs."""
        return self._config.listening.portion_ms / 1000 / len(self.group.batch)

    def _use(self, chunk: Chunk) -> FloatArray:
        """Takes note of samples that were read, whatever they are; returns whole hops (m · hop_length,)."""
        if chunk.lost:
            self._interrupt()
            self._resume_after_gap("gap", chunk.lost / self.input.ring_rate, self._now())
        self._interruptions.invalid_samples(chunk.invalid, self._now)
        if len(chunk.captured):
            measured = Measured.of(chunk.captured[None], self.input.ring_rate)
            self.group.levels.push(measured, np.array([self.number]))
        hops = _NO_HOPS
        if len(chunk.samples):
            self._samples += len(chunk.samples)
            if self._tracker.wants_samples:
                self._tracker.samples(chunk.samples)
            hops = self.input.cutter.push(chunk.samples)
        if not len(hops):
            self._check_silence()
        self._note_steady()
        return hops

    def _note_steady(self) -> None:
        """Takes note of whether anything is going on for which `collect` has to look at the stream."""
        self._look_first = not (self._interruptions.quiet and self.input.passes_on)

    def _apply_mark(self, mark: Mark) -> None:
        """Starts a new recording, or renames the current one."""
        if mark.kind == "recording":
            self._interruptions.finish(self._now(), self.input.ring_rate, of_recording=True)
            self._end_recording()
            self._samples, self._open = 0, True
            self._begin_segment()
            self.input.cutter.reset()
            self._detector.begin(Recording(mark.name, mark.duration_s, mark.began))
        else:
            self._detector.rename(mark.name)

    def _end_recording(self) -> None:
        """Scores the last frames and windows of the current recording, and ends it."""
        if not self._samples or not self._open:
            return
        self._open = False
        hops = self.input.flush()
        if len(hops):
            self.group.score(hops, self.number)
        self._detector.push(self.batch.flush(self.number, self.input.cutter.remainder))
        self.group.forget_frames(self.number)
        self._detector.end(self._samples / self._rate)

    def _check_source(self, health: StreamHealth, now: float) -> None:
        """Changes to the new ring of a source that was reopened, and reports interruptions."""
        reopened = self.input.reopen()
        if reopened:
            self.group.levels.reset(self.number)
            self._detector.rename(self.source.name)
        self._report(health.check(now))
        self._interruptions.check_overload(self._now, self.input.ring_rate, now)
        if reopened:
            health.attach(self.input.preprocessor)
            self._note_steady()  # the new ring may have another sample rate, and no sound yet

    def _check_silence(self) -> None:
        if self.input.health is not None:
            self._report(self.input.health.after_portion(time.monotonic()))

    def _report(self, interruptions: Sequence[Interruption]) -> None:
        """Reports the beginnings and ends of interruptions as events."""
        if not interruptions:
            return
        self._look_first = True
        for one in interruptions:
            self._interrupt()
            began = replace(self._now(), wall_time=time.time() - (time.monotonic() - one.began))
            if one.ended is not None:
                self._resume_after_gap(one.kind, one.ended - one.began, began)
            else:
                self._interruptions.begin(one.kind, began)

    def _interrupt(self) -> None:
        """Restarts everything that depends on earlier samples, so that no score spans a gap."""
        self._detector.interrupt()
        self.batch.reset((self.number,))
        self.group.forget_frames(self.number)
        self.input.reset()
        # Silence is known to be over only when some sound after it has been passed on: that is a segment, too.
        self._begin_segment()

    def _begin_segment(self) -> None:
        """Tells the sinks that the next samples do not continue those so far."""
        self._tracker.segment(self._frame_at(self._samples))

    def _frame_at(self, samples: int) -> int:
        """The number of the frame whose centre is at a position of the recording where a hop begins."""
        return round(samples / self._rate / self._hop_s)

    def _resume_after_gap(self, kind: str, seconds: float, began: Moment) -> None:
        """Reports the end of an interruption, and skips its time in the recording.

        Args:
            kind: "gap", "lost" or "no signal".
            seconds: its length.
            began: its beginning.
        """
        self._interruptions.end(kind, began, seconds, self.input.ring_rate, time.monotonic())
        self._samples += round(seconds * self._rate)
        self._detector.resume(self._samples / self._rate)
        self._begin_segment()

    def _now(self) -> Moment:
        """The end of the samples that have been taken."""
        position_s = self._samples / self._rate
        return Moment(position_s, self._detector.wall_time(position_s), self._detector.recording.name)

    def _captured_at(self, position_s: float) -> float:
        """The Unix time at which a device recorded a position of the stream.

        It is computed from the age of the sample whenever it is needed, so it is right after the system's clock was
        set, and it does not drift with the clock of the sound card.
        """
        return time.time() - self.input.newest_s_ago - (self._samples / self._rate - position_s)
