"""`monitor live` and `monitor replay`: monitor microphones, or recordings."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.logs import set_up_logs
from monitor.cli.options import (
    FILE,
    Speed,
    microphone_options,
    output_options,
    require_model,
    sensitivity_option,
    sensitivity_override,
    settings_options,
    settings_source,
    view_options,
    view_overrides,
)
from monitor.cli.output import say
from monitor.core.errors import EXIT_ANOMALY, EXIT_SOURCE_LOST, ConfigError

if TYPE_CHECKING:
    from monitor.bundle.bundle import Bundle
    from monitor.config.loader import SettingsSource
    from monitor.config.schema import Dashboard
    from monitor.outputs.recording_writer import RecordingWriter
    from monitor.outputs.sink import Sink
    from monitor.runtime.builder import LoadedRequest, StreamRequest
    from monitor.runtime.session import Session


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outputs:
    """The options that say where results are written."""

    headless: bool
    log_json: bool
    scores: Path | None = None
    events: Path | None = None
    pictures: Path | None = None
    record: Path | None = None

    @property
    def files(self) -> tuple[Path | None, ...]:
        """The files that are written; none of them may be read as well."""
        return self.scores, self.events, self.record

    def sinks(self, *, wait: bool, named: bool) -> list[Sink]:
        """Returns the sinks that all streams share.

        Args:
            wait: whether the engine waits for a slow disk; otherwise the oldest rows are discarded.
            named: whether scores have a column with the name of the stream.
        """
        from monitor.outputs.event_log import EventLog
        from monitor.outputs.score_log import ScoreLog

        sinks: list[Sink] = [EventLog(self.events, wait=wait)] if self.events else []
        return sinks + ([ScoreLog(self.scores, wait=wait, named=named)] if self.scores else [])

    def plots(self, bundle: Bundle, *, wait: bool) -> list[Sink]:
        """Returns the sink that draws the anomalies of one stream."""
        from monitor.outputs.event_plots import EventPlots

        return [EventPlots(self.pictures, bundle, wait=wait)] if self.pictures else []


@click.command()
@click.argument("bundle", type=FILE, required=False)
@microphone_options
@click.option("--duration", type=click.FloatRange(0, min_open=True), metavar="S", help="End after S seconds.")
@click.option("--record", type=FILE, help="Also record the scored sound to this .wav or .flac file.")
@click.option("--exit-on-loss", is_flag=True, help=f"End with exit code {EXIT_SOURCE_LOST} when a microphone is lost.")
@sensitivity_option
@output_options
@view_options
@settings_options
def live(
    bundle: Path | None,
    device: str | None,
    channel: Any,
    duration: float | None,
    record: Path | None,
    sensitivity: str | None,
    scores: Path | None,
    exit_on_loss: bool,
    pictures: Path | None,
    headless: bool,
    events: Path | None,
    log_json: bool,
    ascii: bool,
    no_colour: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Listen to a machine through a microphone, and show live how unusual its sound is.

    BUNDLE is the model of the machine. Without it, all microphones listed under `streams` in config.yaml are listened
    to at once. If a microphone is unplugged or the sound server stops, the state is LOST; monitoring continues when the
    microphone is back.

    \b
    Keys: ? help, i details, q quit, space pause the display, + and - change the limit for this run,
    a acknowledge an anomaly, s save a picture. Table of several streams: arrows select one, Enter shows it,
    Escape goes back, / filters names, o changes the order.
    \b
    Examples:
      monitor live runs/pump/model.safetensors
      monitor live runs/pump/model.safetensors --device "USB Audio" --channel 0
      monitor live runs/pump/model.safetensors --sensitivity low
      monitor live runs/pump/model.safetensors --headless --events events.jsonl --pictures anomalies/
      monitor live runs/pump/model.safetensors --duration 600 --record ten-minutes.flac
      monitor live --config hall.yaml --events events.jsonl
    """
    outputs = Outputs(headless, log_json, scores, events, pictures, record)
    set_up_logs(as_json=log_json, timed=True)
    chosen = (*view_overrides(ascii, no_colour), *sensitivity_override(sensitivity))
    settings = settings_source(config_file, (*overrides, *chosen), device=device)
    if bundle is not None:
        require_model(bundle, command="monitor replay")
    if bundle is None and (device is not None or channel is not None or record is not None):
        raise ConfigError(
            "--device, --channel and --record are for one microphone: add its model, as in monitor live MODEL."
        )
    from monitor.runtime.builder import StreamRequest

    requests = [StreamRequest(bundle, channel=channel)] if bundle else _configured_requests(settings, with_files=False)
    _require_other_files(outputs, requests)

    from monitor.runtime.builder import load_requests, make_plans, microphone_sources
    from monitor.runtime.session import Session
    from monitor.runtime.start_failures import StartFailures
    from monitor.sources.device.stderr_redirect import log_file, stderr_redirected

    failures = StartFailures(tolerate=len(requests) > 1)
    loaded = load_requests(requests, settings, failures)
    _require_calibrated_limits(loaded, sensitivity)
    sources = microphone_sources(loaded, end_when_lost=exit_on_loss)
    sinks = outputs.sinks(wait=False, named=bundle is None)
    writers = [_writer(record, loaded[0].bundle)] if record else []
    try:
        with stderr_redirected(log_file(), keep_ours=headless):
            session = Session(
                make_plans(
                    zip(loaded, sources, strict=True),
                    lambda one: [*sinks, *writers, *outputs.plots(one.bundle, wait=False)],
                    failures,
                ),
                device=settings.config.train.device,
                precision=settings.config.listening.precision,
                end_with_first_error=exit_on_loss,
                failures=failures,
            )
            session.run(duration_s=duration, show=session_view(settings.config.dashboard, outputs))
    finally:
        for writer in writers:
            writer.close()
            log.info("%s", writer.summary())
    from monitor.cli.results import listening_line

    _write_lines(map(listening_line, session.streams), as_json=log_json)
    if session.error is not None:
        raise session.error


@click.command()
@click.argument("bundle", type=FILE, required=False)
@click.argument("files", type=FILE, nargs=-1)
@click.option(
    "--speed",
    type=Speed(),
    default="1",
    show_default=True,
    help="Speed of the replay: 1 is real time, max is as fast as possible.",
)
@click.option("--gapless", is_flag=True, help="Treat the files as parts of one continuous recording.")
@click.option("--fail-on-anomaly", is_flag=True, help=f"End with exit code {EXIT_ANOMALY} if there was an anomaly.")
@sensitivity_option
@output_options
@view_options
@settings_options
def replay(
    bundle: Path | None,
    files: tuple[Path, ...],
    speed: float,
    gapless: bool,
    sensitivity: str | None,
    scores: Path | None,
    fail_on_anomaly: bool,
    pictures: Path | None,
    headless: bool,
    events: Path | None,
    log_json: bool,
    ascii: bool,
    no_colour: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Monitor recordings as if they were live sound, one after another.

    BUNDLE is the model, FILES are the recordings, or folders of recordings. Without them, the recordings of all
    `streams` in config.yaml are played at once, each with its own model.

    \b
    Keys: ? help, i details, q quit, space pause the display, + and - change the limit for this run,
    a acknowledge an anomaly, s save a picture. Table of several streams: arrows select one, Enter shows it,
    Escape goes back, / filters names, o changes the order.
    \b
    Examples:
      monitor replay runs/pump/model.safetensors today.wav
      monitor replay runs/pump/model.safetensors part1.wav part2.wav --gapless --speed 4
      monitor replay runs/pump/model.safetensors *.wav --speed max --headless --scores scores.csv --pictures anomalies/
      monitor replay runs/pump/model.safetensors today.wav --speed max --headless --fail-on-anomaly
      monitor replay --config hall.yaml --speed max --headless --scores scores.csv
    """
    outputs = Outputs(headless, log_json, scores, events, pictures)
    set_up_logs(as_json=log_json, timed=True)
    chosen = (*view_overrides(ascii, no_colour), *sensitivity_override(sensitivity))
    settings = settings_source(config_file, (*overrides, *chosen))
    if bundle is not None:
        require_model(bundle, files, command="monitor replay")
    if bundle is not None and not files:
        raise ConfigError(f"{bundle}: add the recordings to replay, as in monitor replay {bundle} today.wav.")
    from monitor.runtime.builder import StreamRequest, with_recordings
    from monitor.runtime.start_failures import StartFailures

    requests = [StreamRequest(bundle, files=files)] if bundle else _configured_requests(settings, with_files=True)
    failures = StartFailures(tolerate=len(requests) > 1)
    requests = with_recordings(requests, failures)
    _require_other_files(outputs, requests)

    from monitor.cli.results import print_results, result_lines
    from monitor.runtime.builder import file_sources, load_requests, make_plans
    from monitor.runtime.session import Session

    loaded = load_requests(requests, settings, failures)
    _require_calibrated_limits(loaded, sensitivity)
    playable = file_sources(loaded, speed=speed, gapless=gapless, failures=failures)
    sinks = outputs.sinks(wait=True, named=bundle is None)
    session = Session(
        make_plans(playable, lambda one: [*sinks, *outputs.plots(one.bundle, wait=True)], failures),
        device=settings.config.train.device,
        precision=settings.config.listening.precision,
        failures=failures,
    )
    session.run(show=session_view(settings.config.dashboard, outputs))
    if log_json:
        _write_lines(result_lines(session), as_json=True)
    else:
        print_results(session)
    if session.error is not None:
        raise session.error
    if fail_on_anomaly and session.anomalies:
        raise click.exceptions.Exit(EXIT_ANOMALY)


def _require_calibrated_limits(loaded: Sequence[LoadedRequest], sensitivity: str | None) -> None:
    """Checks that no limit is set by hand if a sensitivity is asked for, because that would then change nothing.

    Raises:
        ConfigError: if one is.
    """
    if sensitivity is None:
        return
    for one in loaded:
        if one.config.alarm.threshold is not None:
            stream = f" of {one.request.name}" if one.request.name else ""
            raise ConfigError(
                f"--sensitivity {sensitivity} has no effect, because alarm.threshold sets the limit{stream} to "
                f"{one.config.alarm.threshold:g}: leave out one of the two."
            )


def _write_lines(lines: Iterable[tuple[str, Mapping[str, object]]], *, as_json: bool) -> None:
    """Writes lines to standard output: the texts, or the facts as JSON."""
    from monitor.cli.logs import event_writer

    write = event_writer(as_json=True)
    for text, facts in lines:
        write(text, facts) if as_json else say(text)


def _configured_requests(settings: SettingsSource, *, with_files: bool) -> list[StreamRequest]:
    """Returns the streams in the settings that have a file, or those that have a microphone.

    Raises:
        ConfigError: if there are no such streams.
    """
    from monitor.runtime.builder import StreamRequest

    wanted = [stream for stream in settings.config.streams if bool(stream.file) == with_files]
    if not wanted:
        kind = "a file" if with_files else "a microphone"
        raise ConfigError(
            f"There is nothing to listen to: give a model, or list streams with {kind} each in config.yaml."
        )
    return [
        StreamRequest(stream.bundle, stream.name, stream.device, stream.channel, stream.file, stream.alarm)
        for stream in wanted
    ]


def _require_other_files(outputs: Outputs, requests: Sequence[StreamRequest]) -> None:
    """Checks that no output file is also an input: a model or a recording."""
    from monitor.core.atomic_io import require_other_file

    read = [path for request in requests for path in (request.model, *request.files)]
    require_other_file(outputs.files, read)


def _writer(path: Path, bundle: Bundle) -> RecordingWriter:
    from monitor.outputs.recording_writer import RecordingWriter

    return RecordingWriter(path, bundle.config.features.sample_rate)


def session_view(dashboard: Dashboard, outputs: Outputs) -> Any:
    """Returns a function that shows a session: on the dashboard, or as lines of text."""
    from rich.console import Console

    from monitor.cli.logs import event_writer
    from monitor.dashboard.app import show

    def show_session(session: Session) -> None:
        show(
            lambda: session.latest,
            session,
            session.over,
            fps=dashboard.fps,
            ascii=dashboard.ascii,
            colour=dashboard.colour,
            console=Console(force_terminal=False) if outputs.headless else None,
            log=event_writer(as_json=outputs.log_json),
            log_every_s=dashboard.log_every_s,
        )

    return show_session
