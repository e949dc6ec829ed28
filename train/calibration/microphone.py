"""Thresholds from what a microphone hears where the machine stands."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch

from monitor.bundle.bundle import Bundle
from monitor.sources.recording_session import Show, collect
from monitor.config.schema import Channel, Config
from monitor.core.errors import DataError
from monitor.features.mel import FrameStream
from monitor.core.snapshot import FloatArray
from monitor.audio.quality import Soundness
from train.commands.evaluate import calibrated_on
from train.data.feature_cache import Frames

LEAST_MINUTES = 0.5  # three pieces


def calibrate_by_ear(
    bundle: Bundle,
    config: Config,
    channel: Channel | None,
    minutes: float,
    show: Show,
    notice: Callable[[str], None],
    *,
    relearn: bool = False,
) -> Bundle:
    """The bundle with new thresholds from so many minutes of the microphone of the settings.

    Raises:
        DataError: if the sound was silent, clipped, or not steady enough to trust.
        MonitorError: as `monitor.sources.recording_session.collect`.
    """
    features = bundle.config.features
    soundness = Soundness(features.sample_rate)
    recordings: list[Frames] = []
    wanted = features.channel if channel is None else channel
    for piece in collect(config.audio, features.sample_rate, wanted, minutes, show, notice):
        if doubt := soundness.doubt(piece):
            raise _refusal(doubt)
        recordings.append(_frames(bundle, piece, len(recordings)))
    if doubt := soundness.unsteadiness():
        raise _refusal(doubt)
    return calibrated_on(bundle, config, recordings, relearn=relearn)


def _refusal(doubt: str) -> DataError:
    return DataError(f"Not calibrated, and nothing written. The sound cannot be trusted: {doubt}")


def _frames(bundle: Bundle, samples: FloatArray, number: int) -> Frames:
    stream = FrameStream(bundle.config.features)
    power = torch.cat((stream.push(torch.from_numpy(samples)[None]), stream.flush()), dim=1)[0].numpy()
    return Frames(Path(f"microphone-{number}"), power, hashlib.sha256(power.tobytes()).hexdigest())
