"""`monitor improve` makes the next model of a stream from what was heard since, and what people said of it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.environment import prepare_for_training
from monitor.cli.looking_back import console, one_stream, open_store, settings_of, store_options
from monitor.cli.options import FILE, set_option, settings_source
from monitor.cli.output import say
from monitor.core.errors import ConfigError
from monitor.core.text import printable
from monitor.core.user_name import user_name

if TYPE_CHECKING:
    from monitor.bundle.versions import ModelVersions
    from monitor.config.loader import SettingsSource
    from monitor.config.schema import Config
    from monitor.store.database import Store
    from train.commands.progress import Progress
    from train.improvement.next_model import ImprovedStream

RELOAD_S = 120.0


@click.command()
@click.argument("stream", required=False)
@click.option("--retrain", is_flag=True, help="Train the network anew, too. Takes as long as a training.")
@click.option("--normal", type=FILE, multiple=True, metavar="FOLDER", help="More normal sound. May be repeated.")
@click.option("--promote", "promoting", is_flag=True, help="Put the last candidate in force.")
@click.option("--undo", is_flag=True, help="Put the version before in force again, finally the configured model.")
@click.option("--history", is_flag=True, help="Show what was promoted and taken back, when, by whom and why.")
@click.option(
    "--commissioning", is_flag=True, help="Learn again if the rate of false alarms is not certain, and promote."
)
@click.option("--force", is_flag=True, help="With --promote: although confirmed faults are lost, or verdicts changed.")
@click.option("--model", type=FILE, help="Configured model of the stream.  [default: as `monitor live` uses it]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@set_option
@store_options
def improve(
    stream: str | None,
    retrain: bool,
    normal: tuple[Path, ...],
    promoting: bool,
    undo: bool,
    history: bool,
    commissioning: bool,
    force: bool,
    model: Path | None,
    as_json: bool,
    state: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Make the next model of a stream, and compare it with the one in force.

    The candidate learns from the normal sound that the monitor has kept, and from all clips that somebody has called
    new but normal (`monitor verdict`). Both models are judged on what is known: false alarms in normal sound, and
    whether each confirmed fault is still reported. Nothing changes until --promote, which swaps the model in the
    running monitor without a gap. A candidate that no longer reports a confirmed fault is not promoted.

    STREAM is its name or a part of it; it can be left out if there is only one.

    \b
    Examples:
      monitor improve pump
      monitor improve pump --normal monday/ --retrain
      monitor improve pump --promote
      monitor improve pump --history
      monitor improve pump --undo
    """
    actions = [name for name, given in (("--promote", promoting), ("--undo", undo), ("--history", history),
                                        ("--commissioning", commissioning)) if given]  # fmt: skip
    if len(actions) > 1:
        raise ConfigError(f"{actions[0]} and {actions[1]} are different things: give one of them.")
    if actions and actions != ["--commissioning"] and (retrain or normal):
        raise ConfigError(f"{actions[0]} makes no candidate: leave --retrain and --normal away.")
    if force and not promoting:
        raise ConfigError("--force belongs to --promote.")
    if retrain and commissioning:
        raise ConfigError("--commissioning learns references and limits only: leave --retrain away.")
    config = settings_of(state, config_file, overrides)
    prepare_for_training()
    with open_store(config) as store:
        improved = _improved_stream(store, config, settings_source(config_file, overrides), stream, model)
        if history:
            _show_history(improved.versions, as_json=as_json)
        elif undo:
            _take_back(improved, store, config, as_json=as_json)
        elif promoting:
            _promote(improved, store, config, force=force, as_json=as_json)
        elif commissioning:
            _commission(improved, store, config, normal, as_json=as_json)
        else:
            _make(improved, store, normal, retrain=retrain, as_json=as_json)


def _improved_stream(
    store: Store, config: Config, settings: SettingsSource, name: str | None, model: Path | None
) -> ImprovedStream:
    """The stream that is named, with the model in force and its settings."""
    from monitor.bundle.bundle_io import load_bundle
    from monitor.cli.stream_models import model_of
    from monitor.store import queries
    from monitor.store.location import host_name
    from train.improvement.next_model import ImprovedStream

    chosen = one_stream(queries.streams(store), name, host_name(config))
    found = model_of(settings, config, chosen.name, model)
    parent = load_bundle(found.in_force)
    in_force = settings.for_model(parent.config, str(found.configured), found.alarm)
    in_force = in_force.model_copy(update={"state": config.state})
    return ImprovedStream(chosen, found.configured, found.versions, parent, in_force)


def _make(improved: ImprovedStream, store: Store, normal: tuple[Path, ...], *, retrain: bool, as_json: bool) -> None:
    from train.improvement import report as reports
    from train.improvement.next_model import make

    with _progress(silent=as_json) as progress:
        report = make(improved, store, normal, progress, by=user_name(), retrain=retrain)
    if as_json:
        say(json.dumps(reports.figures(report)))
        return
    out = console()
    out.print(reports.table(report))
    for note in reports.notes(report):
        out.print(note, markup=False, soft_wrap=True)
    name = printable(improved.stream.name)
    if report.refusal:
        out.print(f"Not to be promoted: {report.refusal}", markup=False, soft_wrap=True)
    else:
        out.print(f'Nothing has changed yet. To put it in force: monitor improve "{name}" --promote', markup=False)


def _promote(improved: ImprovedStream, store: Store, config: Config, *, force: bool, as_json: bool) -> None:
    from train.improvement import report as reports
    from train.improvement.next_model import promote

    report = promote(improved, store, by=user_name(), force=force)
    running = _reload(config)
    if as_json:
        say(json.dumps(reports.figures(report) | {"promoted": True, "running": running}))
    else:
        say(f"Model {report.model_id} is in force for {printable(improved.stream.name)} now. {running}")


def _take_back(improved: ImprovedStream, store: Store, config: Config, *, as_json: bool) -> None:
    from train.improvement.next_model import take_back

    bundle = take_back(improved, store, by=user_name())
    running = _reload(config)
    if as_json:
        say(json.dumps({"model_id": bundle.model_id, "taken_back": improved.parent.model_id, "running": running}))
    else:
        say(
            f"Model {improved.parent.model_id} is taken back: {bundle.model_id} is in force for "
            f"{printable(improved.stream.name)} again. {running}"
        )


def _commission(
    improved: ImprovedStream, store: Store, config: Config, normal: tuple[Path, ...], *, as_json: bool
) -> None:
    from monitor.bundle.versions import AUTOMATIC
    from train.improvement.commissioning import commission

    with _progress(silent=as_json) as progress:
        night = commission(improved, store, normal, progress, by=AUTOMATIC)
    running = _reload(config) if night.promoted else ""
    if as_json:
        say(json.dumps(night.figures() | {"sentences": night.sentences(), "running": running}))
    else:
        for sentence in (*night.sentences(), *([running] if running else ())):
            say(sentence)


def _show_history(versions: ModelVersions, *, as_json: bool) -> None:
    entries = versions.history()
    if as_json:
        say(json.dumps([entry.model_dump(mode="json") for entry in entries]))
        return
    if not entries:
        say("The configured model is in force; no other has been promoted.")
    for entry in entries:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.time))
        what = f"{entry.what}: {entry.model_id or 'the configured model'}"
        say(printable(f"{when}  {entry.by}  {what}{f' ({entry.how})' if entry.how else ''}{_figures(entry.figures)}"))


def _figures(figures: dict[str, object]) -> str:
    """The false alarms by which a version was judged."""
    rates, upper = figures.get("false_alarms_per_day"), figures.get("upper")
    if not (isinstance(rates, list) and isinstance(upper, list) and len(rates) == len(upper) == 2):
        return ""
    before, after = (f"{one:.3g}" if isinstance(one, int | float) else "?" for one in rates)
    bound = f" (at most {upper[1]:.3g})" if isinstance(upper[1], int | float) else ""
    return f"; false alarms a day {before} -> {after}{bound}"


def _reload(config: Config) -> str:
    """Lets the running monitor take the model in force; returns what came of it, as a sentence."""
    from monitor.core.errors import MonitorError
    from monitor.service.status_client import NoMonitor, ask
    from monitor.store.location import state_folder

    try:
        ask(state_folder(config), {"command": "reload"}, timeout_s=RELOAD_S)
    except NoMonitor:
        return "No monitor runs with this state folder: it takes effect at the next start."
    except MonitorError as error:
        return f"The running monitor could not take it ({error}): restart it, or mend that and run `monitor reload`."
    return "The running monitor has taken it."


@contextlib.contextmanager
def _progress(*, silent: bool) -> Iterator[Progress]:
    """Shows progress on standard error, or none."""
    from train.commands.progress import ConsoleProgress, NoProgress

    if silent:
        yield NoProgress()
    else:
        with ConsoleProgress() as progress:
            yield progress
