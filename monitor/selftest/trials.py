"""Trials: sounds go through the program's own stream and detector, as in a replay, and what is reported is noted."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.events import Event, ScoreRows
from monitor.core.types import DoubleArray, FloatArray
from monitor.detection.detector import Detector
from monitor.detection.detectors import Detectors
from monitor.detection.recording import Recording
from monitor.streaming.stream_batch import StreamBatch

PUSHED_S = 1.0  # sound that is scored at once


class _FirstReport:
    """A listener of a detector that keeps when the first anomaly was reported, in seconds of the stream."""

    wants_frames, wants_scores = False, False

    def __init__(self) -> None:
        self.at_s = math.nan

    def frames(self, first: int, power: FloatArray) -> None:
        """Ignores frames."""

    def event(self, event: Event) -> None:
        """Notes the first anomaly."""
        if event.kind == "anomaly" and math.isnan(self.at_s):
            self.at_s = event.reported_s

    def scores(self, rows: ScoreRows) -> None:
        """Ignores scores."""


def first_reports(
    bundle: Bundle, config: Config, sounds: FloatArray, offsets: Mapping[str, DoubleArray] | None = None
) -> DoubleArray:
    """Listens to several sounds at once, until an anomaly is reported in each of them or they end.

    Args:
        bundle: the model.
        config: the settings in force.
        sounds: (n, samples) at the sample rate of the model.
        offsets: of the reference distributions, as drift has learnt them; None: none.

    Returns:
        when the first anomaly of each was reported (n,), in seconds from its beginning; NaN if none was.
    """
    hop = bundle.config.features.hop_length
    batch = StreamBatch(bundle, len(sounds))
    found = [_FirstReport() for _ in sounds]
    together = Detectors(batch)
    detectors = [Detector(bundle, config, batch, number, one, detectors=together) for number, one in enumerate(found)]
    for number, detector in enumerate(detectors):
        if offsets is not None:
            batch.recentre(offsets, number)
        detector.begin(Recording("self-test"))
    step = max(1, round(PUSHED_S / bundle.config.features.hop_s)) * hop
    listened = list(range(len(sounds)))
    for start in range(0, sounds.shape[1] // hop * hop, step):
        part = np.ascontiguousarray(sounds[listened, start : min(start + step, sounds.shape[1] // hop * hop)])
        together.push(batch.push(part, listened), np.array(listened))
        listened = [number for number in listened if math.isnan(found[number].at_s)]
        if not listened:
            break
    together.decide(np.array(listened, np.int64))
    return np.array([one.at_s for one in found])
