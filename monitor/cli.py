"""The command line: commands, their options and their help. What is heavy is imported inside a command."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor import __version__
from monitor.errors import (
    EXIT_ANOMALY,
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_SOURCE_LOST,
    ConfigError,
    MonitorError,
)

if TYPE_CHECKING:
    from monitor.bundle import Bundle
    from monitor.config import Config

PRESETS = ("default", "toyadmos")  # of monitor.config, which is too slow to import for --help
FILE = click.Path(path_type=Path)


class Speed(click.ParamType):  # type: ignore[type-arg]
    """A positive number, or `max`."""

    name = "X|max"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The speed as a number; infinity for max."""
        try:
            speed = float("inf") if value == "max" else float(str(value))
        except ValueError:
            speed = 0.0
        if not speed > 0:
            self.fail(f"{value!r} is no speed: a number above 0 (1 is real time), or max.", param, ctx)
        return speed


class ChannelChoice(click.ParamType):  # type: ignore[type-arg]
    """A channel's number, or `mix`."""

    name = "N|mix"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """The channel as settings have it."""
        text = str(value)
        if text != "mix" and not (text.isdecimal() and int(text) < 128):
            self.fail(f"{value!r} is no channel: a number counted from 0, or mix.", param, ctx)
        return text if text == "mix" else int(text)


def microphone_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which microphone, and what of it."""
    command = click.option(
        "--channel", type=ChannelChoice(), help="One channel, counted from 0, or mix.  [default: as in training]"
    )(command)
    return click.option(
        "--device", metavar="NAME|INDEX", help="Which microphone; part of its name will do.  [default: the system's]"
    )(command)


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command with settings has."""
    command = click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting, such as train.epochs=50."
    )(command)
    return click.option("--config", "config_file", type=FILE, help="Settings file.  [default: ./config.yaml if there]")(
        command
    )


def view_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of everything that listens and shows it."""
    for option in (
        click.option("--no-color", "--no-colour", "no_colour", is_flag=True, help="No colours."),
        click.option("--ascii", is_flag=True, help="Nothing outside ASCII, for old terminals."),
        click.option("--events", type=FILE, help="Append events to this file, as JSON lines."),
        click.option("--headless", is_flag=True, help="No dashboard: plain log lines."),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="monitor")
def cli() -> None:
    """Learns how a machine sounds when it is well, listens to it, and shows live what it cannot reconstruct.

    \b
    Examples:
      monitor demo                                      see it work, with nothing at hand
      monitor train recordings/ --out runs/pump         learn from a folder of normal recordings
      monitor evaluate runs/pump/model.safetensors data/
      monitor replay runs/pump/model.safetensors today.wav
    """


@cli.command()
@click.argument("data", type=FILE)
@click.option("--out", type=FILE, required=True, help="Folder for the model, metrics and pictures.")
@click.option("--preset", type=click.Choice(PRESETS), default="default", show_default=True, help="A set of settings.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training windows.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to compute.")
@click.option("--seed", type=click.IntRange(0), help="Of the split, the weights and the order.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted training in the same folder.")
@settings_options
def train(
    data: Path,
    out: Path,
    preset: str,
    epochs: int | None,
    device: str | None,
    seed: int | None,
    resume: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Learn how a machine sounds when it is well.

    DATA is a folder of normal recordings (wav, flac, ogg, or .npy mel frames), or one in the layout of ToyADMOS
    (train_normal/, test_normal/, test_anomaly/) or DCASE (train/, test/). What is found in test folders is
    scored at the end. Leaves model.safetensors, metrics.json, history.jsonl and pictures in the --out folder.

    \b
    Examples:
      monitor train recordings/ --out runs/pump
      monitor train ToyCar/ --out runs/article --preset toyadmos
      monitor train mel/ --out runs/mel --set features.n_fft=1024 --set features.hop_length=512
      monitor train recordings/ --out runs/pump --resume
    """
    from train import run
    from train.progress import ConsoleProgress

    chosen = {"train.epochs": epochs, "train.device": device, "train.seed": seed}
    flags = tuple(f"{key}={value}" for key, value in chosen.items() if value is not None)
    config = _config(config_file, (*overrides, *flags), preset=preset)
    try:
        with ConsoleProgress() as progress:
            metrics = run.train(config, data, out, progress, resume=resume)
    except KeyboardInterrupt:
        if (out / run.CHECKPOINT_FILE).exists():
            click.echo("Interrupted. The same command with --resume goes on where it was.", err=True)
        raise
    from train.summary import training_summary

    click.echo(training_summary(metrics, out))


@cli.command()
@click.argument("bundle", type=FILE)
@click.argument("data", type=FILE)
@click.option("--json", "json_file", type=FILE, help="Write all figures and every recording's score here (- to print).")
@click.option("--plots", type=FILE, help="Folder for pictures: ROC, histogram, best and worst recording.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to compute.")
@settings_options
def evaluate(
    bundle: Path,
    data: Path,
    json_file: Path | None,
    plots: Path | None,
    device: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Say how well a model tells normal from anomalous recordings.

    \b
    Examples:
      monitor evaluate runs/pump/model.safetensors data/
      monitor evaluate runs/pump/model.safetensors data/ --json figures.json --plots pictures/
    """
    loaded, config = _loaded(bundle, config_file, (*overrides, *((f"train.device={device}",) if device else ())))
    from train import run
    from train.progress import ConsoleProgress
    from train.summary import as_json, evaluation_summary

    with ConsoleProgress() as progress:
        metrics = run.evaluate(loaded, config, data, progress, plots)
    if json_file == Path("-"):
        click.echo(as_json(metrics))
        return
    if json_file is not None:
        run.write_json(json_file, metrics)
    click.echo(evaluation_summary(metrics))


@cli.command()
@click.argument("bundle", type=FILE)
@click.argument("normal", type=FILE, nargs=-1)
@microphone_options
@click.option("--minutes", type=click.FloatRange(0.5), metavar="M", help="Listen to a microphone for so long.")
@click.option("--out", type=FILE, help="Write the model here instead of over BUNDLE (which is kept as *.previous).")
@settings_options
def calibrate(
    bundle: Path,
    normal: tuple[Path, ...],
    device: str | None,
    channel: Any,
    minutes: float | None,
    out: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Make the threshold anew from normal sound, without training.

    NORMAL are recordings, or folders of them, of the machine when it is well; other ones than it was trained on.
    With --minutes it listens to the machine through a microphone instead, and refuses what is silent, clipped or
    not steady enough to trust.

    \b
    Examples:
      monitor calibrate runs/pump/model.safetensors on-site/
      monitor calibrate runs/pump/model.safetensors monday.wav tuesday.wav --out runs/pump/site-b.safetensors
      monitor calibrate runs/pump/model.safetensors --device "USB Audio" --minutes 10
      monitor calibrate runs/pump/model.safetensors on-site/ --set calibration.false_alarms_per_day=0.1
    """
    if bool(normal) == (minutes is not None):
        raise ConfigError("Calibrate from recordings, or from a microphone with --minutes: name one of the two.")
    loaded, config = _loaded(bundle, config_file, (*overrides, *_device_override(device)))
    from train import run
    from train.progress import ConsoleProgress
    from train.summary import calibration_summary

    if minutes is not None:
        from monitor.collecting import CollectingProgress
        from monitor.live import library_complaints, log_file
        from train.on_site import calibrate_by_ear

        with library_complaints(log_file(), keep_ours=True), CollectingProgress(minutes) as collecting:
            calibrated = calibrate_by_ear(loaded, config, channel, minutes, collecting.show, collecting.notice)
    else:
        with ConsoleProgress() as progress:
            calibrated = run.calibrate(loaded, config, normal, progress)
    run.save_over(calibrated, out or bundle)
    click.echo(calibration_summary(loaded, calibrated, out or bundle))


@cli.command()
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
    config = _config(config_file, overrides)
    from monitor.devices import as_json_text, as_table
    from monitor.live import library_complaints, log_file

    with library_complaints(log_file(), keep_ours=True):
        text = as_json_text(config.audio.device) if as_json else as_table(config.audio.device)
    click.echo(text)


@cli.command()
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
    config = _config(config_file, (*overrides, *_device_override(device)))
    from monitor.collecting import CollectingProgress
    from monitor.collecting import record as record_files
    from monitor.live import library_complaints, log_file

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


@cli.command()
@click.argument("bundle", type=FILE)
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--speed", type=Speed(), default="1", show_default=True, help="Times real time, or max.")
@click.option("--gapless", is_flag=True, help="The files are one recording, cut up.")
@click.option("--scores", type=FILE, help="Write error and score of every hop to this CSV file.")
@click.option("--fail-on-anomaly", is_flag=True, help=f"End with exit code {EXIT_ANOMALY} if there was an anomaly.")
@view_options
@settings_options
def replay(
    bundle: Path,
    files: tuple[Path, ...],
    speed: float,
    gapless: bool,
    scores: Path | None,
    fail_on_anomaly: bool,
    headless: bool,
    events: Path | None,
    ascii: bool,
    no_colour: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Play recordings to a model as if they were heard live, one after another.

    \b
    Keys: q quits, space pauses the display, + and - change the threshold for this run, s saves a picture.
    \b
    Examples:
      monitor replay runs/pump/model.safetensors today.wav
      monitor replay runs/pump/model.safetensors part1.wav part2.wav --gapless --speed 4
      monitor replay runs/pump/model.safetensors *.wav --speed max --headless --scores scores.csv
      monitor replay runs/pump/model.safetensors today.wav --speed max --headless --fail-on-anomaly
    """
    loaded, config = _loaded(bundle, config_file, (*overrides, *_view_overrides(ascii, no_colour)))
    from monitor.listening import replay_files

    anomalies = replay_files(
        loaded, config, files, model=bundle, speed=speed, gapless=gapless, headless=headless,
        scores=scores, events=events,
    )  # fmt: skip
    if fail_on_anomaly and anomalies:
        raise click.exceptions.Exit(EXIT_ANOMALY)


@cli.command()
@click.argument("bundle", type=FILE)
@microphone_options
@click.option("--duration", type=click.FloatRange(0, min_open=True), metavar="S", help="End after so many seconds.")
@click.option("--record", type=FILE, help="Write what is judged to this .wav or .flac file too.")
@click.option("--scores", type=FILE, help="Write error and score of every hop to this CSV file.")
@click.option("--exit-on-loss", is_flag=True, help=f"End with code {EXIT_SOURCE_LOST} when the microphone is lost.")
@view_options
@settings_options
def live(
    bundle: Path,
    device: str | None,
    channel: Any,
    duration: float | None,
    record: Path | None,
    scores: Path | None,
    exit_on_loss: bool,
    headless: bool,
    events: Path | None,
    ascii: bool,
    no_colour: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Listen to a microphone.

    Where the microphone goes (unplugged, sound server gone or stalled) the state is LOST, and it goes on by itself
    when the microphone is back.

    \b
    Keys: q quits, space pauses the display, + and - change the threshold for this run, s saves a picture.
    \b
    Examples:
      monitor live runs/pump/model.safetensors
      monitor live runs/pump/model.safetensors --device "USB Audio" --channel 0
      monitor live runs/pump/model.safetensors --headless --events events.jsonl
      monitor live runs/pump/model.safetensors --duration 600 --record ten-minutes.flac
    """
    loaded, config = _loaded(
        bundle, config_file, (*overrides, *_view_overrides(ascii, no_colour), *_device_override(device))
    )
    from monitor.live import listen_to_microphone

    listen_to_microphone(
        loaded, config, model=bundle, channel=channel, headless=headless, duration_s=duration,
        record=record, scores=scores, exit_on_loss=exit_on_loss, events=events,
    )  # fmt: skip


@cli.command()
@click.option(
    "--fault", default="bearing", show_default=True, metavar="bearing|imbalance|belt|gear", help="Which fault."
)
@click.option("--out", type=FILE, default="monitor-demo", show_default=True, help="Folder for recordings and model.")
@click.option("--speed", type=Speed(), help="Of the replay.  [default: 1; max with --headless]")
@view_options
@settings_options
def demo(
    fault: str,
    out: Path,
    speed: float | None,
    headless: bool,
    events: Path | None,
    ascii: bool,
    no_colour: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """See it work with nothing at hand: an invented machine, a model of it, and a fault that sets in.

    \b
    Examples:
      monitor demo
      monitor demo --fault belt
      monitor demo --headless
    """
    config = _config(config_file, (*overrides, *_view_overrides(ascii, no_colour)))
    from train.demo import run_demo

    run_demo(config, out, fault, speed=speed, headless=headless, events=events)


@cli.command()
@click.option("--bundle", type=FILE, help="The model.  [default: an untrained one, which takes as long]")
@click.option("--device", metavar="NAME|INDEX", help="Listen to this microphone.  [default: an invented one]")
@click.option("--seconds", type=click.FloatRange(1), default=30, show_default=True, help="To measure for.")
@click.option("--json", "json_file", type=FILE, help="Write the figures here too (- to print them alone).")
@settings_options
def bench(
    bundle: Path | None,
    device: str | None,
    seconds: float,
    json_file: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Measure how late scores and callbacks are here, and what listening costs, with the dashboard drawn.

    \b
    Examples:
      monitor bench
      monitor bench --device default --seconds 600 --json bench.json
      monitor bench --bundle runs/pump/model.safetensors
    """
    settings = (*overrides, *_device_override(device))
    loaded, config = (
        (None, _config(config_file, settings)) if bundle is None else _loaded(bundle, config_file, settings)
    )
    import json

    from monitor.bench import run_bench
    from monitor.files import write_whole
    from monitor.live import library_complaints, log_file

    silent = json_file == Path("-")
    with library_complaints(log_file(), keep_ours=True):
        figures = run_bench(
            config, loaded, microphone=device is not None, seconds=seconds,
            say=(lambda _: None) if silent else click.echo,
        )  # fmt: skip
    text = json.dumps(figures, indent=2) + "\n"
    if silent:
        click.echo(text, nl=False)
    elif json_file is not None:
        write_whole(json_file, text.encode())


@cli.command()
@click.argument("config_file", metavar="[CONFIG]", type=FILE, required=False)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting.")
@click.option("--preset", type=click.Choice(PRESETS), default="default", show_default=True, help="A set of settings.")
def check(config_file: Path | None, overrides: tuple[str, ...], preset: str) -> None:
    """Check a settings file, and print what is in force. Opens nothing else.

    \b
    Examples:
      monitor check
      monitor check site-b.yaml
      monitor check --preset toyadmos
      monitor check --set features.n_mels=128
    """
    from monitor.config import DEFAULT_FILE, as_yaml

    config = _config(config_file, overrides, preset=preset)
    file = config_file or (Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else None)
    click.echo(f"# {file or 'no settings file'}: fine. In force (* = not the default):\n{as_yaml(config)}")


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands and options with the tab key.

    \b
    Examples:
      monitor completion bash >> ~/.bashrc
      monitor completion zsh >> ~/.zshrc
      monitor completion fish > ~/.config/fish/completions/monitor.fish
    """
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    if completer is None:
        raise ConfigError(f"There is no completion for {shell}.")
    click.echo(completer(cli, {}, "monitor", "_MONITOR_COMPLETE").source())


def _config(
    file: Path | None, overrides: tuple[str, ...], *, preset: str = "default", base: Config | None = None
) -> Config:
    from monitor.config import load_config

    return load_config(file, preset=preset, overrides=overrides, base=base)


def _loaded(path: Path, config_file: Path | None, overrides: tuple[str, ...]) -> tuple[Bundle, Config]:
    """The bundle, and the settings in force with it."""
    _config(config_file, overrides)  # a mistake in the settings is told before torch takes its time
    from monitor.bundle import load_bundle
    from monitor.config import require_agreement

    bundle = load_bundle(path)
    config = _config(config_file, overrides, base=bundle.config)
    require_agreement(config, bundle.config, str(path))
    return bundle, config


def _view_overrides(ascii: bool, no_colour: bool) -> tuple[str, ...]:
    return (*(("dashboard.ascii=true",) if ascii else ()), *(("dashboard.colour=false",) if no_colour else ()))


def _device_override(device: str | None) -> tuple[str, ...]:
    return () if device is None else (f"audio.device={device}",)


def main() -> None:
    """Runs the program: every error is a sentence on standard error and an exit code."""
    code = run(sys.argv[1:])
    capture = sys.modules.get("monitor.capture")
    if capture is not None and capture.anything_open():
        # A sound server that does not answer would hold up the interpreter's own exit for minutes.
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Runs one command; returns its exit code."""
    try:
        code = cli.main(arguments, prog_name="monitor", standalone_mode=False)
        return code if isinstance(code, int) else EXIT_OK
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except MonitorError as error:
        click.echo(f"monitor: {error}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `monitor … | head`: nobody reads on, which is no failure of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except Exception as error:
        if os.environ.get("MONITOR_DEBUG"):
            raise
        click.echo(
            f"monitor: an unforeseen error, {type(error).__name__}: {error}. "
            "Run it again with MONITOR_DEBUG=1 in the environment to see where, and please report it.",
            err=True,
        )
        return EXIT_FAILURE


if __name__ == "__main__":
    main()
