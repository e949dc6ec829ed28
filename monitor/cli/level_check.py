"""Listens to a microphone for ten seconds, and says whether a machine can be learnt from what it hears."""

from __future__ import annotations

from monitor.audio.level import LevelMeter, dbfs
from monitor.config.network_address import public_name
from monitor.config.setting_types import Channel
from monitor.config.sources import Audio
from monitor.core.errors import DataError
from monitor.core.text import printable

QUIET_DBFS = -60.0  # a level below that is possible, but leaves little above the noise of the microphone


def level_check(audio: Audio, sample_rate: int, channel: Channel) -> str:
    """Listens to the microphone of `audio` for ten seconds, with a level meter on standard error.

    Args:
        audio: settings of the microphone.
        sample_rate: sample rate of the model in Hz.
        channel: channel to listen to.

    Returns:
        what was heard: a sentence, and advice if the level is low.

    Raises:
        DataError: if the sound is silent or clipped.
        MonitorError: as `monitor.sources.recording_session.capture_pieces`.
    """
    import numpy as np

    from monitor.audio.quality import QualityCheck
    from monitor.cli.capture_progress import CaptureProgress
    from monitor.sources.device.stderr_redirect import log_file, stderr_redirected
    from monitor.sources.recording_session import PIECE_S, capture_pieces

    minutes, peak_dbfs = PIECE_S / 60, -np.inf
    with stderr_redirected(log_file(), keep_ours=True), CaptureProgress(minutes) as progress:

        def show(seconds: float, meter: LevelMeter) -> None:
            nonlocal peak_dbfs
            peak_dbfs = max(peak_dbfs, meter.peak_dbfs)
            progress.show(seconds, meter)

        [piece] = capture_pieces(audio, sample_rate, channel, minutes, show)
    name = printable(public_name(audio.device) or str(audio.url_file or "the microphone"))
    if defect := QualityCheck(sample_rate).defect_of(piece):
        raise DataError(f"{name}: nothing can be learnt from this sound: {defect.advice}")
    level = dbfs(float(np.std(piece, dtype=np.float64)))
    heard = f"{name}: level {level:.0f} dBFS, peak {peak_dbfs:.0f} dBFS: usable."
    if level < QUIET_DBFS:
        heard += " It is quiet: turn the microphone's level up, or bring it nearer to the machine."
    return heard
