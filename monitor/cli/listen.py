"""The commands that listen: live, replay, record, devices, and bench. What is heavy is imported inside a command."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from monitor.core.errors import EXIT_ANOMALY, EXIT_SOURCE_LOST, ConfigError
from monitor.core.atomic_io import keep_apart
from monitor.cli.options import (
    FILE,
    Speed,
    bundle_and_settings,
    device_override,
    microphone_options,
    output_options,
    settings_in_force,
    settings_options,
    view_options,
    view_overrides,
)
from monitor.runtime.outputs import Outputs

BENCH_SECTIONS = ("latency", "replay", "machine", "streams", "frames", "cache", "training", "gpu", "precision")


@click.command()
@click.argument("bundle", type=FILE, required=False)
@microphone_options
@click.option("--duration", type=click.FloatRange(0, min_open=True), metavar="S", help="End after so many seconds.")
@click.option("--record", type=FILE, help="Write what is judged to this .wav or .flac file too.")
@click.option("--exit-on-loss", is_flag=True, help=f"End with code {EXIT_SOURCE_LOST} when a microphone is lost.")
@output_options
@view_options
@settings_options
def live(
    bundle: Path | None,
    device: str | None,
    channel: Any,
    duration: float | None,
    record: Path | None,
    scores: Path | None,
    exit_on_loss: bool,
    pictures: Path | None,
    headless: bool,
    events: Path | None,
    ascii: bool,
    no_colour: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Listen to a microphone, or without BUNDLE to all those in the `streams` of config.yaml at once.

    Where the microphone goes (unplugged, sound server gone or stalled) the state is LOST, and it goes on by itself
    when the microphone is back.

    \b
    Keys: q quits, space pauses the display, + and - change the threshold for this run, s saves a picture.
    In the table of several streams: arrows choose one, Enter shows it in full, Escape goes back.
    \b
    Examples:
      monitor live runs/pump/model.safetensors
      monitor live runs/pump/model.safetensors --device "USB Audio" --channel 0
      monitor live runs/pump/model.safetensors --headless --events events.jsonl --pictures anomalies/
      monitor live runs/pump/model.safetensors --duration 600 --record ten-minutes.flac
      monitor live --config hall.yaml --events events.jsonl
    """
    outputs = Outputs(headless, scores, events, pictures)
    if bundle is None:
        if device is not None or channel is not None or record is not None:
            raise ConfigError("--device, --channel and --record are for one microphone: name its model, too.")
        settings = settings_in_force(config_file, (*overrides, *view_overrides(ascii, no_colour)))
        keep_apart((scores, events), (stream.bundle for stream in settings.streams))
        from monitor.runtime.live import listen_to_streams

        listen_to_streams(settings, duration_s=duration, exit_on_loss=exit_on_loss, outputs=outputs)
        return
    loaded, config = bundle_and_settings(
        bundle, config_file, (*overrides, *view_overrides(ascii, no_colour), *device_override(device))
    )
    keep_apart((record, scores, events), (bundle,))
    from monitor.runtime.live import listen_to_microphone

    listen_to_microphone(
        loaded, config, model=bundle, channel=channel, duration_s=duration, record=record,
        exit_on_loss=exit_on_loss, outputs=outputs,
    )  # fmt: skip


@click.command()
@click.argument("bundle", type=FILE, required=False)
@click.argument("files", type=FILE, nargs=-1)
@click.option("--speed", type=Speed(), default="1", show_default=True, help="Times real time, or max.")
@click.option("--gapless", is_flag=True, help="The files are one recording, cut up.")
@click.option("--fail-on-anomaly", is_flag=True, help=f"End with exit code {EXIT_ANOMALY} if there was an anomaly.")
@output_options
@view_options
@settings_options
def replay(
    bundle: Path | None,
    files: tuple[Path, ...],
    speed: float,
    gapless: bool,
    scores: Path | None,
    fail_on_anomaly: bool,
    pictures: Path | None,
    headless: bool,
    events: Path | None,
    ascii: bool,
    no_colour: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Play recordings to a model as if they were heard live, one after another.

    Without BUNDLE those of all `streams` in config.yaml are played at once, each to its own model.

    \b
    Keys: q quits, space pauses the display, + and - change the threshold for this run, s saves a picture.
    \b
    Examples:
      monitor replay runs/pump/model.safetensors today.wav
      monitor replay runs/pump/model.safetensors part1.wav part2.wav --gapless --speed 4
      monitor replay runs/pump/model.safetensors *.wav --speed max --headless --scores scores.csv --pictures anomalies/
      monitor replay runs/pump/model.safetensors today.wav --speed max --headless --fail-on-anomaly
      monitor replay --config hall.yaml --speed max --headless --scores scores.csv
    """
    outputs = Outputs(headless, scores, events, pictures)
    if bundle is None:
        settings = settings_in_force(config_file, (*overrides, *view_overrides(ascii, no_colour)))
        read = (path for stream in settings.streams for path in (stream.bundle, *stream.file))
        keep_apart((scores, events), read)
        from monitor.runtime.builder import replay_streams

        anomalies = replay_streams(settings, speed=speed, gapless=gapless, outputs=outputs)
        if fail_on_anomaly and anomalies:
            raise click.exceptions.Exit(EXIT_ANOMALY)
        return
    if not files:
        raise ConfigError(f"{bundle}: name the recordings to play to it, too.")
    loaded, config = bundle_and_settings(bundle, config_file, (*overrides, *view_overrides(ascii, no_colour)))
    keep_apart((scores, events), (bundle, *files))
    from monitor.runtime.session import replay_files

    anomalies = replay_files(loaded, config, files, model=bundle, speed=speed, gapless=gapless, outputs=outputs)
    if fail_on_anomaly and anomalies:
        raise click.exceptions.Exit(EXIT_ANOMALY)


@click.command()
@microphone_options
@click.option("--minutes", type=click.FloatRange(0, min_open=True), required=True, metavar="M", help="How long.")
@click.option("--out", type=FILE, required=True, help="Folder for the recordings.")
@click.option(
    "--format", "suffix", type=click.Choice(["wav", "flac"]), default="flac", show_default=True, help="Of the files."
)
@settings_options
def record(
    device: str | None,
    channel: Any,
    minutes: float,
    out: Path,
    suffix: str,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Record a machine that is well, to train on: files of ten seconds, 16 bit, at the rate the model will hear.

    \b
    Examples:
      monitor record --minutes 30 --out recordings/
      monitor record --device "USB Audio" --channel 0 --minutes 30 --out recordings/ --format wav
      monitor train recordings/ --out runs/pump
    """
    config = settings_in_force(config_file, (*overrides, *device_override(device)))
    from monitor.sources.recording_session import CollectingProgress
    from monitor.sources.recording_session import record as record_files
    from monitor.sources.device.stderr_redirect import library_complaints, log_file

    features = config.features
    files = 0
    try:
        with library_complaints(log_file(), keep_ours=True), CollectingProgress(minutes) as progress:
            for _ in record_files(
                config.audio, features.sample_rate, features.channel if channel is None else channel, minutes, out,
                suffix, progress.show, progress.notice,
            ):  # fmt: skip
                files += 1
    finally:
        if files:
            click.echo(f"{files} recordings of 10 s are in {out}. Next: monitor train {out} --out runs/mine")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@settings_options
def devices(as_json: bool, config_file: Path | None, overrides: tuple[str, ...]) -> None:
    """List the microphones: their channels, their rates, and which one would be used (marked with *).

    \b
    Examples:
      monitor devices
      monitor devices --json
      monitor devices --set audio.device=USB
    """
    config = settings_in_force(config_file, overrides)
    from monitor.sources.device.stderr_redirect import library_complaints, log_file
    from monitor.sources.device.devices import as_json_text, as_table

    with library_complaints(log_file(), keep_ours=True):
        text = as_json_text(config.audio.device) if as_json else as_table(config.audio.device)
    click.echo(text)


@click.command()
@click.option("--bundle", type=FILE, help="The model.  [default: an untrained one, which takes as long]")
@click.option("--data", type=FILE, help="Recordings with labels, for precision: the bundle's test set.")
@click.option("--device", metavar="NAME|INDEX", help="Listen to this microphone.  [default: an invented one]")
@click.option("--seconds", type=click.FloatRange(1), default=30, show_default=True, help="To listen for, in latency.")
@click.option(
    "--only", type=click.Choice(BENCH_SECTIONS), multiple=True, help="Run this section; may be given several times."
)
@click.option("--json", "json_file", type=FILE, help="Write the figures here too (- to print them alone).")
@settings_options
def bench(
    bundle: Path | None,
    data: Path | None,
    device: str | None,
    seconds: float,
    only: tuple[str, ...],
    json_file: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Measure what this machine manages: how late listening is, and how fast frames and training are beside rivals.

    \b
    latency   how late scores and callbacks are, and what listening costs, with the dashboard drawn
    machine   matrix products a second, and how many streams they allow at most
    replay    one recording as fast as possible, beside one window at a time; how long a start takes
    streams   streams of one model, from samples to alarm: how many are kept up with, how late 64 live ones are
    frames    samples to mel frames, beside torchaudio and librosa
    cache     200 recordings to kept frames, beside librosa file by file
    training  an epoch beside its bare steps and a DataLoader; bfloat16 beside float32; reading from disk
    precision the scores and AUC of a model's test recordings in bfloat16, beside float32 (with --bundle and --data)
    gpu       where there is one: streams computed at once, with the copies there and back, and training

    Rivals run in turn in the same process; a ratio is the median over rounds. All takes about six minutes.

    \b
    Examples:
      monitor bench
      monitor bench --only frames --only training
      monitor bench --device default --seconds 600 --json bench.json
      monitor bench --bundle runs/pump/model.safetensors --data data/ --only precision
    """
    settings = (*overrides, *device_override(device))
    loaded = None
    if bundle is None:
        config = settings_in_force(config_file, settings)
    else:
        loaded, config = bundle_and_settings(bundle, config_file, settings)
    import json

    from monitor.bench import run_bench
    from monitor.sources.device.stderr_redirect import library_complaints, log_file
    from monitor.core.atomic_io import write_whole
    from train.bench import SECTIONS
    from train.bench.precision import measure as precision

    sections = dict(SECTIONS)
    if loaded is not None and data is not None:
        sections["precision"] = partial(precision, loaded, data)
    elif "precision" in only:
        raise ConfigError("--only precision compares the scores of recordings: name --bundle and --data, too.")
    silent = json_file == Path("-")
    with library_complaints(log_file(), keep_ours=True):
        figures = run_bench(
            config, loaded, microphone=device is not None, seconds=seconds, only=only, further=sections,
            say=(lambda _: None) if silent else click.echo,
        )  # fmt: skip
    text = json.dumps(figures, indent=2) + "\n"
    if silent:
        click.echo(text, nl=False)
    elif json_file is not None:
        write_whole(json_file, text.encode())
