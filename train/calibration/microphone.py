"""Captures normal sound from a microphone, to calibrate with."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path

from monitor.audio.quality import Defect, QualityCheck
from monitor.config.schema import Features
from monitor.config.setting_types import Channel
from monitor.config.sources import Audio
from monitor.core.errors import DataError
from monitor.core.types import FloatArray
from monitor.features.mel import MelTransform, centred_frames
from monitor.sources.recording_session import ShowLevel, capture_pieces
from train.data.feature_cache import Frames


def capture_frames(audio: Audio, features: Features, channel: Channel, minutes: float, show: ShowLevel) -> list[Frames]:
    """Captures sound from a microphone, and computes its mel frames.

    Args:
        audio: settings of the microphone.
        features: settings of the frames.
        channel: channel of the microphone.
        minutes: duration.
        show: shows the level meanwhile.

    Returns:
        the frames of each ten seconds, as one recording each.

    Raises:
        DataError: if the sound is silent, clipped, or unsteady.
        MonitorError: as `monitor.sources.recording_session.capture_pieces`.
    """
    quality, transform = QualityCheck(features.sample_rate), MelTransform(features)
    recordings: list[Frames] = []
    for piece in capture_pieces(audio, features.sample_rate, channel, minutes, show):
        if defect := quality.defect_of(piece):
            raise _refusal(defect)
        recordings.append(_frames(transform, piece, features.sample_rate))
    if defect := quality.unsteadiness():
        raise _refusal(defect)
    return recordings


def _refusal(defect: Defect) -> DataError:
    return DataError(f"Not calibrated, and nothing written. The sound cannot be trusted: {defect.advice}")


def _frames(transform: MelTransform, samples: FloatArray, rate: int) -> Frames:
    """The frames of a piece that has just ended. Its name has the time, by which sessions are told."""
    power = centred_frames(samples[None], transform)[0]
    began = datetime.datetime.now() - datetime.timedelta(seconds=len(samples) / rate)
    return Frames(Path(f"microphone_{began:%Y%m%d_%H%M%S}"), power, hashlib.sha256(power.tobytes()).hexdigest())
