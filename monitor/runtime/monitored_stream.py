"""A station: all of one stream but the computing. Ring -> whole hops; frames and scores -> snapshots and events."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.detection.drift import DriftKeeper
from monitor.streaming.ensemble import Lane, Portion
from monitor.core.errors import MonitorError
from monitor.scoring.attribution import threshold_note
from monitor.sources.preprocess import Intake
from monitor.runtime.latency import Latencies, algorithmic_s
from monitor.audio.level import LevelMeter
from monitor.sources.gap_detector import Hole
from monitor.outputs.sink import Sink
from monitor.core.snapshot import Event, FloatArray, Snapshot, State
from monitor.sources.source import Mark, Source
from monitor.detection.detector import RecordingResult, Verdicts
from monitor.sources.stream_health import Watch

LIVE_CHUNK_S = 0.5  # taken at once: short, so that the screen follows
FAST_CHUNK_S = 4.0  # taken at once where nobody waits for it
PORTION_S = 0.0003  # without another block: the device has handed over all that it has for now
SPREAD_S = 2.0  # between looks at how the latencies are spread
_NONE = np.zeros(0, np.float32)


class Station:
    """Listens to one source with one bundle. It has no thread: `monitor.runtime.engine.Engine` gives it its turns.

    `latest` is the newest Snapshot; `error` is what ended it early. `tap` is shown the samples that are judged, (n,) at
    the model's rate; it must not make the engine wait. Nothing else here waits either, but a sink that is told to.

    Every sample that was captured is accounted for: `captured` = `scored` + `discarded`, in the source's samples.

    Args:
        name: of the stream, empty where it is the only one.
    """

    def __init__(
        self,
        bundle: Bundle,
        source: Source,
        config: Config,
        *,
        model_name: str,
        name: str = "",
        sinks: Sequence[Sink] = (),
        tap: Callable[[FloatArray], None] = lambda _: None,
        drift: DriftKeeper | None = None,
    ) -> None:
        features = bundle.config.features
        self.bundle, self.source, self.name = bundle, source, name
        self.sinks = [*sinks, *([drift] if drift else [])]
        self.ended = False  # there is no more sound
        self.processing = Latencies()  # from a window's last sample in the ring to its score with alarm and sinks
        self._error: MonitorError | None = None
        self._tap = tap
        self._hop, self._hop_s, self._rate = features.hop_length, features.hop_s, features.sample_rate
        self._scored = self._discarded = 0  # of rings that have been left
        self._attend_ring()
        self._watch = Watch(source, self._intake) if source.live else None
        self._dropped = 0
        self._began = time.monotonic()
        self._spread, self._spread_at = self.processing.spread(), 0.0
        self._samples, self._rest = 0, _NONE  # of this recording; what is not yet a whole hop
        self._open = True  # the recording has not ended yet
        self._verdicts = Verdicts(
            bundle, config, Mark(0, "recording", source.name), stream=name, stream_speed=source.speed,
            recordings=not source.live, sinks=self.sinks, drift=drift,
        )  # fmt: skip
        self.latest = Snapshot(
            state=State.LISTENING, source=source.name, model=model_name, score_kind=bundle.config.score.kind,
            threshold=self._verdicts.threshold, threshold_note=threshold_note(bundle, config),
            error_threshold=self._verdicts.error_threshold,
            error=np.nan, score=np.nan, level_dbfs=-np.inf, peak_dbfs=-np.inf, position_s=0.0, duration_s=None,
            uptime_s=0.0, speed=source.speed, load=0.0, dropped_samples=0, slot_s=self._verdicts.history.slot_s,
            first_slot=0, error_history=np.empty(0, np.float32), score_history=np.empty(0, np.float32),
            spectrogram=np.empty((0, features.n_mels), np.float32), band_hz=self._verdicts.band_hz,
            band_score=self._verdicts.band_score, algorithmic_s=algorithmic_s(features), stream=name,
        )  # fmt: skip

    def join(self, lane: Lane) -> None:
        """From here on this is where the stream is computed."""
        self.lane = lane
        self._verdicts.join(lane)

    @property
    def error(self) -> MonitorError | None:
        """What ended it early, or what a source or a sink could not do."""
        return self._error or self.source.error

    @property
    def events(self) -> deque[Event]:
        """The last hundred events, oldest first."""
        return self._verdicts.journal.events

    @property
    def anomalies(self) -> int:
        """How many anomalies there have been."""
        return self._verdicts.journal.anomalies

    @property
    def results(self) -> list[RecordingResult]:
        """What the recordings that have ended came to."""
        return self._verdicts.results

    @property
    def captured(self) -> int:
        """Samples that the source has written, of all rings that it had."""
        return self._scored + self._discarded + self._intake.scored + self._intake.discarded + self._intake.waiting

    @property
    def scored(self) -> int:
        """Samples of them that were judged."""
        return self._scored + self._intake.scored

    @property
    def discarded(self) -> int:
        """Samples of them that were not: said to be lost, or part of a silence."""
        return self._discarded + self._intake.discarded

    @property
    def written_at(self) -> float:
        """The monotonic clock when sound came last."""
        return self._intake.ring.written_at

    def scale_threshold(self, factor: float) -> None:
        """Multiplies the thresholds for this run."""
        self._verdicts.scale_threshold(factor)

    def collect(self) -> FloatArray:
        """Looks after the source, and takes what has come: whole hops (m · hop_length,), to be answered by `use`."""
        now = time.monotonic()
        if self._watch is not None:
            self._watch_over(self._watch, now)
        intake, ring, marks = self._intake, self._intake.ring, self.source.marks
        while marks and ring.read >= marks[0].index:
            mark = marks.popleft()
            if mark.kind == "end":
                self.ended = True
                return _NONE
            self._pass_mark(mark)
        chunk = max(1, int((LIVE_CHUNK_S if self.source.speed <= 2 else FAST_CHUNK_S) * intake.ring_rate))
        limit = min(chunk, marks[0].index - ring.read) if marks else chunk
        if self._watch is not None and self._watch.deaf:
            intake.discard()
            return _NONE
        hop = max(1, int(self._hop_s * intake.ring_rate))
        if ring.available < min(hop, limit) or (self.source.live and now - ring.written_at < PORTION_S):
            return _NONE
        return self._take(limit)

    def use(self, portion: Portion) -> None:
        """Takes what the hops came to that were collected last."""
        if self._verdicts.use(portion):
            self.processing.add(time.monotonic() - self._arrived)
        self._judge_silence()

    def fail(self, error: MonitorError, *, beyond_repair: bool = False) -> None:
        """It cannot go on; where the reason is not known, the rest of the recording would only fail again."""
        self._error = self._error or error
        self.ended = True
        self._open = self._open and not beyond_repair

    def finish(self) -> None:
        """Judges what has still come in, ends what lasts, and ends the source."""
        self.source.stop()
        if self._watch is not None:
            if not self._watch.deaf and self._open:
                hops = self._take(self._intake.ring.available)
                if len(hops):
                    self.use(self.lane.push(torch.from_numpy(hops)))
            self._tell_holes(self._watch.end(time.monotonic()))
        self._end_recording()
        self._intake.discard()

    def publish(self, load: float, *, finished: bool = False) -> None:
        """Makes the newest Snapshot; `load` is the engine's."""
        verdicts = self._verdicts
        verdicts.judge()
        first_slot, error_history, score_history, spectrogram = verdicts.history.view()
        state = self._watch.state if self._watch is not None else None
        failure = str(self.error) if finished and self.error else ""
        now = time.monotonic()
        if now - self._spread_at > SPREAD_S:
            self._spread_at, self._spread = now, self.processing.spread()
        self.latest = replace(
            self.latest,
            state=State.LOST if failure else state or verdicts.state,
            source=verdicts.mark.name,
            threshold=verdicts.threshold,
            error_threshold=verdicts.error_threshold,
            error=verdicts.last[0],
            score=verdicts.last[1],
            level_dbfs=self._level.rms_dbfs,
            peak_dbfs=self._level.peak_dbfs,
            position_s=self._samples / self._rate,
            duration_s=verdicts.mark.duration_s,
            uptime_s=now - self._began,
            load=load,
            dropped_samples=self._dropped,
            first_slot=first_slot,
            error_history=error_history,
            score_history=score_history,
            spectrogram=spectrogram,
            band_score=verdicts.band_score,
            evidence=verdicts.evidence,
            events=verdicts.shown_events,
            anomalies=self.anomalies,
            processing_s=self._spread.median,
            processing_p99_s=self._spread.p99,
            finished=finished,
            failure=failure,
        )

    def _take(self, limit: int) -> FloatArray:
        intake, ring = self._intake, self._intake.ring
        chunk = intake.take(limit)
        self._arrived = ring.written_at - ring.available / intake.ring_rate
        if chunk.lost:
            self._break()
            self._gap(chunk.lost / intake.ring_rate, time.time())
        if len(chunk.heard):
            self._level.push(chunk.heard)
        hops = _NONE
        if len(chunk.samples):
            self._samples += len(chunk.samples)
            self._tap(chunk.samples)
            hops = self._whole_hops(chunk.samples)
        if not len(hops):
            self._judge_silence()
        return hops

    def _whole_hops(self, samples: FloatArray) -> FloatArray:
        """Of these samples, behind those that were left over before, as many as make whole hops."""
        sound = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        whole = len(sound) // self._hop * self._hop
        self._rest = sound[whole:]
        return sound[:whole]

    def _pass_mark(self, mark: Mark) -> None:
        if mark.kind == "recording":
            self._end_recording()
            self._samples, self._rest, self._open = 0, _NONE, True
            self._verdicts.begin(mark)
        else:
            self._verdicts.rename(mark.name)

    def _end_recording(self) -> None:
        if not self._samples or not self._open:
            return
        self._open = False
        hops = self._whole_hops(self._intake.flush())
        if len(hops):
            self._verdicts.use(self.lane.push(torch.from_numpy(hops)))
        self._verdicts.use(self.lane.flush(torch.from_numpy(self._rest)))
        self._verdicts.end(self._samples / self._rate)

    def _attend_ring(self) -> None:
        """Takes from the source's ring, from where it is written now."""
        source = self.source
        self._intake = Intake(source.ring, source.sample_rate, self._rate, source.channel, hold_silence=source.live)
        self._level = LevelMeter(source.sample_rate)

    def _watch_over(self, watch: Watch, now: float) -> None:
        source = self.source
        fresh = source.ring is not self._intake.ring and source.lost_since is None
        if fresh:
            self._intake.discard()
            self._scored += self._intake.scored
            self._discarded += self._intake.discarded
            self._attend_ring()
            self._verdicts.rename(source.name)
        self._tell_holes(watch.look(now))
        if fresh:
            watch.attend(self._intake)

    def _judge_silence(self) -> None:
        if self._watch is not None:
            self._tell_holes(self._watch.judge(time.monotonic()))

    def _tell_holes(self, holes: list[Hole]) -> None:
        for hole in holes:
            self._break()
            wall_time = time.time() - (time.monotonic() - hole.began)
            if hole.ended is None:
                if hole.kind != "gap":  # which is told when its length is known
                    at = self._samples / self._rate
                    self._verdicts.journal.tell(Event(hole.kind, at, None, wall_time, self._verdicts.mark.name))
            else:
                self._gap(hole.ended - hole.began, wall_time, hole.kind)

    def _break(self) -> None:
        """Nothing is computed across what comes now: a hole in the sound."""
        self._verdicts.cut()
        self.lane.reset()
        self._intake.reset()
        self._rest = _NONE

    def _gap(self, seconds: float, wall_time: float, kind: str = "gap") -> None:
        """A hole is over: the stream goes on behind it."""
        at = self._samples / self._rate
        lost = round(seconds * self._intake.ring_rate)
        self._dropped += lost
        self._verdicts.journal.tell(
            Event(kind, at, at + seconds, wall_time, self._verdicts.mark.name, lost_samples=lost)
        )
        self._samples += round(seconds * self._rate)
        self._verdicts.resume(self._samples / self._rate)
