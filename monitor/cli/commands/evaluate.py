"""`monitor evaluate`: measures how well models separate normal from anomalous recordings."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click.core import ParameterSource

from monitor.cli.environment import prepare_for_training
from monitor.cli.options import FILE, Number, bundle_and_settings, settings_options
from monitor.cli.output import say, say_error
from monitor.core.errors import ConfigError

# What a suite has no use for, and why.
NOT_WITH_SUITE = {
    "bundle": "its file names what is evaluated",
    "data": "its file names what is evaluated",
    "plots": "the pictures of each model are in the folder of its results",
    "hours": "these figures stand in its file",
    "fault_seconds": "these figures stand in its file",
    "faults": "these figures stand in its file",
    "config_file": "the settings stand in its file",
}


class Seeds(click.ParamType):  # type: ignore[type-arg]
    """Whole numbers with commas between them."""

    name = "N,N,…"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Returns the numbers, each once."""
        parts = [part.strip() for part in str(value).split(",")]
        if not all(part.isascii() and part.isdecimal() and int(part) < 2**31 for part in parts):
            self.fail(f"{value!r}: give whole numbers with commas between them, as in 0,1,2.", param, ctx)
        return tuple(dict.fromkeys(int(part) for part in parts))


@click.command()
@click.argument("bundle", type=FILE, required=False)
@click.argument("data", type=FILE, required=False)
@click.option("--json", "json_file", type=FILE, help="Write all figures and scores to this JSON file (-: print them).")
@click.option("--plots", type=FILE, help="Save pictures in this folder: ROC curve, histogram, example recordings.")
@click.option("--compare", is_flag=True, help="Compare the score with other scores, with and without the network.")
@click.option("--stream", is_flag=True, help="Also count alarms on continuous sound joined from the recordings.")
@click.option(
    "--hours",
    type=Number(0, min_open=True),
    default=24,
    show_default=True,
    help="With --stream: hours of normal sound.",
)
@click.option(
    "--fault-seconds", type=Number(0, min_open=True), default=60, show_default=True, metavar="S",
    help="With --stream: duration of each fault.",
)  # fmt: skip
@click.option(
    "--faults", type=click.IntRange(1), default=300, show_default=True, help="With --stream: number of faults."
)
@click.option("--suite", type=FILE, help="Train, evaluate and compare models of all data sets that this file names.")
@click.option("--seeds", type=Seeds(), help="With --suite: train a model with each of these seeds.")
@click.option("--before", type=FILE, help="With --suite: also show the changes since this earlier suite.json.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Compute on the processor or a GPU.")
@settings_options
@click.pass_context
def evaluate(
    context: click.Context,
    bundle: Path | None,
    data: Path | None,
    json_file: Path | None,
    plots: Path | None,
    compare: bool,
    stream: bool,
    hours: float,
    fault_seconds: float,
    faults: int,
    suite: Path | None,
    seeds: tuple[int, ...] | None,
    before: Path | None,
    device: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Measure how well a model separates normal from anomalous recordings.

    DATA is a folder as for `monitor train`. Its test recordings are scored; without test folders, all are scored.
    With --suite, models of several data sets are trained with several seeds, evaluated, and shown in one table;
    `monitor guide labels` explains the file.

    \b
    Examples:
      monitor evaluate runs/pump/model.safetensors data/
      monitor evaluate runs/pump/model.safetensors data/ --json figures.json --plots pictures/
      monitor evaluate runs/pump/model.safetensors data/ --stream --hours 24 --fault-seconds 60
      monitor evaluate runs/pump/model.safetensors data/ --compare
      monitor evaluate --suite machines.yaml
      monitor evaluate --suite machines.yaml --seeds 0 --before earlier/suite.json
    """
    chosen = (*overrides, *((f"train.device={device}",) if device else ()))
    if suite is not None:
        _refuse_with_suite(context)
        _evaluate_suite(suite, seeds, before, json_file, chosen)
        return
    if seeds is not None or before is not None:
        raise ConfigError(f"{'--before' if seeds is None else '--seeds'} is only for --suite.")
    if bundle is None or data is None:
        raise click.UsageError(
            f"Missing argument '{'BUNDLE' if bundle is None else 'DATA'}'. Give a model and its data set, or --suite.",
            context,
        )
    loaded, config = bundle_and_settings(bundle, config_file, chosen)
    from monitor.core.atomic_io import require_other_file

    require_other_file((json_file,), (bundle,))
    from train.commands.evaluate import evaluate as run
    from train.commands.folders import removed_on_failure
    from train.commands.model_files import write_json
    from train.commands.progress import ConsoleProgress
    from train.evaluation.alarm_simulation import SimulatedStreams
    from train.evaluation.summary import as_json, evaluation_summary

    streams = SimulatedStreams(hours, fault_seconds, faults) if stream else None
    with removed_on_failure(*([plots] if plots else [])), ConsoleProgress() as progress:
        metrics = run(loaded, config, data, progress, plots, streams=streams, with_baselines=compare)
    if json_file == Path("-"):
        say(as_json(metrics))
        return
    if json_file is not None:
        write_json(json_file, metrics)
    say(evaluation_summary(metrics))


def _refuse_with_suite(context: click.Context) -> None:
    """Refuses arguments and options that a suite has no use for.

    Raises:
        ConfigError: naming the first of them.
    """
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in NOT_WITH_SUITE and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            shown = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
            raise ConfigError(f"{shown} cannot be given with --suite: {NOT_WITH_SUITE[name]}.")


def _evaluate_suite(
    file: Path, seeds: tuple[int, ...] | None, before: Path | None, json_file: Path | None, overrides: tuple[str, ...]
) -> None:
    """Runs a suite, and prints its table; the arguments are the options of the command.

    Raises:
        ConfigError: if the suite's file, or the earlier result is not valid.
        DataError: if a set failed, after everything has been printed.
    """
    prepare_for_training()
    from train.evaluation.suite_file import read_suite

    suite = read_suite(file, overrides=overrides, seeds=seeds)
    from monitor.core.atomic_io import require_other_file
    from train.commands import suite as command
    from train.commands.model_files import write_json
    from train.commands.progress import ConsoleProgress
    from train.evaluation.suite_figures import read_result
    from train.evaluation.suite_table import SuiteReport
    from train.evaluation.summary import as_json

    require_other_file((json_file,), (file,))
    earlier = read_result(before) if before else None
    try:
        result = command.evaluate_suite(suite, lambda label: ConsoleProgress(label, epoch_lines=False))
    except KeyboardInterrupt:
        say_error("interrupted. Run the same command again to continue.")
        raise
    report = SuiteReport(result, earlier)
    command.write_result(suite, report)
    if json_file == Path("-"):
        say(as_json(result.as_json()))
    else:
        if json_file is not None:
            write_json(json_file, result.as_json())
        from rich.console import Console

        report.print(Console(file=sys.stdout, highlight=False))
    command.require_all(result)
