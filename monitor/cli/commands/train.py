"""`monitor train` trains a model; `monitor demo` shows the monitoring of a simulated machine."""

from __future__ import annotations

import os
from pathlib import Path

import click

from monitor.cli.completion import complete_fault
from monitor.cli.environment import prepare_for_training
from monitor.cli.options import (
    FILE,
    Number,
    Speed,
    preset_option,
    settings_in_force,
    settings_options,
    view_options,
    view_overrides,
)
from monitor.cli.output import say, say_error
from monitor.core.errors import ConfigError, DataError

SIMULATED = ("motor", "valve", "two-speeds")  # the machines of train.demo.machines, which is only imported if needed


@click.command()
@click.argument("data", type=FILE, required=False)
@click.option("--out", type=FILE, required=True, help="Folder for the model, metrics and pictures.")
@click.option(
    "--streams",
    "streams_file",
    type=FILE,
    help="Train a model for each stream in this settings file, several at the same time.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="With --streams: trainings at the same time on this computer.  [default: one a processor]",
)
@click.option(
    "--cluster", metavar="ADDRESS", help="With --streams: train on a cluster: dask://HOST:PORT or ray://HOST:PORT."
)
@preset_option
@click.option("--epochs", type=click.IntRange(1), help="Number of passes over the training recordings.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Compute on the processor or a GPU.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the random data split, weights and order.")
@click.option("--resume", is_flag=True, help="Continue an interrupted training in the same folder.")
@settings_options
def train(
    data: Path | None,
    out: Path,
    streams_file: Path | None,
    workers: int | None,
    cluster: str | None,
    preset: str,
    epochs: int | None,
    device: str | None,
    seed: int | None,
    resume: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Train a model of the sound of a healthy machine.

    DATA is a folder of normal recordings (sound files, or .npy mel frames), or one in the layout of ToyADMOS
    (train_normal/, test_normal/, test_anomaly/) or DCASE (train/, test/). Recordings in test folders are scored at the
    end. The folder --out receives model.safetensors, metrics.json, history.jsonl and pictures.

    With --streams, DATA has a folder of recordings for each stream, named like it. Without DATA the recordings are
    those that the streams name (file). What is trained already is not trained again, what was interrupted goes on, and
    a stream that fails keeps no other from its training. Each model is put where its stream names it (bundle).

    \b
    Examples:
      monitor train recordings/ --out runs/pump
      monitor train recordings/ --streams hall.yaml --out runs/hall
      monitor train ToyCar/ --out runs/article --preset toyadmos
      monitor train mel/ --out runs/mel --set features.n_fft=1024 --set features.hop_length=512 --set features.fmax=null
      monitor train recordings/ --out runs/pump --resume
      torchrun --nproc-per-node=2 -m monitor train recordings/ --out runs/pump
    """
    prepare_for_training()
    chosen = {"train.epochs": epochs, "train.device": device, "train.seed": seed}
    flags = tuple(f"{key}={value}" for key, value in chosen.items() if value is not None)
    if streams_file is not None:
        if config_file is not None:
            raise click.UsageError("--streams names the settings file: leave --config out.")
        _train_streams(streams_file, data, out, (*overrides, *flags), preset, workers, cluster)
        return
    if data is None:
        raise click.UsageError("Missing argument 'DATA': the folder of recordings to learn from.")
    if workers is not None or cluster is not None:
        raise click.UsageError("--workers and --cluster share out the streams of --streams FILE: add it.")
    config = settings_in_force(config_file, (*overrides, *flags), preset=preset)
    from train.commands import train as training
    from train.commands.progress import ConsoleProgress

    try:
        with ConsoleProgress() as progress:
            metrics = training.train(config, data, out, progress, resume=resume)
    except KeyboardInterrupt:
        if (out / training.CHECKPOINT_FILE).exists():
            say_error("interrupted. Run the same command with --resume to continue.")
        raise
    if not metrics:  # only the first of torchrun's processes has the metrics
        return
    from monitor.bundle.bundle_io import load_bundle
    from train.evaluation.summary import training_summary

    say(training_summary(metrics, load_bundle(out / training.BUNDLE_FILE), out))
    if doubt := training.reason_for_doubt(metrics, config, out / training.BUNDLE_FILE):
        raise DataError(doubt)


def _train_streams(
    file: Path,
    data: Path | None,
    out: Path,
    overrides: tuple[str, ...],
    preset: str,
    workers: int | None,
    cluster: str | None,
) -> None:
    """Trains a model for each stream in a settings file, and prints a table of them."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "--streams trains several streams at the same time, each in one process: start it without torchrun."
        )
    from monitor.config.loader import SettingsSource
    from monitor.core.parallel_jobs import open_workers
    from train.commands.streams_table import print_streams
    from train.commands.train_streams import stream_trainings, train_streams

    trainings = stream_trainings(SettingsSource.read(file, preset=preset, overrides=overrides), data, out)
    try:
        with open_workers(workers, cluster, jobs=len(trainings)) as opened:
            outcomes = train_streams(trainings, opened)
    except KeyboardInterrupt:
        say_error("interrupted. Run the same command to continue.")
        raise
    print_streams(outcomes)
    failed = [f"{one.job.name}: {one.failure}" for one in outcomes if one.result is None]
    doubtful = [one.result.doubt for one in outcomes if one.result is not None and one.result.doubt]
    if failed or doubtful:
        raise DataError(*failed, *doubtful)
    say(f"Next:\n  monitor live --config {file}")


@click.command()
@click.option(
    "--machine",
    type=click.Choice(SIMULATED),
    default=SIMULATED[0],
    show_default=True,
    help="Machine to simulate; two-speeds is the motor with another speed every 15 to 60 s.",
)
@click.option(
    "--fault",
    metavar="FAULT",
    shell_complete=complete_fault,
    help="Its fault: bearing, imbalance, belt or gear of the motors; weak, late or double click of the valve.  "
    "[default: bearing; weak]",
)
@click.option(
    "--out", type=FILE, default="monitor-demo", show_default=True, help="Folder for the recordings and the model."
)
@click.option("--speed", type=Speed(), help="Speed of the replay: 1 is real time.  [default: 1; max with --headless]")
@click.option(
    "--hours", type=Number(0, min_open=True), metavar="H",
    help="Only count the false alarms in H hours of the healthy machine.",
)  # fmt: skip
@click.option(
    "--days", type=click.IntRange(1), metavar="D",
    help="Only train on four days, and count the false alarms in 20 minutes of each of D later days.",
)  # fmt: skip
@click.option(
    "--week", is_flag=True,
    help="A week of the motor in a plant, in minutes: false alarms before and after learning, and a worn bearing.",
)  # fmt: skip
@view_options
@settings_options
def demo(
    machine: str,
    fault: str | None,
    out: Path,
    hours: float | None,
    days: int | None,
    week: bool,
    speed: float | None,
    headless: bool,
    events: Path | None,
    log_json: bool,
    ascii: bool,
    no_colour: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Try the monitoring without microphone and recordings: on a simulated machine that develops a fault.

    \b
    Examples:
      monitor demo
      monitor demo --fault belt
      monitor demo --machine valve --fault double
      monitor demo --headless
      monitor demo --hours 24
      monitor demo --machine two-speeds --days 3
      monitor demo --week
    """
    if week and (hours is not None or days is not None or fault is not None or machine != SIMULATED[0]):
        raise click.UsageError(
            "--week is of the motor, with its own fault: leave --machine, --fault, --hours and --days out."
        )
    if hours is not None and days is not None:
        raise click.UsageError("--hours and --days are two ways to count false alarms: give one of them.")
    if fault is not None and (hours is not None or days is not None):
        raise click.UsageError("--fault has no meaning with --hours or --days: false alarms are those without a fault.")
    prepare_for_training()
    config = settings_in_force(config_file, (*overrides, *view_overrides(ascii, no_colour)))
    from monitor.features.mel import require_filled_bands

    require_filled_bands(config.features)
    if week:
        from train.demo.week import run_week

        run_week(config, out)
        return
    if hours is not None or days is not None:
        from train.demo.false_alarms import count_over_days, count_over_hours
        from train.demo.machines import MACHINES

        if hours is not None:
            count_over_hours(config, out, MACHINES[machine], hours)
        if days is not None:
            count_over_days(config, out, MACHINES[machine], days)
        return
    from monitor.cli.listening import Outputs, session_view
    from train.demo.demo import run_demo

    outputs = Outputs(headless, log_json, events=events)
    show = session_view(config.dashboard, outputs)
    run_demo(config, out, machine, fault, speed=speed, headless=headless, events=events, show=show)
