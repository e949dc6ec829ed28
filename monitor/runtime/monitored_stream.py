"""One stream from its source to its events and snapshots; the scores are computed by a batch of streams."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence

import numpy as np

from monitor.audio.level import Measured
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.errors import MonitorError
from monitor.core.events import Event
from monitor.core.snapshot import Snapshot
from monitor.core.types import FloatArray
from monitor.detection.detector import Detector
from monitor.detection.drift import Drift
from monitor.detection.recording import Recording, RecordingResult
from monitor.outputs.event_tracker import EventTracker
from monitor.outputs.sink import Sink
from monitor.runtime.interruptions import InterruptionEvents
from monitor.runtime.latency import Processing
from monitor.runtime.stream_group import StreamGroup
from monitor.runtime.stream_input import LOOK, StreamInput
from monitor.runtime.stream_position import StreamPosition
from monitor.runtime.stream_segments import StreamSegments
from monitor.runtime.stream_view import StreamView
from monitor.sources.preprocess import Chunk
from monitor.sources.source import Source
from monitor.streaming.stream_batch import StreamBatch

_NO_HOPS = np.zeros(0, np.float32)


class MonitoredStream:
    """Monitors one source with one model. It has no thread: `monitor.runtime.engine.Engine` calls its methods.

    What is the same for all streams is done for all those of a group together (`monitor.runtime.collector`,
    `monitor.runtime.stream_group`); here is what depends on the stream, and what is done where its sound does not go on
    is in `monitor.runtime.stream_segments`. No method blocks, unless a sink waits (`BackgroundSink` with `wait`). At
    the end `captured` equals `scored` + `discarded`, in samples of the source.

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
        self._tracker = EventTracker(sinks)
        long_chunks = len(group.batch) == 1 and not self._tracker.wants_samples
        self.input = StreamInput(source, features, self._portion_s, long_chunks=long_chunks)
        self._position = StreamPosition(self.input, features)
        interruptions = InterruptionEvents(self._tracker.event, name)
        # None of these keeps the stream: without a cycle, a stream that is removed frees its memory at once.
        self._detector = Detector(
            bundle, config, group.batch, number, self._tracker, stream=name, speed=source.speed,
            keep_recording_scores=not source.live, drift=drift, detectors=group.detectors,
            wall_time=self._position.captured_at if source.live else None,
        )  # fmt: skip
        self._detector.begin(Recording(source.name))
        self._segments = StreamSegments(
            group, number, source, self.input, self._position, self._detector, self._tracker, interruptions
        )
        self._view = StreamView(
            self._detector, interruptions, source, bundle, config, self.input.portion_s,
            precision=group.batch.precision, model_name=model_name, stream=name,
        )  # fmt: skip
        # Of a source that is faster than any clock there is nobody to exchange its model while it runs.
        if math.isfinite(source.speed):
            group.keep_frames()

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
    def has_news(self) -> bool:
        """Whether there was an event since the newest snapshot."""
        return self._tracker.has_news

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

    @property
    def captured_s(self) -> float:
        """Seconds of sound that the source has written, also at several sample rates."""
        return self.input.captured_s

    @property
    def scored_s(self) -> float:
        """Seconds of captured sound that have been passed on to be scored."""
        return self.input.scored_s

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
        self._segments.use_place(group, number)
        self.input.use_portions(self._portion_s)
        bundle = self.bundle
        self._detector.use_model(bundle, config, group.batch, number, drift=drift, detectors=group.detectors)
        self._view.note_model(
            bundle, config, self.input.portion_s, precision=group.batch.precision, model_name=model_name
        )
        self._tracker.use_model(bundle)

    def use_sinks(self, sinks: Sequence[Sink]) -> None:
        """Passes everything on to these sinks from now on."""
        self.sinks = tuple(sinks)
        begun = self.input.cutter.remainder
        self._tracker.use_sinks(sinks, self._position.frame(len(begun)), begun)
        self._detector.note_listener()

    def ready(self, now: float) -> int:
        """Whether the newest samples can be scored as they are in the ring, which is then done by `accept`.

        Args:
            now: on the monotonic clock.

        Returns:
            the number of their whole hops, 0 if there are none yet; LOOK: `collect` has to look at the stream.
        """
        segments, health = self._segments, self.input.health
        if not segments.steady:
            return LOOK
        if health is not None:
            if self.source.lost_since is not None:
                return LOOK
            if found := health.check(now):
                segments.report(found)
            if not health.undisturbed:
                return LOOK
        return self.input.ready(now)

    def accept(self, samples: FloatArray, row: int) -> None:
        """Takes note of a row of samples (n, k · hop_length) that are scored as they were read from the ring."""
        count = samples.shape[1]
        self.input.preprocessor.scored += count
        self._position.samples += count
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
            if self.source.lost_since is not None and not health.lost:
                hops = self._use(self.input.take_rest())  # what was heard before the loss
                if len(hops):
                    return hops
            self._segments.check_source(health, now)
        while marks and self.input.reader.read >= marks[0].index:
            mark = marks.popleft()
            if mark.kind == "end":
                self.ended = True
                return _NO_HOPS
            self._segments.apply(mark)
        if health is not None and health.lost:
            self.input.preprocessor.discard()
            return _NO_HOPS
        limit = self.input.limit(now)
        return self._use(self.input.take(limit)) if limit > 0 else _NO_HOPS

    def after_scores(self) -> None:
        """To be called when hops of `collect` or `examine` have been scored."""
        self._segments.check_silence()
        self._segments.note_steady()

    def fail(self, error: MonitorError, *, beyond_repair: bool = False) -> None:
        """Ends the stream with an error.

        Args:
            error: the error.
            beyond_repair: whether `finish` must not score the remaining samples, because that would fail again.
        """
        self._error = self._error or error
        self.ended = True
        if beyond_repair:
            self._segments.open = False

    def finish(self) -> None:
        """Scores the remaining samples, and ends ongoing events. Sound that arrives later is not taken."""
        self.ended = True
        if (health := self.input.health) is not None:
            if not health.lost and self._segments.open:
                hops = self._use(self.input.take_rest())
                if len(hops):
                    self.group.score(hops, self.number)
                    self._segments.check_silence()
            self._segments.report(health.finish(time.monotonic()))
        self._segments.finish()
        self.input.preprocessor.discard()

    def score_at_decisions(self, at_decisions: bool) -> None:
        """Scores live sound when the alarm decides, because nobody looks at the scores before; otherwise in portions.

        The last portion before a decision is as long as always, so that it does not take longer. Sound is read in
        portions also while there is silence or an interruption, whose end is then known to a portion. To be called
        again after each turn.
        """
        detectors, last = self.group.detectors, self.input.portion_hops
        often = detectors.alarms.rules(self.number).per_decision < last
        if not at_decisions or often or not self.input.undisturbed or self.input.preprocessor.holds_back:
            self.input.use_portions(self._portion_s)
            return
        hops = detectors.until_decision(self.number)
        self.input.read_next(hops - last if hops >= 2 * last else hops)

    def publish(self, load: float, *, finished: bool = False, decide: bool = True) -> None:
        """Updates `latest`.

        Args:
            load: share of time that the engine is busy, 0 to 1.
            finished: whether the stream has ended.
            decide: whether to evaluate first, of this stream alone, what was scored since the last decision.
        """
        detector, health, levels = self._detector, self.input.health, self.group.levels
        if decide:
            detector.decide()
        if health is not None and health.open is not None:
            detector.advance(self._position.seconds + time.monotonic() - health.open.began)
        number = self.number
        measured = levels.rms_dbfs(number), levels.peak_dbfs(number), levels.take_mean_dbfs(number)
        snapshot = self._view.update(
            None if health is None else health.state, self.error if finished else None,
            levels=measured, processing=self.processing,
            position_s=self._position.seconds, events=self._tracker.current(detector.anomaly), sinks=self.sinks,
            load=load, finished=finished,
        )  # fmt: skip
        self._tracker.snapshot(snapshot)

    @property
    def _portion_s(self) -> float:
        """Seconds of live sound that are scored at a time."""
        return self._config.listening.portion_ms / 1000

    def _use(self, chunk: Chunk) -> FloatArray:
        """Takes note of samples that were read, whatever they are; returns whole hops (m · hop_length,)."""
        self._segments.note_damage(chunk)
        if len(chunk.captured):
            measured = Measured.of(chunk.captured[None], self.input.ring_rate)
            self.group.levels.push(measured, np.array([self.number]))
        hops = _NO_HOPS
        if len(chunk.samples):
            self._position.samples += len(chunk.samples)
            if self._tracker.wants_samples:
                self._tracker.samples(chunk.samples)
            hops = self.input.cutter.push(chunk.samples)
        if not len(hops):
            self._segments.check_silence()
        self._segments.note_steady()
        return hops
