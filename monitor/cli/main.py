"""The command line: the offline commands, and how errors end it. What is heavy is imported inside a command."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from monitor import __version__
from monitor.cli.listen import bench, devices, live, record, replay
from monitor.core.errors import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    ConfigError,
    MonitorError,
)
from monitor.core.atomic_io import keep_apart
from monitor.cli.options import (
    FILE,
    PRESETS,
    Speed,
    bundle_and_settings,
    device_override,
    microphone_options,
    settings_in_force,
    settings_options,
    view_options,
    view_overrides,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="monitor")
def cli() -> None:
    """Learns how a machine sounds when it is well, listens to it, and shows live what it cannot reconstruct.

    \b
    Examples:
      monitor demo                                      see it work, with nothing at hand
      monitor train recordings/ --out runs/pump         learn from a folder of normal recordings
      monitor evaluate runs/pump/model.safetensors data/
      monitor live runs/pump/model.safetensors          listen to the microphone
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
      torchrun --nproc-per-node=2 -m monitor train recordings/ --out runs/pump
    """
    from train.commands import train as run
    from train.commands.progress import ConsoleProgress

    chosen = {"train.epochs": epochs, "train.device": device, "train.seed": seed}
    flags = tuple(f"{key}={value}" for key, value in chosen.items() if value is not None)
    config = settings_in_force(config_file, (*overrides, *flags), preset=preset)
    try:
        with ConsoleProgress() as progress:
            metrics = run.train(config, data, out, progress, resume=resume)
    except KeyboardInterrupt:
        if (out / run.CHECKPOINT_FILE).exists():
            click.echo("Interrupted. The same command with --resume goes on where it was.", err=True)
        raise
    if not metrics:  # not the first of torchrun's processes
        return
    from monitor.bundle.bundle import load_bundle
    from train.evaluation.summary import training_summary

    click.echo(training_summary(metrics, load_bundle(out / run.BUNDLE_FILE), out))


@cli.command()
@click.argument("bundle", type=FILE)
@click.argument("data", type=FILE)
@click.option("--json", "json_file", type=FILE, help="Write all figures and every recording's score here (- to print).")
@click.option("--plots", type=FILE, help="Folder for pictures: ROC, histogram, best and worst recording.")
@click.option("--compare", is_flag=True, help="Beside it other scores, with and without the network.")
@click.option("--stream", is_flag=True, help="What the alarm does on streams made of the recordings, too.")
@click.option(
    "--hours", type=click.FloatRange(0, min_open=True), default=24, show_default=True, help="Of normal --stream sound."
)
@click.option(
    "--fault-seconds", type=click.FloatRange(0, min_open=True), default=60, show_default=True, metavar="S",
    help="How long each fault in the --stream lasts.",
)  # fmt: skip
@click.option("--faults", type=click.IntRange(1), default=300, show_default=True, help="How many --stream faults.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to compute.")
@settings_options
def evaluate(
    bundle: Path,
    data: Path,
    json_file: Path | None,
    plots: Path | None,
    compare: bool,
    stream: bool,
    hours: float,
    fault_seconds: float,
    faults: int,
    device: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Say how well a model tells normal from anomalous recordings.

    \b
    Examples:
      monitor evaluate runs/pump/model.safetensors data/
      monitor evaluate runs/pump/model.safetensors data/ --json figures.json --plots pictures/
      monitor evaluate runs/pump/model.safetensors data/ --stream --hours 24 --fault-seconds 60
      monitor evaluate runs/pump/model.safetensors data/ --compare
    """
    chosen = (f"train.device={device}",) if device else ()
    loaded, config = bundle_and_settings(bundle, config_file, (*overrides, *chosen))
    keep_apart((json_file,), (bundle,))
    from train.commands.evaluate import Streams
    from train.commands.evaluate import evaluate as assess
    from train.commands.progress import ConsoleProgress
    from train.commands.train import write_json
    from train.evaluation.summary import as_json, evaluation_summary

    listening = Streams(hours, fault_seconds, faults) if stream else None
    with ConsoleProgress() as progress:
        metrics = assess(loaded, config, data, progress, plots, streams=listening, beside_others=compare)
    if json_file == Path("-"):
        click.echo(as_json(metrics))
        return
    if json_file is not None:
        write_json(json_file, metrics)
    click.echo(evaluation_summary(metrics))


@cli.command()
@click.argument("bundle", type=FILE)
@click.argument("normal", type=FILE, nargs=-1)
@microphone_options
@click.option("--minutes", type=click.FloatRange(0.5), metavar="M", help="Listen to a microphone for so long.")
@click.option("--relearn", is_flag=True, help="Learn anew what is normal, too; takes half an hour of sound.")
@click.option("--out", type=FILE, help="Write the model here instead of over BUNDLE (which is kept as *.previous).")
@settings_options
def calibrate(
    bundle: Path,
    normal: tuple[Path, ...],
    device: str | None,
    channel: Any,
    minutes: float | None,
    relearn: bool,
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
      monitor calibrate runs/pump/model.safetensors on-site/ --relearn
      monitor calibrate runs/pump/model.safetensors on-site/ --set calibration.false_alarms_per_day=0.1
    """
    if bool(normal) == (minutes is not None):
        raise ConfigError("Calibrate from recordings, or from a microphone with --minutes: name one of the two.")
    loaded, config = bundle_and_settings(bundle, config_file, (*overrides, *device_override(device)))
    from train.commands import evaluate as assess
    from train.commands.progress import ConsoleProgress
    from train.commands.train import save_over
    from train.evaluation.summary import calibration_summary

    if minutes is not None:
        from monitor.sources.recording_session import CollectingProgress
        from monitor.sources.device.stderr_redirect import library_complaints, log_file
        from train.calibration.microphone import calibrate_by_ear

        with library_complaints(log_file(), keep_ours=True), CollectingProgress(minutes) as collecting:
            calibrated = calibrate_by_ear(
                loaded, config, channel, minutes, collecting.show, collecting.notice, relearn=relearn
            )
    else:
        with ConsoleProgress() as progress:
            calibrated = assess.calibrate(loaded, config, normal, progress, relearn=relearn)
    save_over(calibrated, out or bundle)
    click.echo(calibration_summary(loaded, calibrated, out or bundle))


@cli.command()
@click.option(
    "--fault", default="bearing", show_default=True, metavar="bearing|imbalance|belt|gear", help="Which fault."
)
@click.option("--out", type=FILE, default="monitor-demo", show_default=True, help="Folder for recordings and model.")
@click.option("--speed", type=Speed(), help="Of the replay.  [default: 1; max with --headless]")
@click.option(
    "--hours", type=click.FloatRange(0, min_open=True), metavar="H",
    help="Instead, count the false alarms in so many hours of it while it is well.",
)  # fmt: skip
@view_options
@settings_options
def demo(
    fault: str,
    out: Path,
    hours: float | None,
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
      monitor demo --hours 24
    """
    config = settings_in_force(config_file, (*overrides, *view_overrides(ascii, no_colour)))
    if hours is not None:
        from train.demo.false_alarms import keep_vigil

        keep_vigil(config, out, hours)
        return
    from train.demo.demo import run_demo

    run_demo(config, out, fault, speed=speed, headless=headless, events=events)


@cli.command()
@click.argument("bundle", type=FILE)
@click.option("--undo", is_flag=True, help="Take back what was learnt; it is kept beside as *.undone.")
@click.option("--stream", default="", metavar="NAME", help="Of this one of the streams in config.yaml.")
def drift(bundle: Path, undo: bool, stream: str) -> None:
    """Show how far what is normal has followed a machine that slowly changes (drift.enabled), or take it back.

    \b
    Examples:
      monitor live runs/pump/model.safetensors --set drift.enabled=true
      monitor drift runs/pump/model.safetensors
      monitor drift runs/pump/model.safetensors --undo
      monitor drift press/model.safetensors --stream "press 2"
    """
    if set(stream) & set("/\\"):
        raise ConfigError(f"--stream {stream}: no stream has a slash in its name.")
    from monitor.bundle.bundle import load_bundle
    from monitor.detection.drift import DriftFile

    file = DriftFile.beside(bundle, load_bundle(bundle), stream)
    if not undo:
        click.echo(file.describe())
    elif file.undo():
        click.echo(f"Taken back: what is normal is as it was calibrated. Kept as {file.path.name}.undone.")
    else:
        click.echo(file.describe())


for _command in (live, replay, record, devices, bench):
    cli.add_command(_command)


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
    from monitor.config.loader import DEFAULT_FILE, as_yaml

    config = settings_in_force(config_file, overrides, preset=preset)
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


def main() -> None:
    """Runs the program: every error is a sentence on standard error and an exit code."""
    code = run(sys.argv[1:])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the command is over: there is nothing to interrupt any more
    capture = sys.modules.get("monitor.sources.device.portaudio")
    if capture is not None and capture.anything_open():
        # A sound server that does not answer would hold up the interpreter's own exit for minutes.
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Runs one command; returns its exit code."""
    with contextlib.suppress(ValueError):  # not on the main thread, nothing to handle
        signal.signal(signal.SIGTERM, _interrupt)
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
    except SystemExit as error:
        # Completion ends so; and click, where nobody reads on: `monitor … | head`, which is no failure of ours.
        return int(error.code or 0) if "_MONITOR_COMPLETE" in os.environ else EXIT_OK
    except BrokenPipeError:  # `monitor … | head`: nobody reads on, which is no failure of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        click.echo(f"monitor: {error.filename or 'the output'}: {error.strerror or error}.", err=True)
        return EXIT_FAILURE
    except Exception as error:
        if os.environ.get("MONITOR_DEBUG"):
            raise
        click.echo(
            f"monitor: an unforeseen error, {type(error).__name__}: {error}. "
            "Run it again with MONITOR_DEBUG=1 in the environment to see where, and please report it.",
            err=True,
        )
        return EXIT_FAILURE


def _interrupt(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(number)  # Ctrl-C raises it without one


if __name__ == "__main__":
    main()
