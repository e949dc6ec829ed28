"""The worker: ring -> features -> model -> score -> alarm, and from there snapshots and events."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from monitor.alarm import Alarm, Anomaly
from monitor.bundle import Bundle
from monitor.config import Config
from monitor.errors import MonitorError
from monitor.features import band_centres
from monitor.history import History
from monitor.level import LevelMeter
from monitor.scoring import RecordingScore, Scorer
from monitor.sinks import ScoreRows, Sink
from monitor.snapshot import Event, Snapshot, State
from monitor.sources import Mark, Source
from monitor.stream import Scores, ScoreStream

LIVE_CHUNK_S = 0.25  # taken at once: short, so that the screen follows
FAST_CHUNK_S = 4.0  # taken at once where nobody waits for it
POLL_S = 0.002
SNAPSHOT_S = 0.05
KEPT_EVENTS = 100


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """What a recording came to, known when it has ended."""

    name: str
    score: float
    seconds: float
    anomalies: int


class Engine:
    """Listens to one source with one bundle, on a thread of its own.

    `latest` is the newest Snapshot; `events` and `results` grow as they come; `error` is what ended it early.
    """

    def __init__(
        self,
        bundle: Bundle,
        source: Source,
        config: Config,
        *,
        model_name: str,
        device: torch.device | str = "cpu",
        sinks: Sequence[Sink] = (),
    ) -> None:
        features = bundle.config.features
        self.bundle, self.source, self.sinks = bundle, source, sinks
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self.results: list[RecordingResult] = []
        self.anomalies = 0
        self.error: MonitorError | None = None
        self._hop_s = features.hop_s
        self._usual = bundle.usual_band_error.clamp_min(1e-12).numpy()
        self._error_threshold = bundle.thresholds["error"].value
        self._stream = ScoreStream(bundle, 1, device)
        self._alarm = Alarm(config.alarm, bundle.thresholds["score"].value, features.hop_s)
        self._history = History(features.n_mels, features.hop_s)
        self._level = LevelMeter(source.sample_rate)
        self._band_error = np.ones(features.n_mels, np.float32)
        self._last = (np.nan, np.nan)  # rolling error, score
        self._dropped = 0
        self._hops_before = 0  # of the recordings that have ended
        self._began = time.monotonic()
        self._busy = _BusyShare()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._mark = Mark(0, "recording", source.name)
        self._begin_recording(self._mark)
        threshold = bundle.thresholds["score"]
        self.latest = Snapshot(
            state=State.LISTENING, source=source.name, model=model_name, score_kind=bundle.config.score.kind,
            threshold=threshold.value, threshold_note=threshold.note, error_threshold=self._error_threshold,
            error=np.nan, score=np.nan, level_dbfs=-np.inf, peak_dbfs=-np.inf, position_s=0.0, duration_s=None,
            uptime_s=0.0, speed=source.speed, load=0.0, dropped_samples=0, slot_s=self._history.slot_s, first_slot=0,
            error_history=np.empty(0, np.float32), score_history=np.empty(0, np.float32),
            spectrogram=np.empty((0, features.n_mels), np.float32), band_hz=band_centres(features).numpy(),
            band_error=self._band_error,
        )  # fmt: skip

    def start(self) -> None:
        """Starts the source and the worker."""
        self.source.start()
        self._thread.start()

    def stop(self) -> None:
        """Ends the worker and the source; what has been heard is scored, events are ended and sinks are closed."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def finished(self) -> bool:
        """Whether the worker has ended."""
        return self._thread.ident is not None and not self._thread.is_alive()

    def scale_threshold(self, factor: float) -> None:
        """Multiplies the thresholds for this run."""
        self._alarm.threshold *= factor
        self._error_threshold *= factor

    def _run(self) -> None:
        try:
            self._listen()
        except MonitorError as error:
            self.error = error
        finally:
            self._end_recording()
            self.source.stop()
            for sink in self.sinks:
                sink.close()
            self.error = self.error or self.source.error or next((s.error for s in self.sinks if s.error), None)
            self._publish(finished=True)

    def _listen(self) -> None:
        ring, marks = self.source.ring, self.source.marks
        chunk_s = LIVE_CHUNK_S if self.source.speed <= 2 else FAST_CHUNK_S
        chunk = max(1, int(chunk_s * self.source.sample_rate))
        hop = max(1, int(self._hop_s * self.source.sample_rate))
        published = 0.0
        while not self._stopping.is_set():
            began = time.monotonic()
            mark = marks[0] if marks else None
            if mark is not None and ring.read >= mark.index:
                marks.popleft()
                if mark.kind == "end":
                    return
                self._pass_mark(mark)
                continue
            limit = chunk if mark is None else min(chunk, mark.index - ring.read)
            if ring.available < min(hop, limit):
                time.sleep(POLL_S)
                self._busy.waited(time.monotonic() - began)
            else:
                taken = ring.take(limit)
                if taken.lost:
                    self._skip(taken.lost)
                if len(taken.samples):
                    self._take(taken.samples[:, 0])
                self._busy.worked(time.monotonic() - began)
            if began - published >= SNAPSHOT_S:
                published = began
                self._publish()

    def _take(self, samples: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
        self._samples += len(samples)
        self._level.push(samples)
        frames, scores = self._stream.push(torch.from_numpy(samples)[None])
        self._use(frames, scores)

    def _use(self, frames: torch.Tensor, scores: Scores) -> None:
        if frames.shape[1]:
            self._history.add_levels(self._hops_before + self._frames, _decibels(frames[0]))
            self._frames += frames.shape[1]
        count = scores.score.shape[1]
        if not count:
            return
        error, score = scores.error[0].double().numpy(), scores.score[0].numpy()
        rolling_error = scores.rolling_error[0].numpy()
        self._recording.push(scores.residual[0], scores.band_error[0], scores.score[0])
        self._history.add_scores(self._hops_before + self._windows, rolling_error, score)
        newest = scores.rolling_band_error[0, -1]
        if not newest.isnan().any():
            self._band_error = (newest.numpy() / self._usual).astype(np.float32)
        self._last = (float(rolling_error[-1]), float(score[-1]))
        for anomaly in self._alarm.update(score):
            self._tell(anomaly)
        rows = ScoreRows(
            self._mark.name, self._windows, self._hop_s, error, score, self._alarm.threshold, self._alarm.state
        )
        self._windows += count
        for sink in self.sinks:
            sink.scores(rows)

    def _pass_mark(self, mark: Mark) -> None:
        if mark.kind == "recording":
            self._end_recording()
            self._begin_recording(mark)
        else:
            self._mark = replace(self._mark, name=mark.name)

    def _begin_recording(self, mark: Mark) -> None:
        self._mark, self._ended = mark, False
        self._samples = self._frames = self._windows = 0
        self._anomalies_before = self.anomalies
        self._recording = self._new_recording_score()
        self._recording_began = time.time()
        self._alarm.reset()

    def _end_recording(self) -> None:
        if not self._samples or self._ended:
            return
        self._ended = True
        self._use(*self._stream.flush())
        if lasting := self._alarm.finish():
            self._tell(lasting)
        result = RecordingResult(
            self._mark.name,
            self._recording.value(),
            self._samples / self.source.sample_rate,
            self.anomalies - self._anomalies_before,
        )
        self.results.append(result)
        self._hops_before += self._frames

    def _new_recording_score(self) -> RecordingScore:
        score, n_mels = self.bundle.config.score, self.bundle.config.features.n_mels
        return RecordingScore(score, Scorer(score, self.bundle.normal_residual), n_mels)

    def _skip(self, lost: int) -> None:
        """Samples were lost: nothing is computed across the hole."""
        self._dropped += lost
        if lasting := self._alarm.finish():
            self._tell(lasting)
        self._alarm.reset()
        at = self._samples / self.source.sample_rate
        length = lost / self.source.sample_rate
        self._append(Event("gap", at, at + length, time.time(), self._mark.name, lost_samples=lost))
        self._stream.reset()
        self._samples += lost
        self._frames = self._windows = round(self._samples / self.source.sample_rate / self._hop_s)

    def _tell(self, anomaly: Anomaly) -> None:
        start_s = anomaly.start * self._hop_s
        event = Event(
            "anomaly",
            start_s,
            None if anomaly.end is None else anomaly.end * self._hop_s,
            self._recording_began + start_s / (self.source.speed if np.isfinite(self.source.speed) else 1.0),
            self._mark.name,
            anomaly.peak,
            anomaly.mean,
            self._alarm.threshold,
        )
        if self.events and self.events[-1].end_s is None:
            event = replace(event, wall_time=self.events[-1].wall_time)
            self.events.pop()
        else:
            self.anomalies += 1
        self._append(event)

    def _append(self, event: Event) -> None:
        self.events.append(event)
        for sink in self.sinks:
            sink.event(event)

    def _publish(self, *, finished: bool = False) -> None:
        first_slot, error_history, score_history, spectrogram = self._history.view()
        lasting = self._alarm.anomaly if self._alarm.state is State.ANOMALY else None
        events = tuple(self.events)
        if lasting is not None and events:
            events = (*events[:-1], replace(events[-1], peak=lasting.peak, mean=lasting.mean))
        self.latest = replace(
            self.latest,
            state=self._alarm.state,
            source=self._mark.name,
            threshold=self._alarm.threshold,
            error_threshold=self._error_threshold,
            error=self._last[0],
            score=self._last[1],
            level_dbfs=self._level.rms_dbfs,
            peak_dbfs=self._level.peak_dbfs,
            position_s=self._samples / self.source.sample_rate,
            duration_s=self._mark.duration_s,
            uptime_s=time.monotonic() - self._began,
            load=self._busy.share,
            dropped_samples=self._dropped,
            first_slot=first_slot,
            error_history=error_history,
            score_history=score_history,
            spectrogram=spectrogram,
            band_error=self._band_error,
            events=events,
            anomalies=self.anomalies,
            finished=finished,
        )


class _BusyShare:
    """The share of the last second or so that was spent computing."""

    def __init__(self) -> None:
        self.share = 0.0

    def worked(self, seconds: float) -> None:
        self._mix(1.0, seconds)

    def waited(self, seconds: float) -> None:
        self._mix(0.0, seconds)

    def _mix(self, value: float, seconds: float) -> None:
        self.share += (value - self.share) * min(1.0, seconds)


def _decibels(power: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    decibels: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = (10 * torch.log10(power.clamp_min(1e-12))).numpy()
    return decibels
