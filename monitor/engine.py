"""The worker: ring -> features -> model -> score -> alarm, and from there snapshots and events."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from monitor.alarm import Alarm, Anomaly, Limits
from monitor.bundle import Bundle
from monitor.config import Config
from monitor.drift import DriftKeeper
from monitor.errors import MonitorError
from monitor.explain import band_scores, explain, threshold_note
from monitor.features import FrameLevel, band_centres
from monitor.history import History
from monitor.intake import Intake
from monitor.journal import Journal
from monitor.latency import BusyShare, Latencies, Rhythm, algorithmic_s
from monitor.level import LevelMeter
from monitor.pace import Hole
from monitor.scoring import RecordingScore, rolling_length, row_width
from monitor.sinks import ScoreRows, Sink
from monitor.snapshot import Event, FloatArray, Snapshot, State
from monitor.sources import Mark, Source
from monitor.stream import Scores, ScoreStream
from monitor.switch import Flagged, Flags, Switch, off_level
from monitor.watch import Watch

LIVE_CHUNK_S = 0.25  # taken at once: short, so that the screen follows
FAST_CHUNK_S = 4.0  # taken at once where nobody waits for it
POLL_S = 0.002
PORTION_S = 0.0003  # without another block: the device has handed over all that it has for now
SNAPSHOT_S = 0.1
SPREAD_S = 2.0  # between looks at how the latencies are spread


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
    `tap` is shown the samples that are judged, (n,) at the model's rate; it must not make the engine wait.

    Every sample that was captured is accounted for: `captured` = `scored` + `discarded`, in the source's samples.
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
        tap: Callable[[FloatArray], None] = lambda _: None,
        drift: DriftKeeper | None = None,
    ) -> None:
        features = bundle.config.features
        self.bundle, self.source = bundle, source
        self.sinks = [*sinks, *([drift] if drift else [])]
        self.results: list[RecordingResult] = []
        self.error: MonitorError | None = None
        self.processing = Latencies()  # from a window's last sample in the ring to its score with alarm and sinks
        self._journal = Journal(sinks)
        self._tap = tap
        self._hop_s, self._rate = features.hop_s, features.sample_rate
        self._scorer = bundle.scorer()
        self._bundle_id = bundle.digest()
        self._error_threshold = bundle.thresholds["error"].value
        self._stream = ScoreStream(bundle, 1, device)
        limits, self._window_rows = Limits.of(bundle, config.alarm), rolling_length(bundle.config.score, features)
        self._alarm = Alarm(config.alarm, limits, features.hop_s, self._window_rows)
        self._drift, self._unlearnt = drift, 0  # rows since something was, or was not, learnt
        if drift is not None:
            self._recentre(drift)
        self._switch = Switch(FrameLevel(features), off_level(bundle, config.alarm), features.hop_s)
        self._flagged, self._off = Flagged(), False
        self._band_hz = band_centres(features).numpy()
        self._history = History(features.n_mels, features.hop_s)
        self._scored = self._discarded = 0  # of rings that have been left
        self._attend_ring()
        self._watch = Watch(source, self._intake) if source.live else None
        self._rhythm = Rhythm()
        self._rolling = torch.full((row_width(bundle.config.score, features),), torch.nan)  # the newest mean row
        self._last = (np.nan, np.nan)  # rolling error, score
        self._dropped = 0
        self._hops_before = 0  # of the recordings that have ended
        self._began = time.monotonic()
        self._busy = BusyShare()
        self._spread, self._spread_at = self.processing.spread(), 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._mark = Mark(0, "recording", source.name)
        self._begin_recording(self._mark)
        self.latest = Snapshot(
            state=State.LISTENING, source=source.name, model=model_name, score_kind=bundle.config.score.kind,
            threshold=limits.threshold, threshold_note=threshold_note(bundle, config),
            error_threshold=self._error_threshold,
            error=np.nan, score=np.nan, level_dbfs=-np.inf, peak_dbfs=-np.inf, position_s=0.0, duration_s=None,
            uptime_s=0.0, speed=source.speed, load=0.0, dropped_samples=0, slot_s=self._history.slot_s, first_slot=0,
            error_history=np.empty(0, np.float32), score_history=np.empty(0, np.float32),
            spectrogram=np.empty((0, features.n_mels), np.float32), band_hz=self._band_hz,
            band_score=np.zeros(features.n_mels, np.float32), algorithmic_s=algorithmic_s(features),
        )  # fmt: skip

    @property
    def events(self) -> deque[Event]:
        """The last hundred events, oldest first."""
        return self._journal.events

    @property
    def anomalies(self) -> int:
        """How many anomalies there have been."""
        return self._journal.anomalies

    @property
    def captured(self) -> int:
        """Samples that the source has written, of all streams that it opened."""
        return self._scored + self._discarded + self._intake.scored + self._intake.discarded + self._intake.waiting

    @property
    def scored(self) -> int:
        """Samples of them that were judged."""
        return self._scored + self._intake.scored

    @property
    def discarded(self) -> int:
        """Samples of them that were not: said to be lost, or part of a silence."""
        return self._discarded + self._intake.discarded

    def start(self) -> None:
        """Starts the source and the worker."""
        self.source.start()
        self._thread.start()

    def wait(self) -> None:
        """Until the source has ended and all of it is judged."""
        self._thread.join()

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
        self._alarm.scale(factor)
        self._error_threshold *= factor

    def _run(self) -> None:
        # OpenMP keeps the number of threads by thread: here it would be all processors, and they would wait for each
        # other through every hiccup of the system.
        torch.set_num_threads(torch.get_num_threads())
        try:
            self._listen()
        except MonitorError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - on this thread nobody else would be told
            self.error = MonitorError(f"The monitoring ended by an unforeseen error, {type(error).__name__}: {error}.")
            self._ended = True  # the rest of the recording would only fail again
        finally:
            if self._watch is not None:
                self._finish_live(self._watch)
            self._end_recording()
            self.source.stop()
            self._intake.discard()
            for sink in self.sinks:
                sink.close()
            self.error = self.error or self.source.error or next((s.error for s in self.sinks if s.error), None)
            self._publish(finished=True)

    def _finish_live(self, watch: Watch) -> None:
        """Judges what has still come in, and ends what lasts."""
        self.source.stop()
        if not watch.deaf:
            self._take(self._intake.ring.available)
        self._tell_holes(watch.end(time.monotonic()))

    def _listen(self) -> None:
        marks = self.source.marks
        chunk_s = LIVE_CHUNK_S if self.source.speed <= 2 else FAST_CHUNK_S
        published = 0.0
        while not self._stopping.is_set():
            began = time.monotonic()
            if self._watch is not None:
                self._watch_over(self._watch, began)
            intake, ring = self._intake, self._intake.ring
            mark = marks[0] if marks else None
            if mark is not None and ring.read >= mark.index:
                marks.popleft()
                if mark.kind == "end":
                    return
                self._pass_mark(mark)
                continue
            chunk = max(1, int(chunk_s * intake.ring_rate))
            limit = chunk if mark is None else min(chunk, mark.index - ring.read)
            hop = max(1, int(self._hop_s * intake.ring_rate))
            if self._watch is not None and self._watch.deaf:
                intake.discard()
                time.sleep(0.01)
                self._busy.waited(time.monotonic() - began)
            elif ring.available < min(hop, limit) or (self.source.live and began - ring.written_at < PORTION_S):
                self._rhythm.sleep() if self.source.live else time.sleep(POLL_S)
                self._busy.waited(time.monotonic() - began)
            else:
                self._rhythm.came(ring.written_at)
                self._take(limit)
                self._busy.worked(time.monotonic() - began)
            if began - published >= SNAPSHOT_S:
                published = began
                self._publish()

    def _take(self, limit: int) -> None:
        intake, ring = self._intake, self._intake.ring
        chunk = intake.take(limit)
        arrived = ring.written_at - ring.available / intake.ring_rate
        if chunk.lost:
            self._break()
            self._gap(chunk.lost / intake.ring_rate, time.time())
        if len(chunk.heard):
            self._level.push(chunk.heard)
        if len(chunk.samples):
            self._samples += len(chunk.samples)
            self._tap(chunk.samples)
            frames, scores = self._stream.push(torch.from_numpy(chunk.samples)[None])
            if self._use(frames, scores):
                self.processing.add(time.monotonic() - arrived)
        if self._watch is not None:
            self._tell_holes(self._watch.judge(time.monotonic()))

    def _use(self, frames: torch.Tensor, scores: Scores) -> bool:
        """Takes what came of some samples; whether any score did."""
        if frames.shape[1]:
            power = frames[0].numpy()
            for sink in self.sinks:
                sink.frames(self._frames, power)
            self._history.add_levels(self._hops_before + self._frames, _decibels(frames[0]))
            self._frames += frames.shape[1]
            self._flagged.add(*self._switch.push(frames[0]))
        count = scores.score.shape[1]
        if not count:
            return False
        error, score = scores.error[0].double().numpy(), scores.score[0].numpy()
        rolling_error = scores.rolling_error[0].numpy()
        if not self.source.live:
            self._recording.push(scores.rows[0], scores.score[0])
        off, hushed = self._flagged.take(count)
        self._rolling = scores.rolling[0, -1]
        if off.any():  # a machine that is off is not to be judged
            score, rolling_error = (np.where(off, np.nan, values) for values in (score, rolling_error))
            self._rolling = torch.where(torch.tensor(bool(off[-1])), torch.nan, self._rolling)
        self._history.add_scores(self._hops_before + self._windows, rolling_error, score)
        self._last = (float(rolling_error[-1]), float(score[-1]))
        # What may be about to be switched off cannot become an anomaly by it.
        judged = np.where(hushed, np.minimum(score, self._alarm.threshold), score)
        for start, stop in _runs(off):
            if off[start] != self._off:
                self._switched(bool(off[start]), (self._windows + start) * self._hop_s)
            for anomaly in self._alarm.update(judged[start:stop], scores.rolling[0, start:stop].numpy()):
                self._tell(anomaly)
        if self._drift is not None:
            self._follow(self._drift, float(score[-1]), scores.rolling[0, -1].numpy(), count)
        rows = ScoreRows(self._mark.name, self._windows, self._hop_s, error, score, self._alarm.threshold, self._state)
        self._windows += count
        for sink in self.sinks:
            sink.scores(rows)
        return True

    def _follow(self, drift: DriftKeeper, score: float, row: NDArray[np.float64], count: int) -> None:
        """Lets what is normal follow, a window at a time."""
        self._unlearnt += count
        if self._unlearnt < self._window_rows:
            return
        if drift.learn(score, row, self._alarm, self._unlearnt * self._hop_s):
            self._recentre(drift)
            if (share := drift.news) is not None:
                at = self._windows * self._hop_s
                self._journal.tell(Event("drift", at, at, time.time(), self._mark.name, peak=share))
        self._unlearnt = 0

    def _recentre(self, drift: DriftKeeper) -> None:
        for judge in (self._stream, self._scorer):
            judge.recentre(drift.drift.offsets)

    @property
    def _state(self) -> State:
        return State.OFF if self._off else self._alarm.state

    def _switched(self, off: bool, at: float) -> None:
        """The machine was switched off, or on again."""
        if off:
            if lasting := self._alarm.finish():
                self._tell(lasting)
            self._off_since = at, time.time()
        self._off = off
        self._tell_off(None if off else at)

    def _tell_off(self, end: float | None) -> None:
        began, wall_time = self._off_since
        self._journal.tell(Event("off", began, end, wall_time, self._mark.name))

    def _pass_mark(self, mark: Mark) -> None:
        if mark.kind == "recording":
            self._end_recording()
            self._begin_recording(mark)
        else:
            self._mark = replace(self._mark, name=mark.name)

    def _begin_recording(self, mark: Mark) -> None:
        self._mark, self._ended = mark, False
        self._samples = self._frames = self._windows = self._alarm_row = 0
        self._anomalies_before = self.anomalies
        self._recording = self._new_recording_score()
        self._recording_began = time.time()
        self._alarm.reset()

    def _end_recording(self) -> None:
        if not self._samples or self._ended:
            return
        self._ended = True
        rest = self._intake.flush()
        frames, scores = self._stream.push(torch.from_numpy(rest)[None])
        self._use(frames, scores)
        self._use(*self._stream.flush())
        self._end_what_lasts()
        result = RecordingResult(
            self._mark.name,
            self._recording.value(),
            self._samples / self._rate,
            self.anomalies - self._anomalies_before,
        )
        self.results.append(result)
        self._hops_before += self._frames

    def _new_recording_score(self) -> RecordingScore:
        score, features = self.bundle.config.score, self.bundle.config.features
        return RecordingScore(score, self._scorer, row_width(score, features))

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
            self._mark = replace(self._mark, name=source.name)
        self._tell_holes(watch.look(now))
        if fresh:
            watch.attend(self._intake)

    def _tell_holes(self, holes: list[Hole]) -> None:
        for hole in holes:
            self._break()
            wall_time = time.time() - (time.monotonic() - hole.began)
            if hole.ended is None:
                if hole.kind != "gap":  # which is told when its length is known
                    self._journal.tell(Event(hole.kind, self._samples / self._rate, None, wall_time, self._mark.name))
            else:
                self._gap(hole.ended - hole.began, wall_time, hole.kind)

    def _break(self) -> None:
        """Nothing is computed across what comes now: a hole in the sound."""
        self._end_what_lasts()
        self._alarm.reset()
        self._stream.reset()
        self._intake.reset()
        self._last = (np.nan, np.nan)

    def _gap(self, seconds: float, wall_time: float, kind: str = "gap") -> None:
        """A hole is over: the stream goes on behind it."""
        at = self._samples / self._rate
        lost = round(seconds * self._intake.ring_rate)
        self._dropped += lost
        self._journal.tell(Event(kind, at, at + seconds, wall_time, self._mark.name, lost_samples=lost))
        self._samples += round(seconds * self._rate)
        self._frames = self._windows = self._alarm_row = round(self._samples / self._rate / self._hop_s)

    def _end_what_lasts(self) -> None:
        if lasting := self._alarm.finish():
            self._tell(lasting)
        if self._off:
            self._off = False
            self._tell_off(self._windows * self._hop_s)
        self._switch.reset()
        self._flagged = Flagged()

    def _tell(self, anomaly: Anomaly) -> None:
        start_s = (self._alarm_row + anomaly.start) * self._hop_s
        profile = torch.from_numpy(anomaly.mean_profile)
        event = Event(
            "anomaly",
            start_s,
            None if anomaly.end is None else (self._alarm_row + anomaly.end) * self._hop_s,
            self._recording_began + start_s / (self.source.speed if np.isfinite(self.source.speed) else 1.0),
            self._mark.name,
            anomaly.peak,
            anomaly.mean,
            self._alarm.threshold,
            told_s=(self._alarm_row + anomaly.told) * self._hop_s,
            cause=anomaly.cause,
            bands=explain(*self._scorer.shares(profile), self._band_hz) if anomaly.decisions else (),
            model_id=self._bundle_id,
            reminders=anomaly.reminders,
        )
        self._journal.tell(event)

    def _publish(self, *, finished: bool = False) -> None:
        first_slot, error_history, score_history, spectrogram = self._history.view()
        lasting = self._alarm.anomaly
        state = self._watch.state if self._watch is not None else None
        now = time.monotonic()
        if now - self._spread_at > SPREAD_S:
            self._spread_at, self._spread = now, self.processing.spread()
        self.latest = replace(
            self.latest,
            state=state or self._state,
            source=self._mark.name,
            threshold=self._alarm.threshold,
            error_threshold=self._error_threshold,
            error=self._last[0],
            score=self._last[1],
            level_dbfs=self._level.rms_dbfs,
            peak_dbfs=self._level.peak_dbfs,
            position_s=self._samples / self._rate,
            duration_s=self._mark.duration_s,
            uptime_s=now - self._began,
            load=self._busy.share,
            dropped_samples=self._dropped,
            first_slot=first_slot,
            error_history=error_history,
            score_history=score_history,
            spectrogram=spectrogram,
            band_score=band_scores(*self._scorer.shares(self._rolling), self._last[1]),
            evidence=self._alarm.evidence,
            events=self._journal.shown(lasting),
            anomalies=self.anomalies,
            processing_s=self._spread.median,
            processing_p99_s=self._spread.p99,
            finished=finished,
        )


def _runs(flags: Flags) -> list[tuple[int, int]]:
    """Runs of equal flags: (start, stop)."""
    edges = [0, *(np.flatnonzero(np.diff(flags)) + 1).tolist(), len(flags)]
    return list(pairwise(edges))


def _decibels(power: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    decibels: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = (10 * torch.log10(power.clamp_min(1e-12))).numpy()
    return decibels
