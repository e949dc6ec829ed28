"""`monitor live` and `monitor replay`: monitor microphones, or recordings."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.listening import (
    ListeningOptions,
    configured_requests,
    controlling_terminal,
    listening_options,
    plant_outputs,
    require_calibrated_limits,
    require_other_files,
    session_view,
    write_lines,
)
from monitor.cli.logs import set_up_logs
from monitor.cli.options import FILE, Number, Speed, microphone_options, require_model
from monitor.cli.times import DURATION
from monitor.core.errors import EXIT_ANOMALY, EXIT_SOURCE_LOST, ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config.loader import SettingsSource
    from monitor.runtime.builder import LoadedRequest
    from monitor.runtime.session import Session
    from monitor.service.upkeep import Upkeep

log = logging.getLogger(__name__)


@click.command()
@click.argument("bundle", type=FILE, required=False)
@microphone_options
@click.option("--duration", type=Number(0, min_open=True), metavar="S", help="End after S seconds.")
@click.option("--record", type=FILE, help="Also record the scored sound to this .wav or .flac file.")
@click.option(
    "--commission", type=DURATION, metavar="TIME", help="Learn each night for so long, such as 7d: commissioning.days."
)
@click.option("--exit-on-loss", is_flag=True, help=f"End with exit code {EXIT_SOURCE_LOST} when a microphone is lost.")
@listening_options
def live(
    bundle: Path | None,
    device: str | None,
    channel: Any,
    duration: float | None,
    record: Path | None,
    commission: float | None,
    exit_on_loss: bool,
    options: ListeningOptions,
) -> None:
    """Listen to a machine through a microphone, and show live how unusual its sound is.

    BUNDLE is the model of the machine. Without it, all microphones listed under `streams` in config.yaml are listened
    to at once. If a microphone is unplugged or the sound server stops, the state is LOST; monitoring continues when the
    microphone is back.

    \b
    Keys: ? help, i details, q quit, space pause the display, + and - change the limit for this run,
    a acknowledge an anomaly, s save a picture, z last hour, day and month. Table of several streams: arrows
    select one, Enter shows it, Escape goes back, / filters names, o changes the order.
    \b
    Examples:
      monitor live runs/pump/model.safetensors
      monitor live runs/pump/model.safetensors --device "USB Audio" --channel 0
      monitor live runs/pump/model.safetensors --sensitivity low
      monitor live runs/pump/model.safetensors --headless --events events.jsonl --pictures anomalies/
      monitor live runs/pump/model.safetensors --duration 600 --record ten-minutes.flac
      monitor live runs/pump/model.safetensors --commission 7d
      monitor live --config hall.yaml --events events.jsonl
    """
    outputs = options.outputs(record)
    set_up_logs(as_json=options.log_json, timed=True)
    more = [] if commission is None else [f"commissioning.days={commission / 86_400!r}"]
    settings = options.settings(device=device, more=more)
    if bundle is not None:
        require_model(bundle, command="monitor replay")
    if bundle is None and (device is not None or channel is not None or record is not None):
        raise ConfigError(
            "--device, --channel and --record are for one microphone: add its model, as in monitor live MODEL."
        )
    from monitor.cli.fleet_link import FleetLink
    from monitor.cli.results import listening_line, listening_summary
    from monitor.cli.stream_models import with_versions
    from monitor.cli.upkeep import look_after, make_upkeep, require_material
    from monitor.runtime.builder import StreamRequest
    from monitor.runtime.live_streams import LiveStreams, Sources
    from monitor.service.reload import Reloaded, Reloader
    from monitor.service.systemd_notify import reloading
    from monitor.sources.device.stderr_redirect import log_file, stderr_redirected

    started = settings.config

    def requests(settings: SettingsSource) -> list[StreamRequest]:
        single = None if bundle is None else [StreamRequest(bundle, channel=channel)]
        return with_versions(single or configured_requests(settings, with_files=False), started)

    def check(loaded: Sequence[LoadedRequest]) -> None:
        require_other_files(outputs, [one.request for one in loaded], settings.config)
        require_calibrated_limits(loaded, options.sensitivity)

    def reloaded(done: Reloaded) -> None:
        for stream in done.removed:
            log.info("%s", listening_summary(stream))
        plant.keep({one.stream for one in session.latest})
        plant.note_reload(done.by, done.changed)
        if upkeep is not None:
            look_after(upkeep, streams, started)
        if fleet is not None:
            fleet.use(streams.config)

    def show(session: Session) -> None:
        if fleet is not None:
            fleet.start()
        view(session)

    streams = LiveStreams(
        requests,
        lambda config, names: [*outputs.outputs(wait=False, named=bundle is None), *plant.outputs(config, names)],
        check=check,
        sources=Sources(end_when_lost=exit_on_loss),
        end_with_first_error=exit_on_loss,
    )
    require_material(started)
    streams.load(settings)
    plant = plant_outputs(settings.config, requests(settings))
    plant.in_use = lambda: streams.outputs.shared
    upkeep: Upkeep | None = None
    fleet: FleetLink | None = None
    view = session_view(settings.config.dashboard, outputs, plant)
    try:
        with stderr_redirected(log_file(), keep_ours=options.headless):
            session = streams.start()
            reloader = Reloader(
                streams, lambda: options.settings(device=device, more=more), around=reloading, after=reloaded
            )
            plant.show(session.latest[len(session.streams) :])  # streams that could not be started
            if plant.status is not None:
                plant.status.commands["reload"] = reloader.answer
            if plant.keeps_state:
                upkeep = make_upkeep(
                    streams, started, options.config_file, options.changed(more), plant.note_upkeep, stores=plant.stores
                )
                look_after(upkeep, streams, started)
                upkeep.start()
            if plant.stores:
                fleet = FleetLink(streams, lambda: requests(streams.settings), reloader, started, lambda: plant.spooled)
            try:
                session.run(
                    duration_s=duration,
                    show=show,
                    hangup=reloader.request if options.headless or not controlling_terminal() else None,
                )
            finally:
                if fleet is not None:
                    fleet.close()
                if upkeep is not None:
                    upkeep.close()
                reloader.close()
    finally:
        plant.close()
        for writer in outputs.writers:
            writer.close()
            log.info("%s", writer.summary())
    write_lines(map(listening_line, session.streams), as_json=options.log_json)
    if error := session.error or plant.error:
        raise error


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
@listening_options
def replay(
    bundle: Path | None,
    files: tuple[Path, ...],
    speed: float,
    gapless: bool,
    fail_on_anomaly: bool,
    options: ListeningOptions,
) -> None:
    """Monitor recordings as if they were live sound, one after another.

    BUNDLE is the model, FILES are the recordings, or folders of recordings. Without them, the recordings of all
    `streams` in config.yaml are played at once, each with its own model.

    \b
    Keys: ? help, i details, q quit, space pause the display, + and - change the limit for this run,
    a acknowledge an anomaly, s save a picture, z last hour, day and month. Table of several streams: arrows
    select one, Enter shows it, Escape goes back, / filters names, o changes the order.
    \b
    Examples:
      monitor replay runs/pump/model.safetensors today.wav
      monitor replay runs/pump/model.safetensors part1.wav part2.wav --gapless --speed 4
      monitor replay runs/pump/model.safetensors *.wav --speed max --headless --scores scores.csv --pictures anomalies/
      monitor replay runs/pump/model.safetensors today.wav --speed max --headless --fail-on-anomaly
      monitor replay --config hall.yaml --speed max --headless --scores scores.csv
    """
    outputs = options.outputs()
    set_up_logs(as_json=options.log_json, timed=True)
    settings = options.settings()
    if bundle is not None:
        require_model(bundle, files, command="monitor replay")
    if bundle is not None and not files:
        raise ConfigError(f"{bundle}: add the recordings to replay, as in monitor replay {bundle} today.wav.")
    from monitor.cli.stream_models import note_models, with_versions
    from monitor.runtime.builder import StreamRequest, with_recordings
    from monitor.runtime.start_failures import StartFailures

    requests = [StreamRequest(bundle, files=files)] if bundle else configured_requests(settings, with_files=True)
    failures = StartFailures(tolerate=len(requests) > 1)
    if options.state is not None:
        requests = with_versions(requests, settings.config)
    requests = with_recordings(requests, failures)
    require_other_files(outputs, requests, settings.config)

    from monitor.cli.results import print_results, result_lines
    from monitor.runtime.builder import file_sources, load_requests, make_plans
    from monitor.runtime.output_set import OutputSet
    from monitor.runtime.session import Session

    loaded = load_requests(requests, settings, failures)
    require_calibrated_limits(loaded, options.sensitivity)
    playable = file_sources(loaded, speed=speed, gapless=gapless, failures=failures)
    # What is replayed is kept only where that is asked for: it is not what the monitor hears now.
    plant = None if options.state is None else plant_outputs(settings.config, requests, serving=False)
    kept = plant.outputs(settings.config, [request.name for request in requests]) if plant else []
    if plant is not None:
        note_models([one.request for one in loaded], settings.config)
    try:
        session = Session(
            make_plans(playable, OutputSet([*outputs.outputs(wait=True, named=bundle is None), *kept]).sinks, failures),
            device=settings.config.train.device,
            precision=settings.config.listening.precision,
            failures=failures,
        )
        session.run(show=session_view(settings.config.dashboard, outputs, plant))
    finally:
        if plant is not None:
            plant.close()
    if options.log_json:
        write_lines(result_lines(session), as_json=True)
    else:
        print_results(session)
    if error := session.error or (plant and plant.error):
        raise error
    if fail_on_anomaly and session.anomalies:
        raise click.exceptions.Exit(EXIT_ANOMALY)
