"""`monitor live`: a microphone and a model, until somebody ends it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import click

from monitor.bundle.bundle import Bundle
from monitor.sources.device.stderr_redirect import library_complaints, log_file
from monitor.config.schema import Channel, Config
from monitor.dashboard.render.formatting import span
from monitor.runtime.engine import Engine
from monitor.runtime.session import listen, station_for
from monitor.sources.device.microphone import Microphone
from monitor.runtime.outputs import Outputs
from monitor.audio.writer import Recorder
from monitor.runtime.monitored_stream import Station
from monitor.runtime.builder import load_streams, microphones, stations_of
from monitor.core.text import counted


def listen_to_microphone(
    bundle: Bundle,
    config: Config,
    *,
    model: Path,
    channel: Channel | None,
    duration_s: float | None,
    record: Path | None,
    exit_on_loss: bool,
    outputs: Outputs,
) -> Engine:
    """Listens until somebody ends it, or `duration_s` are over.

    Raises:
        MonitorError: if the audio library is missing, or the device cannot record so.
        SourceLost: if the sound stopped coming, or never came, and `exit_on_loss` is set.
    """
    features = bundle.config.features
    notices = _Notices(outputs.headless)
    source = Microphone(
        config.audio,
        features.sample_rate,
        features.channel if channel is None else channel,
        end_when_lost=exit_on_loss,
        notice=notices.say,
    )
    sinks = [*outputs.sinks(wait=False), *outputs.pictures_of(bundle, wait=False)]
    recorder = Recorder(record, features.sample_rate) if record else None
    try:
        with library_complaints(log_file(), keep_ours=outputs.headless) as log:
            notices.also_to = log
            tap = recorder.take if recorder else lambda _: None
            station = station_for(bundle, config, source, model=model, sinks=sinks, tap=tap)
            engine = listen([station], config, headless=outputs.headless, duration_s=duration_s)
        click.echo(_account(station))
        if engine.error is not None:
            raise engine.error
        return engine
    finally:
        if recorder is not None:
            recorder.close()
            click.echo(recorder.summary(), err=True)


def listen_to_streams(
    config: Config,
    *,
    duration_s: float | None,
    exit_on_loss: bool,
    outputs: Outputs,
) -> None:
    """Listens to the microphones of all streams of the settings until somebody ends it, or `duration_s` are over.

    Raises:
        ConfigError: if there are none, or a device cannot record so.
        BundleError: if a model cannot be trusted.
        SourceLost: if the sound of one stopped coming, or never came, and `exit_on_loss` is set.
    """
    judged = load_streams(config, of_files=False)
    notices = _Notices(outputs.headless)
    sources = microphones(judged, end_when_lost=exit_on_loss, notice=notices.say)
    stations = stations_of(judged, sources, outputs, wait=False)
    with library_complaints(log_file(), keep_ours=outputs.headless) as log:
        notices.also_to = log
        engine = listen(
            stations, config, headless=outputs.headless, duration_s=duration_s, with_first_error=exit_on_loss
        )
    for station in stations:
        click.echo(_account(station))
    if engine.error is not None:
        raise engine.error


def _account(station: Station) -> str:
    """What became of the sound of a stream, in a sentence."""
    last = station.latest
    name = f"{station.name}: listened" if station.name else "Listened"
    return (
        f"{name} for {span(last.uptime_s)}: {station.scored} of {station.captured} captured samples judged, "
        f"{last.dropped_samples} lost, {counted(station.anomalies, 'anomaly', 'anomalies')}."
    )


class _Notices:
    """What the microphone says: to the terminal where there is no dashboard, and always to the log."""

    def __init__(self, headless: bool) -> None:
        self._headless = headless
        self.also_to: int | None = None

    def say(self, text: str) -> None:
        """One sentence."""
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}\n"
        if self._headless:
            with contextlib.suppress(OSError):
                sys.stderr.write(line)
                sys.stderr.flush()
        elif self.also_to is not None:
            with contextlib.suppress(OSError):
                os.write(self.also_to, line.encode())
