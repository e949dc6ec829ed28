"""`monitor model`: hands out models to the streams of any computer, by their content."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.looking_back import console, matching, one_stream, open_store, settings_of, store_options
from monitor.cli.options import FILE, set_option
from monitor.cli.output import say
from monitor.core.errors import EXIT_OK, ConfigError
from monitor.core.text import counted, printable, some_of
from monitor.core.user_name import user_name

if TYPE_CHECKING:
    from monitor.store.records import StoredStream


@click.group()
def model() -> None:
    """Hand out models to the streams of any computer, through the store that their monitors write into.

    \b
    Examples:
      monitor model push runs/press/model.safetensors --to hall-a/press
      monitor model list
      monitor model pull hall-a/press --out press.safetensors
    """


@model.command()
@click.argument("path", metavar="MODEL", type=FILE)
@click.option(
    "--to", "patterns", metavar="PATTERN", multiple=True, required=True,
    help="Stream or HOST/STREAM that is to use it; * stands for any text. May be repeated.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask, although several streams are meant.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@store_options
def push(
    path: Path, patterns: tuple[str, ...], yes: bool, as_json: bool, state: Path | None, config_file: Path | None
) -> None:
    """Hand out a model: the monitors of these streams fetch it, verify it, and go on with it without a gap.

    The file is verified here first. It is kept once by its SHA-256, in the object store beside the clips (clips.url) or
    in the database. Each monitor looks for it every fleet.every_s seconds; one that is not running takes it at its next
    start. A stream whose new model has other features begins anew. `monitor model list` shows what became of it, and
    `monitor improve STREAM --undo`, on the computer of the stream, takes it back.

    \b
    Examples:
      monitor model push runs/press/model.safetensors --to hall-a/press
      monitor model push runs/press/model.safetensors --to "hall-?/press *" --yes
    """
    config = settings_of(state, config_file)
    from monitor.fleet.handing_out import hand_out, read_model
    from monitor.fleet.model_content import models_url
    from monitor.runtime.builder import short_name
    from monitor.store import fleet, queries

    file, content = read_model(path, short_name(path), user_name())
    with open_store(config) as store:
        chosen = matching(queries.streams(store), patterns, parts=False)
        if len(chosen) > 1 and not yes:
            _ask(chosen)
        orders = hand_out(store, models_url(config), file, content, chosen)
        monitors = {one.host: one for one in fleet.monitors(store)}
    if as_json:
        streams = [{"host": one.host, "stream": one.stream, "order": one.id} for one in orders]
        say(json.dumps({"sha256": file.sha256, "model_id": file.model_id, "streams": streams}))
        return
    from monitor.fleet.overview import newest_orders, order_state

    newest = newest_orders(orders)
    for one in orders:
        say(printable(f"{one.host}/{one.stream}: {order_state(one, newest, monitors)}"))
    say(f"Model {file.model_id}, SHA-256 {file.sha256[:12]}, is handed out to {counted(len(orders), 'stream')}.")


@model.command()
@click.argument("wanted", metavar="HASH|STREAM")
@click.option("--out", type=FILE, required=True, help="The file to write, such as model.safetensors.")
@store_options
def pull(wanted: str, out: Path, state: Path | None, config_file: Path | None) -> None:
    """Write a model that was handed out into a file: by its SHA-256 or number, or that which a stream uses.

    The content is verified, and the file is written whole or not at all.

    \b
    Examples:
      monitor model pull 3f9a1c0b77d2 --out model.safetensors
      monitor model pull hall-a/press --out press.safetensors
    """
    from monitor.core.atomic_io import require_folder, write_atomically
    from monitor.fleet.handing_out import file_named, file_of_stream, is_number
    from monitor.fleet.model_content import content_of, models_url
    from monitor.store import queries

    require_folder(out)
    config = settings_of(state, config_file)
    with open_store(config) as store:
        if is_number(wanted):
            file = file_named(store, wanted)
        else:
            file = file_of_stream(store, one_stream(queries.streams(store), wanted, parts=False))
        write_atomically(out, content_of(store, models_url(config), file.sha256))
    say(f"{printable(str(out))}: model {file.model_id}, {printable(file.name)}, SHA-256 {file.sha256[:12]}.")


@model.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, with times in UTC.")
@store_options
def list_models(as_json: bool, state: Path | None, config_file: Path | None) -> int:
    """List the models that were handed out, by whom, and what became of each order: taken, refused and why, waiting.

    \b
    Examples:
      monitor model list
      monitor model list --json
    """
    with open_store(settings_of(state, config_file)) as store:
        from monitor.report.fleet_table import models_as_facts, print_models
        from monitor.store import fleet, fleet_models

        files, orders, monitors = fleet_models.files(store), fleet_models.orders(store), fleet.monitors(store)
    if as_json:
        say(json.dumps(models_as_facts(files, orders, monitors), indent=2, ensure_ascii=False))
    elif not files:
        say("No model was handed out yet: see `monitor model push --help`.")
    else:
        print_models(console(), files, orders, monitors)
    return EXIT_OK


@model.command()
@click.option("--dry-run", is_flag=True, help="Delete nothing: show what would be deleted.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@set_option
@store_options
def clean(
    dry_run: bool, as_json: bool, state: Path | None, config_file: Path | None, overrides: tuple[str, ...]
) -> None:
    """Delete models that were handed out and that nobody needs any more; `monitor live` does so every day.

    A model is kept if a stream uses it, if it is one of the newest that were handed out to a stream
    (fleet.keep_models), or if it was added, handed out or taken in recent days (fleet.keep_models_days). Models in an
    object store that this computer does not use (clips.url) are left to the others.

    \b
    Examples:
      monitor model clean --dry-run
      monitor model clean --set fleet.keep_models_days=30
    """
    from monitor.fleet.model_cleaning import delete_unneeded, retention_of
    from monitor.fleet.model_content import models_url

    config = settings_of(state, config_file, overrides)
    url = models_url(config)
    with open_store(config) as store:
        if dry_run:
            found = retention_of(config.fleet, url).unneeded(store)
        else:
            found = delete_unneeded(store, config.fleet, url, by=user_name())
    if as_json:
        deleted = [{"sha256": one.sha256, "model_id": one.model_id, "size": one.size} for one in found]
        say(json.dumps({"deleted": deleted, "dry_run": dry_run}))
        return
    for one in found:
        say(printable(f"{one.model_id}: {one.name}, {one.size / 1e6:.1f} MB, SHA-256 {one.sha256[:12]}"))
    done = "would be deleted" if dry_run else "deleted"
    say(f"{counted(len(found), 'model')} {done}, {sum(one.size for one in found) / 1e6:.1f} MB.")


def _ask(streams: Sequence[StoredStream]) -> None:
    """Shows several streams, and asks whether they are meant.

    Raises:
        ConfigError: if nobody can be asked, or the answer is no.
    """
    names = [printable(f"{one.host}/{one.name}") for one in streams]
    listed = some_of(names)
    if not sys.stdin.isatty():
        raise ConfigError(f"{counted(len(names), 'stream')} are meant: {listed}: add --yes, or name fewer.")
    if not click.confirm(f"Hand it out to {counted(len(names), 'stream')}: {listed}?", err=True):
        raise ConfigError("Nothing was handed out.")
