"""Plays a clip through the program's own stream and detector: whether its anomaly is reported, and how soon."""

from __future__ import annotations

from pathlib import Path

from monitor.api.stream import ModelStream
from monitor.audio.reader import read_blocks
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.detection.whole_recording import CAUSE


def delay_of_report(bundle: Bundle, config: Config, path: Path, onset_s: float) -> float | None:
    """When an anomaly in a clip would be reported, in seconds after its onset.

    Args:
        bundle: the model.
        config: the settings in force.
        path: the clip.
        onset_s: onset of the anomaly, from the beginning of the clip.

    Returns:
        at least 0; None if no anomaly lasts at that time or begins after it.

    Raises:
        DataError: if the clip cannot be read.
    """
    stream = ModelStream(bundle, config, bundle.config.features.sample_rate, "mix")
    events = [
        event
        for block in read_blocks(path, bundle.config.features.sample_rate, "mix")
        for event in stream.push(block).events
    ]
    events += stream.flush().events
    reported = [
        event.reported_s
        for event in events
        if event.kind == "anomaly" and event.cause != CAUSE and (event.end_s is None or event.end_s > onset_s)
    ]
    return max(0.0, min(reported) - onset_s) if reported else None
