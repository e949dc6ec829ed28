"""`monitor calibrate`: determines new thresholds of a trained model from normal sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.config.setting_types import Channel
from monitor.core.errors import DataError
from monitor.core.text import counted, duration_text
from monitor.model.device import listening_device
from monitor.model.precision_choice import calibration_precision
from monitor.sources.recording_session import ShowLevel
from train.calibration.calibrate import recalibrate
from train.calibration.microphone import capture_frames
from train.commands.model_files import now
from train.commands.prepare import RecordingReader, without_copies
from train.commands.progress import Progress
from train.data.discovery import normal_files
from train.data.feature_cache import FeatureCache, Frames, cache_folder, manifest_digest
from train.data.frame_scale import compare_scale
from train.data.known_recordings import known_recordings

ENOUGH_S = 600.0  # least duration of normal sound for new limits
LEAST_SHARE = 1 / 3  # of the old limits, which new ones do not fall below unless they are forced to


def calibrate(
    bundle: Bundle,
    config: Config,
    normal: Sequence[Path],
    progress: Progress,
    *,
    channel: Channel | None = None,
    relearn: bool = False,
    force: bool = False,
) -> Bundle:
    """Returns the bundle with new thresholds from normal recordings.

    Args:
        bundle: the model.
        config: settings of the calibration, the alarm, and the cache.
        normal: files and folders of normal recordings.
        progress: shows the progress.
        channel: channel of the recordings; None: that of the model.
        relearn: whether to fit new reference distributions, too.
        force: whether to accept little sound, recordings that the model was trained on, and much lower limits.

    Raises:
        DataError: if no recording can be used, or the result could not be relied on and `force` is not given.
    """
    features = bundle.config.features
    if channel is not None:
        features = features.model_copy(update={"channel": channel})
    cache = FeatureCache(features, cache_folder(config))
    files = normal_files(normal)
    recordings = without_copies(RecordingReader(cache, progress, len(files)).read(files, training=True))
    if not recordings:
        raise DataError("None of these recordings can be used to calibrate.")
    compare_scale(bundle, recordings)
    if not force:
        _require_unknown(bundle, recordings)
    return _recalibrated(bundle, config, recordings, relearn=relearn, force=force)


def calibrate_by_microphone(
    bundle: Bundle,
    config: Config,
    channel: Channel | None,
    minutes: float,
    show: ShowLevel,
    *,
    relearn: bool = False,
    force: bool = False,
) -> Bundle:
    """Returns the bundle with new thresholds from normal sound of a microphone.

    Args:
        bundle: the model.
        config: settings of the microphone, the calibration, and the alarm.
        channel: channel of the microphone; None: that of the model.
        minutes: duration of the sound to capture.
        show: shows the level meanwhile.
        relearn: whether to fit new reference distributions, too.
        force: whether to accept little sound and much lower limits.

    Raises:
        MonitorError: as `train.calibration.microphone.capture_frames`, or if the result could not be relied on and
            `force` is not given.
    """
    if not force:
        _require_long(minutes * 60)
    features = bundle.config.features
    channel = features.channel if channel is None else channel
    recordings = capture_frames(config.audio, features, channel, minutes, show)
    return _recalibrated(bundle, config, recordings, relearn=relearn, force=force)


def _require_long(seconds: float) -> None:
    """Checks that there is enough normal sound for limits that can be relied on."""
    if seconds < ENOUGH_S:
        raise DataError(
            f"Not calibrated, and nothing written: {duration_text(seconds)} of normal sound are too little, limits "
            f"need {duration_text(ENOUGH_S)}. Record more; or add --force to take what there is."
        )


def _require_unknown(bundle: Bundle, recordings: Sequence[Frames]) -> None:
    """Checks that the model was not trained on any of the recordings: their scores would be too low."""
    known = known_recordings(recordings, bundle.provenance.get("contents"))
    if known:
        raise DataError(
            f"Not calibrated, and nothing written: the model was trained on {len(known)} of these "
            f"{counted(len(recordings), 'recording')}, such as {known[0].path}, so limits would be too low. "
            "Give others; or add --force to take them all the same."
        )


def _require_similar_limits(before: Bundle, after: Bundle) -> None:
    """Checks that new limits are not so much lower that other sound than the machine's may be the reason."""
    for name, what in (("score", "the stream"), ("recording", "a recording")):
        old, new = before.thresholds[name].value, after.thresholds[name].value
        if new < LEAST_SHARE * old:
            raise DataError(
                f"Not calibrated, and nothing written: the limit of {what} would fall from {old:.4g} to {new:.4g}. Is "
                "this the machine in all of its normal operation? If so, add --force."
            )


def _recalibrated(bundle: Bundle, config: Config, recordings: list[Frames], *, relearn: bool, force: bool) -> Bundle:
    """Returns the bundle with new thresholds from normal recordings, and records the calibration in its provenance."""
    settings = bundle.config.model_copy(update={"calibration": config.calibration, "alarm": config.alarm})
    device = listening_device(config.train.device)
    precision = calibration_precision(config.listening.precision, bundle.precision)
    before = replace(bundle, config=settings, precision=precision)
    calibrated = recalibrate(before, recordings, device, relearn=relearn)
    if not force:
        _require_long(sum(len(frames.power) for frames in recordings) * bundle.config.features.hop_s)
        _require_similar_limits(bundle, calibrated)
    this = {"date": now(), "manifest": manifest_digest(recordings), "relearnt": relearn}
    history = [*bundle.provenance.get("calibrations", []), this]
    return replace(calibrated, provenance=bundle.provenance | {"calibrations": history})
