"""The snapshot of a stream before its first sample."""

from __future__ import annotations

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.events import State
from monitor.core.snapshot import Snapshot
from monitor.detection.detector import Detector
from monitor.detection.sensitivity import false_alarms, limit_note
from monitor.runtime.latency import algorithmic_delay_s
from monitor.sources.source import Source


def first_snapshot(
    detector: Detector, source: Source, bundle: Bundle, config: Config, *, model_name: str, stream: str
) -> Snapshot:
    """Returns the snapshot, in which everything is known that does not change."""
    features = bundle.config.features
    empty = np.empty(0, np.float32)
    return Snapshot(
        state=State.LISTENING, source=source.name, model=model_name, score_kind=bundle.config.score.kind,
        threshold=detector.threshold,
        threshold_note=limit_note(bundle, config.alarm, detector.limits),
        error_threshold=detector.error_threshold, error=np.nan, score=np.nan, share_of_limit=np.nan, level_dbfs=-np.inf,
        peak_dbfs=-np.inf, position_s=0.0, duration_s=None, uptime_s=0.0, speed=source.speed, load=0.0,
        lost_s=0.0, slot_s=detector.timeline.slot_s, first_slot=0, error_history=empty, score_history=empty,
        share_history=empty, lasting_history=empty, false_alarms=false_alarms(bundle, detector.limits),
        spectrogram=np.empty((0, features.n_mels), np.float32), band_hz=detector.band_hz,
        band_contribution=np.zeros(features.n_mels, np.float32),
        algorithmic_delay_s=algorithmic_delay_s(features), stream=stream,
    )  # fmt: skip
