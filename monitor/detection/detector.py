"""The detector: derives the state and the events of one stream from its scores, and keeps its last minute."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config import schema
from monitor.config.schema import Config
from monitor.core.events import State
from monitor.core.types import FloatArray
from monitor.detection.alarm import Alarm
from monitor.detection.anomaly import Anomaly
from monitor.detection.anomaly_events import AnomalyEvents
from monitor.detection.cusum import Limits
from monitor.detection.detectors import Detectors
from monitor.detection.drift import Drift
from monitor.detection.drift_learning import DriftLearning
from monitor.detection.evaluation import Evaluation
from monitor.detection.pauses import Pauses
from monitor.detection.recording import Listener, Recording, RecordingResult
from monitor.detection.stream_events import StreamEvents
from monitor.detection.timeline import Timeline
from monitor.detection.whole_recording import WholeRecording
from monitor.features.mel import band_centres
from monitor.scoring.scorer import rolling_length
from monitor.streaming.portion import Portion
from monitor.streaming.stream_batch import StreamBatch


class Detector:
    """Derives the state and the events of one stream of a batch from its portions, and reports them to a listener.

    It is a view of one of the `Detectors` of the batch. Portions are collected, and evaluated together when a
    decision of the alarm is due, or when `decide` is called.

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
        detectors: those of all streams of the batch; None: this stream has its own.
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
        detectors: Detectors | None = None,
    ) -> None:
        features = bundle.config.features
        self.results: list[RecordingResult] = []  # of all recordings that have ended
        self.limits = Limits.of(bundle, config.alarm)
        self.error_threshold = _error_threshold(bundle, config.alarm)
        self.band_hz = band_centres(features)
        self._bundle, self._batch, self._number, self._hop_s = bundle, batch, number, features.hop_s
        self._detectors, self._keep_recording_scores = detectors or Detectors(batch), keep_recording_scores
        window_rows = rolling_length(bundle.config.score, features)
        self._alarm = Alarm(config.alarm, self.limits, self._hop_s, window_rows, (self._detectors.alarms, number))
        self.timeline = Timeline(features.n_mels, self._hop_s, (self._detectors.timelines, number))
        self._pauses.begin(number, bundle, config.alarm)
        of_anomalies = AnomalyEvents(bundle, batch, number, self.band_hz)
        self._events = StreamEvents(listener, of_anomalies, self._hop_s, stream=stream, speed=speed, clock=wall_time)
        self._evaluation = Evaluation(self._alarm, self.timeline, self._events, listener, self._hop_s, stream)
        self._evaluation.use_place(self._detectors, number)
        self._detectors.place(number, self._evaluation)
        self._use_model(bundle, drift)
        self.begin(self.recording)

    @property
    def state(self) -> State:
        """The state of the machine as of the last evaluation.

        It does not change when a recording ends, unless the recording as a whole is an anomaly.
        """
        return self._events.state(self._alarm.state)

    @property
    def recording(self) -> Recording:
        """The present recording."""
        return self._events.recording

    @property
    def anomalies(self) -> int:
        """The number of anomalies so far."""
        return self._events.anomalies

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
        return math.nan if self._events.paused is not None else self._alarm.share_of_limit

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

    @property
    def last(self) -> tuple[float, float]:
        """The newest rolling error and score; NaN if there are none."""
        return float(self._record["error"]), float(self._record["score"])

    @property
    def _pauses(self) -> Pauses:
        return self._detectors.pauses

    @property
    def _record(self) -> Any:
        """The row of this stream in the `DetectorRecord`s: what is written into it changes the array."""
        return self._detectors.record[self._number]

    def note_listener(self) -> None:
        """Has to be called when the listener wants something else than before."""
        self._detectors.note_listener(self._number)

    def wall_time(self, position_s: float) -> float:
        """The Unix time of a position in the recording."""
        return self._events.wall_time(position_s)

    def band_contribution(self) -> FloatArray:
        """The contribution of each band to the newest score (n_mels,); negative for bands with missing sound."""
        if not self._record["has_row"]:
            return np.zeros(len(self.band_hz), np.float32)
        mean_row = self._detectors.mean_row[self._number]
        return self._batch.contributions(mean_row, self.last[1], self._number)

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
        self._pauses.change(self._number, self._bundle, settings)

    def use_model(
        self,
        bundle: Bundle,
        config: Config,
        batch: StreamBatch,
        number: int,
        *,
        drift: Drift | None = None,
        detectors: Detectors | None = None,
    ) -> None:
        """Goes on with another model, from the next decision of the alarm on; arguments as for the class.

        The stream goes on in `batch` already, and the model can follow the one before it without a gap. What was found
        so far counts on, as a share of the limits. An ongoing anomaly goes on; it stays one of the model that reported
        it.
        """
        self.decide()
        self._events.of_anomalies.use_model(bundle, batch, number, self._alarm.anomaly)
        self._move(detectors or Detectors(batch), number)
        self._bundle, self._batch = bundle, batch
        self.limits, self.error_threshold = Limits.of(bundle, config.alarm), _error_threshold(bundle, config.alarm)
        self._alarm.change_model(config.alarm, self.limits)
        self._pauses.change(number, bundle, config.alarm)
        self._record["has_row"] = False
        self._use_model(bundle, drift)
        self._whole.interrupted = True  # the new model has not heard all of the recording

    def _use_model(self, bundle: Bundle, drift: Drift | None) -> None:
        """Scores recordings as a whole, and learns, with a model that the stream has in its batch."""
        place, evaluation = (self._batch, self._number), self._evaluation
        self._whole = WholeRecording(bundle, *place, self.band_hz)
        evaluation.whole = self._whole if self._keep_recording_scores else None
        window_rows = rolling_length(bundle.config.score, bundle.config.features)
        evaluation.learning = None if drift is None else DriftLearning(drift, *place, window_rows, self._hop_s)
        evaluation.model_id = bundle.model_id
        self.note_listener()

    def _move(self, detectors: Detectors, number: int) -> None:
        """Goes on as stream `number` of other detectors."""
        if (detectors, number) == (self._detectors, self._number):
            return
        detectors.place(number, self._evaluation)
        self._alarm.move(detectors.alarms, number)
        self.timeline.move(detectors.timelines, number)
        detectors.take_over(number, self._detectors, self._number)
        self._detectors, self._number = detectors, number
        self._evaluation.use_place(detectors, number)

    def begin(self, recording: Recording) -> None:
        """Starts a new recording."""
        self.decide()
        self._events.begin(recording)
        self._go_on_at(0)
        self._record["highest_share"] = math.nan
        self._pauses.begin_recording(self._number)
        self._whole.begin()
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
                self._events.in_recording,
                float(self._record["highest_share"]),
                self._events.worst,
                float(self._pauses.off_windows[self._number] * self._hop_s),
                float(self._pauses.new_mode_windows[self._number] * self._hop_s),
            )
        )
        self._record["hops_before"] += self._record["frames"]

    def _decide_on_whole(self, seconds: float) -> None:
        """Reports an anomaly if only the recording as a whole, `seconds` long, is one.

        A machine that was off or in an unknown mode is not scored as a whole, and the scores of whole recordings do not
        follow drift.
        """
        paused = self._pauses.off_windows[self._number] or self._pauses.new_mode_windows[self._number]
        if self._events.in_recording or paused or self._evaluation.learning is not None:
            return
        event = self._whole.anomaly(self.recording, seconds, self.wall_time(0.0))
        if event is not None:
            self._events.whole_recording(event)

    def rename(self, name: str) -> None:
        """Changes the name of the current recording."""
        self.decide()
        self._events.rename(name)

    def interrupt(self) -> None:
        """Ends ongoing events and restarts the alarm, because a gap follows."""
        self.end_ongoing()
        self._events.interrupt()
        self._whole.interrupted = True
        self._alarm.reset()
        record = self._record
        record["error"] = record["score"] = math.nan
        record["has_row"] = False

    def resume(self, position_s: float) -> None:
        """Continues after a gap, at `position_s` of the recording."""
        self._go_on_at(round(position_s / self._hop_s))

    def _go_on_at(self, hop: int) -> None:
        """The next frame and the next window of the recording have this number."""
        self._record["frames"] = self._record["windows"] = hop
        self._events.go_on_at(hop)

    def advance(self, position_s: float) -> None:
        """Continues the timeline without sound, up to a position of the recording."""
        self.timeline.advance(int(self._record["hops_before"]) + round(position_s / self._hop_s))

    def end_ongoing(self) -> None:
        """Evaluates all portions, and ends the ongoing anomaly, or the event that the machine is not judged."""
        self.decide()
        if ended := self._alarm.finish():
            self._events.anomaly(ended, self.threshold, cut_off=True)
        self._events.end_sound(int(self._record["windows"]) * self._hop_s)
        self._record["paused"] = False
        self._pauses.reset(self._number)

    def push(self, portion: Portion) -> bool:
        """Adds the next portion, and returns whether it has scores. It is evaluated when a decision is due."""
        self._detectors.push_portion(self._number, portion)
        return len(portion.score) > 0

    def decide(self) -> None:
        """Evaluates all portions that have been pushed: updates the state, and reports to the listener."""
        self._detectors.decide(np.array([self._number]))


def _error_threshold(bundle: Bundle, settings: schema.Alarm) -> float:
    """The threshold of the rolling error; `alarm.threshold` is one of the score, and does not change it."""
    return bundle.thresholds["error"].at(settings.sensitivity if settings.threshold is None else "normal")
