"""`monitor calibrate`: determines new thresholds of a trained model from normal sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Channel, Config
from monitor.core.errors import DataError
from monitor.model.device import choose_device
from monitor.sources.recording_session import ShowLevel
from train.calibration.microphone import capture_frames
from train.calibration.thresholds import recalibrate
from train.commands.prepare import RecordingReader
from train.commands.progress import Progress
from train.commands.train import now
from train.data.discovery import normal_files
from train.data.feature_cache import FeatureCache, Frames, cache_folder, manifest_digest


def calibrate(
    bundle: Bundle, config: Config, normal: Sequence[Path], progress: Progress, *, relearn: bool = False
) -> Bundle:
    """Returns the bundle with new thresholds from normal recordings.

    Args:
        bundle: the model.
        config: settings of the calibration, the alarm, and the cache.
        normal: files and folders of normal recordings.
        progress: shows the progress.
        relearn: whether to fit new reference distributions, too.

    Raises:
        DataError: if no recording can be used, or there are too few.
    """
    cache = FeatureCache(bundle.config.features, cache_folder(config))
    files = normal_files(normal)
    recordings = RecordingReader(cache, progress, len(files)).read(files, training=True)
    if not recordings:
        raise DataError("None of these recordings can be used to calibrate.")
    return _recalibrated(bundle, config, recordings, relearn=relearn)


def calibrate_by_microphone(
    bundle: Bundle,
    config: Config,
    channel: Channel | None,
    minutes: float,
    show: ShowLevel,
    *,
    relearn: bool = False,
) -> Bundle:
    """Returns the bundle with new thresholds from normal sound of a microphone.

    Args:
        bundle: the model.
        config: settings of the microphone, the calibration, and the alarm.
        channel: channel of the microphone; None: that of the model.
        minutes: duration of the sound to capture.
        show: shows the level meanwhile.
        relearn: whether to fit new reference distributions, too.

    Raises:
        MonitorError: as `train.calibration.microphone.capture_frames`, or if there is too little sound.
    """
    features = bundle.config.features
    channel = features.channel if channel is None else channel
    recordings = capture_frames(config.audio, features, channel, minutes, show)
    return _recalibrated(bundle, config, recordings, relearn=relearn)


def _recalibrated(bundle: Bundle, config: Config, recordings: list[Frames], *, relearn: bool) -> Bundle:
    """Returns the bundle with new thresholds from normal recordings, and records the calibration in its provenance."""
    settings = bundle.config.model_copy(update={"calibration": config.calibration, "alarm": config.alarm})
    device = choose_device(config.train.device)
    calibrated = recalibrate(replace(bundle, config=settings), recordings, device, relearn=relearn)
    this = {"date": now(), "manifest": manifest_digest(recordings), "relearnt": relearn}
    history = [*bundle.provenance.get("calibrations", []), this]
    return replace(calibrated, provenance=bundle.provenance | {"calibrations": history})
