"""The detector: derives the state and the events of one stream from its scores, and keeps its last minute."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config import schema
from monitor.config.schema import Config
from monitor.core.events import Decisions, Event, ScoreRows, State
from monitor.core.types import BoolArray, DoubleArray, FloatArray
from monitor.detection.anomaly_events import AnomalyEvents
from monitor.detection.drift import Drift
from monitor.detection.recording import Listener, Recording, RecordingResult
from monitor.detection.whole_recording import WholeRecording
from monitor.features.mel import band_centres
from monitor.scoring.scorer import rolling_length
from monitor.streaming.portion import Portion
from monitor.streaming.stream_batch import StreamBatch
from support.reference_detection.alarm import Alarm
from support.reference_detection.anomaly import Anomaly
from support.reference_detection.cusum import Limits
from support.reference_detection.mean_rows import MeanRows, joined, runs
from support.reference_detection.pauses import NEW_MODE, OFF, Pauses
from support.reference_detection.timeline import Timeline

# Why a machine is not judged: the kind of event of each reason, and its state.
KINDS = {OFF: "off", NEW_MODE: "new mode"}
PAUSES = {"off": State.OFF, "new mode": State.NEW_MODE}
MAX_WAITING = 64  # portions that may wait for a decision, because they occupy memory


class Detector:
    """Derives the state and the events of one stream of a batch from its portions, and reports them to a listener.

    Portions are collected, and evaluated together when a decision of the alarm is due, or when `decide` is called.

    Args:
        bundle: the model.
        config: the settings in force.
        batch: the batch that scores the stream.
        number: number of the stream in the batch.
        listener: receives frames, events and scores.
        stream: name of the stream if there are several.
        speed: stream seconds per second, to convert times of the stream to wall-clock times.
        keep_recording_scores: whether to score each recording as a whole when it ends. If that score is higher than
            those of normal recordings, and there was no other anomaly in it, the recording itself is one.
        drift: offsets of the reference distribution, which are updated; None: the reference is fixed.
        wall_time: the Unix time of a position of the stream in seconds; None: from the time of the recording.
    """

    def __init__(
        self,
        bundle: Bundle,
        config: Config,
        batch: StreamBatch,
        number: int,
        listener: Listener,
        *,
        stream: str = "",
        speed: float = 1.0,
        keep_recording_scores: bool = False,
        drift: Drift | None = None,
        wall_time: Callable[[float], float] | None = None,
    ) -> None:
        features = bundle.config.features
        self.results: list[RecordingResult] = []  # of all recordings that have ended
        self.limits = Limits.of(bundle, config.alarm)
        self.error_threshold = _error_threshold(bundle, config.alarm)
        self.band_hz = band_centres(features)
        self.timeline = Timeline(features.n_mels, features.hop_s)
        self.last = (math.nan, math.nan)  # newest rolling error and score
        self.anomalies = 0  # number of anomalies so far
        self.recording = Recording("")
        self._bundle, self._batch, self._number, self._listener = bundle, batch, number, listener
        self._stream, self._drift, self._clock = stream, drift, wall_time
        self._hop_s, self._wall_speed = features.hop_s, speed if math.isfinite(speed) else 1.0
        self._keep_recording_scores = keep_recording_scores
        self._window_rows = rolling_length(bundle.config.score, features)
        self._alarm = Alarm(config.alarm, self.limits, features.hop_s, self._window_rows)
        self._rows_since_learning = 0
        self._pauses = Pauses(bundle, config.alarm)
        # While the machine is not judged, because it is off or in an unknown mode: the event that says so.
        self._pause: Event | None = None
        self._ended_in: State | None = None  # the state of such a pause at the end of the recording
        self._ended_anomalous = False  # whether it has ended, and as a whole was an anomaly
        self._whole = WholeRecording(bundle, batch, number, self.band_hz)
        self._anomaly_events = AnomalyEvents(bundle, batch, number, self.band_hz)
        self._mean_row: DoubleArray | None = None  # of the newest window
        self._waiting: list[Portion] = []  # portions since the last evaluation
        self._due = self._alarm.until_decision  # windows until the next decision of the alarm
        self._hops_before = 0  # in the recordings that have ended
        if drift is not None:
            batch.recentre(drift.offsets, number)
        self.begin(self.recording)

    @property
    def state(self) -> State:
        """The state of the machine as of the last evaluation.

        It does not change when a recording ends, unless the recording as a whole is an anomaly.
        """
        if self._pause is not None:
            return PAUSES[self._pause.kind]
        if self._ended_in is not None:
            return self._ended_in
        return State.ANOMALY if self._ended_anomalous else self._alarm.state

    @property
    def threshold(self) -> float:
        """The threshold of the anomaly score in force."""
        return self._alarm.threshold

    @property
    def lasting_sum(self) -> float:
        """The cumulative sum for lasting anomalies, as a share of its limit."""
        return self._alarm.lasting_sum

    @property
    def share_of_limit(self) -> float:
        """How near the alarm is: above 1 is the alarm. NaN if there are no decisions."""
        return math.nan if self._pause is not None else self._alarm.share_of_limit

    @property
    def limits_in_force(self) -> Limits:
        """The limits, as changed by `scale_threshold`."""
        return self._alarm.limits

    @property
    def until_decision(self) -> int:
        """The number of windows up to and including the next decision of the alarm."""
        return self._alarm.until_decision

    @property
    def anomaly(self) -> Anomaly | None:
        """The ongoing anomaly."""
        return self._alarm.anomaly

    def wall_time(self, position_s: float) -> float:
        """The Unix time of a position in the recording."""
        if self._clock is not None:
            return self._clock(position_s)
        if self.recording.began is not None:
            return self.recording.began + position_s
        return self._began + position_s / self._wall_speed

    def band_contribution(self) -> FloatArray:
        """The contribution of each band to the newest score (n_mels,); negative for bands with missing sound."""
        if self._mean_row is None:
            return np.zeros(len(self.band_hz), np.float32)
        return self._batch.contributions(self._mean_row, self.last[1], self._number)

    def scale_threshold(self, factor: float) -> None:
        """Multiplies all thresholds by a factor, for this run only."""
        self.decide()
        self._alarm.scale(factor)
        self.error_threshold *= factor

    def change_alarm(self, settings: schema.Alarm) -> None:
        """Goes on with other settings of the alarm, from its next decision on. What `scale_threshold` did is undone."""
        self.decide()
        self.limits = Limits.of(self._bundle, settings)
        self.error_threshold = _error_threshold(self._bundle, settings)
        self._alarm.change(settings, self.limits)
        self._pauses.change(self._bundle, settings)
        self._due = self._alarm.until_decision

    def use_model(
        self, bundle: Bundle, config: Config, batch: StreamBatch, number: int, *, drift: Drift | None = None
    ) -> None:
        """Goes on with another model, from the next decision of the alarm on; arguments as for the class.

        The stream goes on in `batch` already, and the model can follow the one before it without a gap. What was found
        so far counts on, as a share of the limits. An ongoing anomaly goes on; it stays one of the model that reported
        it.
        """
        self.decide()
        self._anomaly_events.use_model(bundle, batch, number, self._alarm.anomaly)
        self._bundle, self._batch, self._number, self._drift = bundle, batch, number, drift
        self.limits, self.error_threshold = Limits.of(bundle, config.alarm), _error_threshold(bundle, config.alarm)
        self._alarm.change_model(config.alarm, self.limits)
        self._pauses.change(bundle, config.alarm)
        self._whole = WholeRecording(bundle, batch, number, self.band_hz)
        self._whole.interrupted = True  # the new model has not heard all of the recording
        self._mean_row, self._rows_since_learning = None, 0
        self._due = self._alarm.until_decision
        if drift is not None:
            batch.recentre(drift.offsets, number)

    def begin(self, recording: Recording) -> None:
        """Starts a new recording."""
        self.decide()
        self.recording = recording
        self._frames = self._windows = self._alarm_row = 0
        self._anomalies_before = self.anomalies
        self._highest_share = math.nan
        self._pauses.begin()
        self._worst: Event | None = None
        self._ended_in, self._ended_anomalous = None, False
        self._whole.begin()
        self._began = time.time()
        self._alarm.reset()

    def end(self, seconds: float) -> None:
        """Ends the recording, which is `seconds` long, and its ongoing events."""
        self.end_ongoing()
        if self._keep_recording_scores:
            self._decide_on_whole(seconds)
        self.results.append(
            RecordingResult(
                self.recording.name,
                self._whole.score(),
                seconds,
                self.anomalies - self._anomalies_before,
                self._highest_share,
                self._worst,
                self._pauses.off_windows * self._hop_s,
                self._pauses.new_mode_windows * self._hop_s,
            )
        )
        self._hops_before += self._frames

    def _decide_on_whole(self, seconds: float) -> None:
        """Reports an anomaly if only the recording as a whole, `seconds` long, is one.

        A machine that was off or in an unknown mode is not scored as a whole, and the scores of whole recordings do not
        follow drift.
        """
        paused = self._pauses.off_windows or self._pauses.new_mode_windows
        if self.anomalies > self._anomalies_before or paused or self._drift is not None:
            return
        event = self._whole.anomaly(self.recording, seconds, self.wall_time(0.0))
        if event is not None:
            self.anomalies += 1
            self._worst, self._ended_anomalous = event, True
            self._report(replace(event, end_s=None))
            self._report(event)

    def rename(self, name: str) -> None:
        """Changes the name of the current recording."""
        self.decide()
        self.recording = replace(self.recording, name=name)

    def interrupt(self) -> None:
        """Ends ongoing events and restarts the alarm, because a gap follows."""
        self.end_ongoing()
        self._ended_in, self._whole.interrupted = None, True
        self._alarm.reset()
        self.last, self._mean_row = (math.nan, math.nan), None

    def resume(self, position_s: float) -> None:
        """Continues after a gap, at `position_s` of the recording."""
        self._frames = self._windows = self._alarm_row = round(position_s / self._hop_s)

    def advance(self, position_s: float) -> None:
        """Continues the timeline without sound, up to a position of the recording."""
        self.timeline.advance(self._hops_before + round(position_s / self._hop_s))

    def end_ongoing(self) -> None:
        """Evaluates all portions, and ends the ongoing anomaly, or the event that the machine is not judged."""
        self.decide()
        if ended := self._alarm.finish():
            self._report_anomaly(ended, cut_off=True)
        self._ended_in = None if self._pause is None else PAUSES[self._pause.kind]
        self._end_pause(self._windows * self._hop_s, cut_off=True)
        self._pauses.reset()

    def push(self, portion: Portion) -> bool:
        """Adds the next portion, and returns whether it has scores. It is evaluated when a decision is due."""
        self._waiting.append(portion)
        count = len(portion.score)
        self._due -= count
        if self._due <= 0 or len(self._waiting) >= MAX_WAITING:
            self.decide()
        return count > 0

    def decide(self) -> None:
        """Evaluates all portions that have been pushed: updates the state, and reports to the listener."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        if framed := [portion for portion in waiting if len(portion.frames)]:
            self._process_frames(framed)
        if scored := [portion for portion in waiting if len(portion.score)]:
            self._process_scores(scored)
        self._due = self._alarm.until_decision

    def _process_frames(self, framed: Sequence[Portion]) -> None:
        power = joined([one.frames for one in framed])
        self._listener.frames(self._frames, power)
        self.timeline.add_frames(self._hops_before + self._frames, power)
        self._frames += len(power)
        self._pauses.push_frames(joined([one.mean_square for one in framed]))

    def _process_scores(self, scored: Sequence[Portion]) -> None:
        error, rolling_error, score = (
            joined([getattr(one, name) for one in scored]) for name in ("error", "rolling_error", "score")
        )
        count, mean_row_at = len(score), MeanRows([one.means for one in scored])
        if self._keep_recording_scores:
            for one in scored:
                self._whole.push(one.rows, one.means, one.score)
        judged = self._pauses.push(score, self._alarm.threshold, mean_row_at.rows)
        score, off = judged.score, judged.off
        self._mean_row = None if off[-1] else mean_row_at(count - 1)
        if off.any():  # a machine that is off has no scores
            rolling_error = np.where(off, np.nan, rolling_error)
        self.timeline.add_scores(self._hops_before + self._windows, rolling_error, score)
        self.last = (float(rolling_error[-1]), float(score[-1]))
        levels = np.empty((count, 2))
        decided: list[tuple[int, int]] = []
        for start, stop in runs(judged.kinds):
            self._pause_for(KINDS.get(int(judged.kinds[start]), ""), (self._windows + start) * self._hop_s)
            for anomaly in self._alarm.push(judged.for_alarm[start:stop], partial(mean_row_at, offset=start)):
                self._report_anomaly(anomaly)
            levels[start:stop] = self._alarm.trace
            decided += ((start + index, number) for index, number in self._alarm.decided)
        self.timeline.add_levels(self._hops_before + self._windows, levels)
        self._highest_share = float(np.fmax.reduce(levels[:, 0], initial=self._highest_share))
        if self._drift is not None:
            self._learn(self._drift, float(score[-1]), mean_row_at(count - 1), count)
        rows = ScoreRows(
            self.recording.name, self._windows, self._hop_s, error, score, self._alarm.threshold, self.state,
            levels[:, 0], self.wall_time(self._windows * self._hop_s), self._stream,
            self._decisions(decided, judged.held_back),
        )  # fmt: skip
        self._windows += count
        self._listener.scores(rows)

    def _decisions(self, decided: list[tuple[int, int]], held_back: BoolArray) -> Decisions:
        """What the alarm has decided on, of the scores that were just processed."""
        index, number = np.array(decided, np.int64).reshape(-1, 2).T
        limits, per_decision = self._alarm.limits, self._alarm.per_decision
        return Decisions(index, number, held_back[index], per_decision, limits.cusum, self._bundle.model_id)

    def _learn(self, drift: Drift, score: float, mean_row: DoubleArray, count: int) -> None:
        """Updates the drift, at most once per length of the rolling mean, so that learnt means share no window.

        Args:
            drift: the drift to update.
            score: the newest score.
            mean_row: (mean_width,) the mean row of this score.
            count: number of windows since the last call.
        """
        self._rows_since_learning += count
        if self._rows_since_learning < self._window_rows:
            return
        if drift.learn(score, mean_row, self._alarm, self._rows_since_learning * self._hop_s):
            self._batch.recentre(drift.offsets, self._number)
            if (share := drift.share_to_report()) is not None:
                at = self._windows * self._hop_s
                self._report(Event("drift", at, at, self.wall_time(at), self.recording.name, peak=share))
        self._rows_since_learning = 0

    def _pause_for(self, kind: str, at: float) -> None:
        """Reports from `at` seconds on that the machine is not judged, for a kind of reason; "": that it is, again."""
        if kind == ("" if self._pause is None else self._pause.kind):
            return
        self._end_pause(at)
        if kind:
            if ended := self._alarm.finish():
                self._report_anomaly(ended)
            self._pause = Event(kind, at, None, self.wall_time(at), self.recording.name)
            self._report(self._pause)

    def _end_pause(self, at: float, *, cut_off: bool = False) -> None:
        if self._pause is not None:
            event = replace(self._pause, end_s=at, cut_off=cut_off)
            self._pause = None
            self._report(event)

    def _report_anomaly(self, anomaly: Anomaly, *, cut_off: bool = False) -> None:
        if not anomaly.reminders and anomaly.end is None:
            self.anomalies += 1
        first = self._alarm_row
        event = self._anomaly_events.event(
            anomaly,
            seconds=lambda row: (first + row) * self._hop_s,
            wall_time=self.wall_time,
            recording=self.recording.name,
            threshold=self._alarm.threshold,
            cut_off=cut_off,
        )
        if self._worst is None or self._worst.id == event.id or event.peak > self._worst.peak:
            self._worst = event
        self._report(event)

    def _report(self, event: Event) -> None:
        self._listener.event(replace(event, stream=self._stream))


def _error_threshold(bundle: Bundle, settings: schema.Alarm) -> float:
    """The threshold of the rolling error; `alarm.threshold` is one of the score, and does not change it."""
    return bundle.thresholds["error"].at(settings.sensitivity if settings.threshold is None else "normal")
