"""The snapshots of one stream: what is known when it begins, and its present state."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config, Features
from monitor.core.errors import MonitorError, RecordingsLeftOut
from monitor.core.events import Event, State
from monitor.core.snapshot import Snapshot
from monitor.detection.detector import Detector
from monitor.detection.sensitivity import false_alarms, limit_note
from monitor.outputs.sink import Sink
from monitor.runtime.interruptions import InterruptionEvents
from monitor.runtime.latency import Processing, Spread, algorithmic_delay_s
from monitor.sources.source import Source

SPREAD_S = 2.0  # time between two updates of the latency statistics


class StreamView:
    """Makes the snapshots of one stream.

    `latest` is the newest one.

    Args:
        detector: of the stream, which has begun.
        interruptions: of the stream.
        source: of the stream.
        bundle: the model.
        config: the settings in force.
        portion_s: seconds of sound that are scored at a time.
        precision: that the network is computed in.
        model_name: display name of the model.
        stream: name of the stream if there are several.
    """

    def __init__(
        self,
        detector: Detector,
        interruptions: InterruptionEvents,
        source: Source,
        bundle: Bundle,
        config: Config,
        portion_s: float,
        *,
        precision: str,
        model_name: str,
        stream: str,
    ) -> None:
        self.note = ""  # as in the snapshot; any thread may set it
        self._detector, self._interruptions, self._source = detector, interruptions, source
        self._began = time.monotonic()
        self._spread, self._spread_at = Spread.of(np.zeros(0, np.float32)), 0.0
        features, empty = bundle.config.features, np.empty(0, np.float32)
        self.latest = Snapshot(
            state=State.LISTENING, source=source.name, model=model_name, score_kind=bundle.config.score.kind,
            threshold=detector.threshold,
            threshold_note=limit_note(bundle, config.alarm, detector.limits),
            error_threshold=detector.error_threshold, error=np.nan, score=np.nan, share_of_limit=np.nan,
            level_dbfs=-np.inf, peak_dbfs=-np.inf, position_s=0.0, duration_s=None, uptime_s=0.0, speed=source.speed,
            load=0.0, lost_s=0.0, slot_s=detector.timeline.slot_s, first_slot=0, error_history=empty,
            score_history=empty, share_history=empty, lasting_history=empty,
            false_alarms=false_alarms(bundle, detector.limits),
            spectrogram=np.empty((0, features.n_mels), np.float32), band_hz=detector.band_hz,
            band_contribution=np.zeros(features.n_mels, np.float32),
            algorithmic_delay_s=_delay_s(features, portion_s), stream=stream, model_id=bundle.model_id,
            precision=precision, limits_precision=bundle.precision,
        )  # fmt: skip

    def note_model(self, bundle: Bundle, config: Config, portion_s: float, *, precision: str, model_name: str) -> None:
        """Takes note that the stream is scored with another model; arguments as for the class."""
        self.latest = replace(
            self.latest, model=model_name, model_id=bundle.model_id, score_kind=bundle.config.score.kind,
            algorithmic_delay_s=_delay_s(bundle.config.features, portion_s), precision=precision,
            limits_precision=bundle.precision,
        )  # fmt: skip
        self.note_limits(bundle, config)

    def note_limits(self, bundle: Bundle, config: Config) -> None:
        """Takes note of changed limits."""
        limits = self._detector.limits_in_force
        note, means = limit_note(bundle, config.alarm, limits), false_alarms(bundle, limits)
        self.latest = replace(self.latest, threshold_note=note, false_alarms=means)

    def update(
        self,
        disturbed: State | None,
        error: MonitorError | None,
        *,
        levels: tuple[float, float, float],
        processing: Processing,
        position_s: float,
        events: tuple[Event, ...],
        sinks: Sequence[Sink],
        load: float,
        finished: bool,
    ) -> Snapshot:
        """Makes the snapshot of the present state; what was scored since the last decision is not part of it.

        Args:
            disturbed: the state if the sound cannot be scored at present, else None.
            error: that ended the stream; None if there is none, or the stream goes on.
            levels: RMS and peak level of the sound, and RMS level since the last update, in dBFS.
            processing: times from the arrival of a window's last sample to the end of alarm and sinks.
            position_s: seconds of the recording so far.
            events: the newest events.
            sinks: of the stream, whose troubles are shown.
            load: share of time that the engine is busy, 0 to 1.
            finished: whether the stream has ended.
        """
        detector, now = self._detector, time.monotonic()
        first_slot, error_history, score_history, spectrogram = detector.timeline.view()
        share_history, lasting_history = detector.timeline.levels()
        if now - self._spread_at > SPREAD_S:
            self._spread_at, self._spread = now, processing.spread()
        self.latest = replace(
            self.latest,
            state=self._state(disturbed, error),
            source=detector.recording.name,
            threshold=detector.threshold,
            error_threshold=detector.error_threshold,
            error=detector.last[0],
            score=detector.last[1],
            share_of_limit=detector.share_of_limit,
            level_dbfs=levels[0],
            peak_dbfs=levels[1],
            mean_level_dbfs=levels[2],
            position_s=position_s,
            duration_s=detector.recording.duration_s,
            uptime_s=now - self._began,
            load=load,
            lost_s=self._interruptions.lost_s,
            first_slot=first_slot,
            error_history=error_history,
            score_history=score_history,
            share_history=share_history,
            lasting_history=lasting_history,
            spectrogram=spectrogram,
            band_contribution=detector.band_contribution(),
            lasting_sum=detector.lasting_sum,
            events=events,
            anomalies=detector.anomalies,
            processing_s=self._spread.median,
            processing_p99_s=self._spread.p99,
            finished=finished,
            failure="" if error is None else str(error),
            note=self.note,
            clock_ppm=self._source.clock_ppm,
            outputs=tuple(trouble for sink in sinks if (trouble := sink.trouble)),
        )
        return self.latest

    def _state(self, disturbed: State | None, error: MonitorError | None) -> State:
        if error is not None and not isinstance(error, RecordingsLeftOut):  # the other recordings were heard
            return State.LOST
        state = disturbed or self._detector.state
        if disturbed is None and self._interruptions.overloaded and state is not State.ANOMALY:
            return State.OVERLOADED
        return state


def _delay_s(features: Features, portion_s: float) -> float:
    """Seconds from the middle of the first window of a portion to the last sample of the portion."""
    return algorithmic_delay_s(features) + portion_s - features.hop_s
