"""One stream from its source to its events and snapshots; the scores are computed by a batch of streams."""

from __future__ import annotations

import logging
import math
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from monitor.audio.bandwidth import narrow_note
from monitor.audio.level import LevelMeter
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
from monitor.runtime.latency import Latencies
from monitor.runtime.stream_view import StreamView
from monitor.sources.gap_detector import Interruption
from monitor.sources.preprocess import Preprocessor
from monitor.sources.source import Mark, Source
from monitor.sources.stream_health import StreamHealth
from monitor.streaming.hops import HopCutter
from monitor.streaming.portion import Portion
from monitor.streaming.recent_frames import RecentFrames, frames_to_hear_again
from monitor.streaming.stream_batch import StreamBatch

LIVE_CHUNK_S = 0.5  # most sound collected at once up to twice real time: short, so that the dashboard is up to date
FAST_CHUNK_S = 4.0  # most sound collected at once in a faster replay
DELIVERY_S = 0.0003  # after so long without a further block, a delivery of the device is complete
_NO_HOPS = np.zeros(0, np.float32)

log = logging.getLogger(__name__)


class MonitoredStream:
    """Monitors one source with one model. It has no thread: `monitor.runtime.engine.Engine` calls its methods.

    No method blocks, unless a sink waits (`BackgroundSink` with `wait`). At the end
    `captured` equals `scored` + `discarded`, in samples of the source.

    Args:
        batch: the batch that scores the stream.
        number: number of the stream in the batch.
        source: the source.
        config: the settings in force.
        model_name: display name of the model.
        name: name of the stream if there are several.
        sinks: receive samples, frames, events and scores.
        drift: offsets of the reference distribution, which are updated; None: the reference is fixed.
    """

    def __init__(
        self,
        batch: StreamBatch,
        number: int,
        source: Source,
        config: Config,
        *,
        model_name: str,
        name: str = "",
        sinks: Sequence[Sink] = (),
        drift: Drift | None = None,
    ) -> None:
        bundle = batch.bundle_of(number)
        features = bundle.config.features
        self.batch, self.number, self.source, self.name = batch, number, source, name
        self.sinks = tuple(sinks)
        self.ended = False  # whether the source has ended or the stream has failed
        self._config = config
        self._error: MonitorError | None = None
        self._hop_s, self._rate = features.hop_s, features.sample_rate
        self._scored_before = self._discarded_before = 0  # samples of earlier rings, before the source was reopened
        self._attach_ring()
        self._health = StreamHealth(source, self._preprocessor) if source.live else None
        self._samples, self._cutter = 0, HopCutter(features.hop_length)  # of the current recording
        self._open = True  # whether the current recording has not ended
        self._tracker = EventTracker(sinks)
        self._interruptions = InterruptionEvents(self._tracker.event, name)
        # The detector must not keep the stream: without a cycle, a stream that is removed frees its memory at once.
        stream = weakref.proxy(self)
        self._detector = Detector(
            bundle, config, batch, number, self._tracker, stream=name, speed=source.speed,
            keep_recording_scores=not source.live, drift=drift,
            wall_time=(lambda position_s: stream._captured_at(position_s)) if source.live else None,
        )  # fmt: skip
        self._detector.begin(Recording(source.name))
        self._view = StreamView(self._detector, source, bundle, config, model_name=model_name, stream=name)
        # Of a source that is faster than any clock there is nobody to exchange its model while it runs.
        self._recent: RecentFrames | None = None
        if math.isfinite(source.speed):
            self._recent = RecentFrames(frames_to_hear_again(bundle), features.n_mels)

    @property
    def latest(self) -> Snapshot:
        """The newest snapshot."""
        return self._view.latest

    def show_note(self, note: str) -> None:
        """Shows what is done with the model at present, in a few words; "" for nothing. For any thread."""
        self._view.note = note

    @property
    def processing(self) -> Latencies:
        """The time from the arrival of a window's last sample to the end of alarm and sinks."""
        return self._view.processing

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
        return self.scored + self.discarded + self._preprocessor.waiting

    @property
    def scored(self) -> int:
        """The number of captured samples that have been passed on to be scored."""
        return self._scored_before + self._preprocessor.scored

    @property
    def discarded(self) -> int:
        """The number of captured samples that are not scored: lost samples, and silence."""
        return self._discarded_before + self._preprocessor.discarded

    @property
    def written_at(self) -> float:
        """The time on the monotonic clock at which the newest samples arrived."""
        return self._preprocessor.reader.written_at

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
        self, batch: StreamBatch, number: int, config: Config, *, model_name: str, drift: Drift | None = None
    ) -> None:
        """Goes on with another model, without a gap: arguments as for the class.

        Every sample is scored, by the one model or the other: the next score is what it would be if the new model had
        listened from the beginning. The recording, its history, and an ongoing anomaly go on.

        Args:
            batch: a batch whose model can follow the present one (`can_follow`).

        Raises:
            ValueError: if the source is faster than any clock, so that nothing is kept of what was heard.
        """
        if self._recent is None:
            raise ValueError(f"{self.source.name}: nothing is kept of what was heard")
        self._detector.decide()  # on what the present model has scored
        batch.take_over(number, self.batch, self.number, self._recent)
        bundle = batch.bundle_of(number)
        kept = RecentFrames(frames_to_hear_again(bundle), self._recent.n_mels)
        kept.push(self._recent.newest())
        self._recent = kept
        self.batch, self.number, self._config = batch, number, config
        self._detector.use_model(bundle, config, batch, number, drift=drift)
        self._view.note_model(bundle, config, model_name)
        self._tracker.use_model(bundle)

    def use_sinks(self, sinks: Sequence[Sink]) -> None:
        """Passes everything on to these sinks from now on."""
        self.sinks = tuple(sinks)
        begun = self._cutter.remainder
        self._tracker.use_sinks(sinks, self._frame_at(self._samples - len(begun)), begun)

    def collect(self) -> FloatArray:
        """Checks the source, and takes its new samples.

        Returns:
            whole hops (m · hop_length,). If there are any, their portion must be passed to `process`.
        """
        now = time.monotonic()
        if self._health is not None:
            self._check_source(self._health, now)
        preprocessor, reader, marks = self._preprocessor, self._preprocessor.reader, self.source.marks
        while marks and reader.read >= marks[0].index:
            mark = marks.popleft()
            if mark.kind == "end":
                self.ended = True
                return _NO_HOPS
            self._apply_mark(mark)
        chunk = max(1, int((LIVE_CHUNK_S if self.source.speed <= 2 else FAST_CHUNK_S) * preprocessor.ring_rate))
        limit = min(chunk, marks[0].index - reader.read) if marks else chunk
        if self._health is not None:
            if self._health.lost:
                preprocessor.discard()
                return _NO_HOPS
            if self._health.held_from is not None:
                limit = min(limit, self._health.held_from - reader.read)
        hop = max(1, int(self._hop_s * preprocessor.ring_rate))
        if reader.available < min(hop, limit) or (self.source.live and now - reader.written_at < DELIVERY_S):
            return _NO_HOPS
        return self._take(limit)

    def process(self, portion: Portion) -> None:
        """Passes the portion of the hops that were collected last to the detector."""
        if self._recent is not None:
            self._recent.push(portion.frames)
        if self._detector.push(portion):
            self.processing.add(time.monotonic() - self._arrived)
        self._check_silence()

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
        if self._health is not None:
            if not self._health.lost and self._open:
                reader, held_from = self._preprocessor.reader, self._health.held_from
                hops = self._take(reader.available if held_from is None else held_from - reader.read)
                if len(hops):
                    self.process(self._push(hops))
            self._report(self._health.finish(time.monotonic()))
        self._interruptions.finish(self._now(), self._preprocessor.ring_rate)
        self._end_recording()
        self._preprocessor.discard()

    def publish(self, load: float, *, finished: bool = False) -> None:
        """Updates `latest`.

        Args:
            load: share of time that the engine is busy, 0 to 1.
            finished: whether the stream has ended.
        """
        detector, health = self._detector, self._health
        detector.decide()
        if health is not None and health.open is not None:
            detector.advance(self._samples / self._rate + time.monotonic() - health.open.began)
        state = health.state if health is not None else None
        failure = str(self.error) if finished and self.error else ""
        broke_off = not isinstance(self.error, RecordingsLeftOut)
        snapshot = self._view.update(
            State.LOST if failure and broke_off else state or self._state_of(detector),
            level=self._level, position_s=self._samples / self._rate, lost_s=self._interruptions.lost_s,
            events=self._tracker.current(detector.anomaly), sinks=self.sinks, load=load, finished=finished,
            failure=failure,
        )  # fmt: skip
        self._tracker.snapshot(snapshot)

    def _state_of(self, detector: Detector) -> State:
        overloaded = self._interruptions.overloaded and detector.state is not State.ANOMALY
        return State.OVERLOADED if overloaded else detector.state

    def _push(self, hops: FloatArray) -> Portion:
        """Scores whole hops (m · hop_length,) of this stream alone."""
        return self.batch.push(hops[None], (self.number,)).portions()[0]

    def _take(self, limit: int) -> FloatArray:
        """Takes at most `limit` samples of the ring; returns whole hops (m · hop_length,)."""
        preprocessor, reader = self._preprocessor, self._preprocessor.reader
        chunk = preprocessor.take(limit)
        self._arrived = reader.written_at - reader.available / preprocessor.ring_rate
        if chunk.lost:
            self._interrupt()
            self._resume_after_gap("gap", chunk.lost / preprocessor.ring_rate, self._now())
        self._interruptions.invalid_samples(chunk.invalid, self._now)
        if len(chunk.captured):
            self._level.push(chunk.captured)
        hops = _NO_HOPS
        if len(chunk.samples):
            self._samples += len(chunk.samples)
            self._tracker.samples(chunk.samples)
            hops = self._cutter.push(chunk.samples)
        if not len(hops):
            self._check_silence()
        return hops

    def _apply_mark(self, mark: Mark) -> None:
        """Starts a new recording, or renames the current one."""
        if mark.kind == "recording":
            self._interruptions.finish(self._now(), self._preprocessor.ring_rate, of_recording=True)
            self._end_recording()
            self._samples, self._open = 0, True
            self._begin_segment()
            self._cutter.reset()
            self._detector.begin(Recording(mark.name, mark.duration_s, mark.began))
        else:
            self._detector.rename(mark.name)

    def _end_recording(self) -> None:
        """Scores the last frames and windows of the current recording, and ends it."""
        if not self._samples or not self._open:
            return
        self._open = False
        hops = self._cutter.push(self._preprocessor.flush())
        if len(hops):
            self._detector.push(self._push(hops))
        self._detector.push(self.batch.flush(self.number, self._cutter.remainder))
        self._forget_frames()
        self._detector.end(self._samples / self._rate)

    def _attach_ring(self) -> None:
        """Starts to read from the present ring of the source."""
        source = self.source
        self._preprocessor = Preprocessor(source.reader, source.sample_rate, self._rate, hold_silence=source.live)
        self._level = LevelMeter(source.sample_rate)
        if note := narrow_note(source.sample_rate, self.bundle.config.features):
            log.warning("%s: %s: scores are not comparable with the limit.", source.name, note)

    def _check_source(self, health: StreamHealth, now: float) -> None:
        """Changes to the new ring of a source that was reopened, and reports interruptions."""
        source = self.source
        reopened = source.reader is not self._preprocessor.reader and source.lost_since is None
        if reopened:
            self._preprocessor.discard()
            self._scored_before += self._preprocessor.scored
            self._discarded_before += self._preprocessor.discarded
            self._attach_ring()
            self._detector.rename(source.name)
        self._report(health.check(now))
        self._interruptions.check_overload(self._now, self._preprocessor.ring_rate, now)
        if reopened:
            health.attach(self._preprocessor)

    def _check_silence(self) -> None:
        if self._health is not None:
            self._report(self._health.after_portion(time.monotonic()))

    def _report(self, interruptions: list[Interruption]) -> None:
        """Reports the beginnings and ends of interruptions as events."""
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
        self._forget_frames()
        self._preprocessor.reset()
        self._cutter.reset()
        # Silence is known to be over only when some sound after it has been passed on: that is a segment, too.
        self._begin_segment()

    def _forget_frames(self) -> None:
        if self._recent is not None:
            self._recent.reset()

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
        self._interruptions.end(kind, began, seconds, self._preprocessor.ring_rate, time.monotonic())
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
        reader, waiting_s = self._preprocessor.reader, self._preprocessor.waiting / self._preprocessor.ring_rate
        age_s = time.monotonic() - (reader.written_at or time.monotonic())
        return time.time() - age_s - (self._samples / self._rate + waiting_s - position_s)
