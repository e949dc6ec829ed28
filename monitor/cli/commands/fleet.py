"""`monitor fleet`: all computers that write into one store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.looking_back import console, matching, open_store, settings_of, store_options
from monitor.cli.output import say
from monitor.core.errors import EXIT_FAILURE, EXIT_OK, ConfigError
from monitor.core.text import counted, printable, some_of
from monitor.core.user_name import user_name

if TYPE_CHECKING:
    from monitor.fleet.overview import Fleet


@click.group()
def fleet() -> None:
    """Show all computers whose monitors write into one store.

    \b
    Examples:
      monitor fleet status
      monitor fleet forget hall-a
    """


@fleet.command()
@click.argument("patterns", metavar="[PATTERN]…", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, with times in UTC.")
@store_options
def status(patterns: tuple[str, ...], as_json: bool, state: Path | None, config_file: Path | None) -> int:
    """Say which computers are alive, their versions and clocks, and which model each of their streams uses.

    Each running monitor gives a sign of life in the store every fleet.every_s seconds. One that was not ended in order
    and gives none is silent; the exit code is 1 then. PATTERN is a computer, a stream or HOST/STREAM, with * and ?:
    then only these streams and their computers are shown.

    \b
    Examples:
      monitor fleet status
      monitor fleet status hall-a
      monitor fleet status "hall-?/press *"
      monitor fleet status --json --config hall.yaml
    """
    with open_store(settings_of(state, config_file)) as store:
        from monitor.fleet.overview import read_fleet
        from monitor.report.fleet_table import as_facts, print_fleet

        found = read_fleet(store)
    if patterns:
        found = _only(found, patterns)
    if as_json:
        say(json.dumps(as_facts(found), indent=2, ensure_ascii=False))
    elif not found.hosts:
        say("No computer has given a sign of life yet: `monitor live` gives them.")
    else:
        print_fleet(console(), found)
        silent = counted(len(found.silent), "host")
        say(f"{counted(len(found.hosts), 'host')}, {silent if found.silent else 'none'} silent; times are local.")
    return EXIT_FAILURE if found.silent else EXIT_OK


@fleet.command()
@click.argument("host")
@store_options
def forget(host: str, state: Path | None, config_file: Path | None) -> None:
    """Remove a computer that is there no more from `monitor fleet status`. Its streams and events stay.

    One that gives a sign of life again is back.

    \b
    Example:
      monitor fleet forget hall-a
    """
    from monitor.store import fleet as monitors

    with open_store(settings_of(state, config_file)) as store:
        if not monitors.forget(store, host, by=user_name()):
            known = some_of([printable(one.host) for one in monitors.monitors(store)], host) or "none"
            raise ConfigError(f"There is no host {printable(host)!r} in the store; there are: {known}.")
    say(f"{printable(host)}: forgotten.")


def _only(fleet: Fleet, patterns: Sequence[str]) -> Fleet:
    """The part of a fleet that patterns name: computers with all their streams, or streams with their computers.

    Raises:
        ConfigError: if one names neither.
    """
    names = {one.monitor.host for one in fleet.hosts}
    hosts, ids = set[str](), set[int]()
    for pattern in patterns:
        meant = {name for name in names if fnmatchcase(name.casefold(), pattern.casefold())}
        streams = [one.stream for one in fleet.streams]
        chosen = [one for one in streams if one.host in meant] if meant else matching(streams, [pattern])
        hosts |= meant | {one.host for one in chosen}
        ids |= {one.id for one in chosen}
    return replace(
        fleet,
        hosts=tuple(one for one in fleet.hosts if one.monitor.host in hosts),
        streams=tuple(one for one in fleet.streams if one.stream.id in ids),
    )
