"""`monitor evaluate`: measures how well a model separates normal from anomalous recordings."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.cli.environment import choose_thread_waiting
from monitor.cli.options import FILE, bundle_and_settings, settings_options
from monitor.cli.output import say


@click.command()
@click.argument("bundle", type=FILE)
@click.argument("data", type=FILE)
@click.option("--json", "json_file", type=FILE, help="Write all figures and scores to this JSON file (-: print them).")
@click.option("--plots", type=FILE, help="Save pictures in this folder: ROC curve, histogram, example recordings.")
@click.option("--compare", is_flag=True, help="Compare the score with other scores, with and without the network.")
@click.option("--stream", is_flag=True, help="Also count alarms on continuous sound joined from the recordings.")
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True),
    default=24,
    show_default=True,
    help="With --stream: hours of normal sound.",
)
@click.option(
    "--fault-seconds", type=click.FloatRange(0, min_open=True), default=60, show_default=True, metavar="S",
    help="With --stream: duration of each fault.",
)  # fmt: skip
@click.option(
    "--faults", type=click.IntRange(1), default=300, show_default=True, help="With --stream: number of faults."
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Compute on the processor or a GPU.")
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
    """Measure how well a model separates normal from anomalous recordings.

    DATA is a folder as for `monitor train`. Its test recordings are scored; without test folders, all are scored.

    \b
    Examples:
      monitor evaluate runs/pump/model.safetensors data/
      monitor evaluate runs/pump/model.safetensors data/ --json figures.json --plots pictures/
      monitor evaluate runs/pump/model.safetensors data/ --stream --hours 24 --fault-seconds 60
      monitor evaluate runs/pump/model.safetensors data/ --compare
    """
    choose_thread_waiting()
    chosen = (f"train.device={device}",) if device else ()
    loaded, config = bundle_and_settings(bundle, config_file, (*overrides, *chosen))
    from monitor.core.atomic_io import require_other_file

    require_other_file((json_file,), (bundle,))
    from train.commands.evaluate import SimulatedStreams
    from train.commands.evaluate import evaluate as run
    from train.commands.folders import removed_on_failure
    from train.commands.progress import ConsoleProgress
    from train.commands.train import write_json
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
