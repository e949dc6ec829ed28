"""Options of the commands that look back, and the store that they read."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.options import FILE, Command
from monitor.core.errors import ConfigError
from monitor.core.text import printable, some_of

if TYPE_CHECKING:
    from rich.console import Console

    from monitor.config.schema import Config
    from monitor.store.database import Store
    from monitor.store.records import StoredStream


ROWS = click.IntRange(1, 10_000_000)  # how much a command lists at most


def store_options(command: Command) -> Command:
    """Adds the options that say where the store is: --state and --config."""
    command = click.option(
        "--config", "config_file", type=FILE, help="Settings file.  [default: ./config.yaml, if it exists]"
    )(command)
    return click.option("--state", "state", type=FILE, help="State folder of the monitor.  [default: state.folder]")(
        command
    )


def settings_of(state: Path | None, config_file: Path | None, overrides: tuple[str, ...] = ()) -> Config:
    """The settings in force, with what `--set` options change, and another state folder if one is given."""
    from monitor.cli.options import settings_in_force

    config = settings_in_force(config_file, overrides)
    if state is None:
        return config
    if not state.is_dir():
        raise ConfigError(f"--state {printable(str(state))}: there is no such folder.")
    return config.model_copy(update={"state": config.state.model_copy(update={"folder": state})})


def open_store(config: Config) -> Store:
    """The store of a monitor that may be running, to be read.

    Raises:
        StoreError: if there is none, or it cannot be read.
    """
    from monitor.store.database import Store
    from monitor.store.location import store_url

    return Store.open(store_url(config), create=False)


def console(*, no_colour: bool = False) -> Console:
    """Standard output, with a question mark for what its encoding lacks."""
    from rich.console import Console

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(file=sys.stdout, highlight=False, no_color=True if no_colour else None)


def matching(streams: Sequence[StoredStream], patterns: Sequence[str], *, parts: bool = True) -> list[StoredStream]:
    """The streams that one of the patterns names: whole, with * and ?, or a part of it; all without patterns.

    Upper and lower case are the same. A stream is also found as HOST/NAME.

    Args:
        streams: among which they are.
        patterns: the patterns.
        parts: whether a part of a name is enough.

    Raises:
        ConfigError: if a pattern is empty or names none, with the names that there are.
    """
    found: dict[int, StoredStream] = {}
    for pattern in patterns:
        if not pattern.strip():  # of a variable that is not set; it is a part of every name
            raise ConfigError(f"The name of a stream is empty; * stands for all{list_of(streams)}")
        wanted = pattern.casefold()
        names = [(one, (one.name.casefold(), f"{one.host}/{one.name}".casefold())) for one in streams]
        tests = (
            [one for one, known in names if wanted in known],
            [one for one, known in names if any(fnmatchcase(name, wanted) for name in known)],
            [one for one, known in names if parts and wanted in known[0]],
        )
        chosen = next((one for one in tests if one), [])
        if not chosen:
            raise ConfigError(f"There is no stream {printable(pattern)!r} in the store{list_of(streams, pattern)}")
        found |= {one.id: one for one in chosen}
    return [one for one in streams if one.id in found] if patterns else list(streams)


def matching_here(streams: Sequence[StoredStream], patterns: Sequence[str], host: str) -> list[StoredStream]:
    """The streams of this computer that one of the patterns names, as `matching` does.

    Args:
        streams: of all computers.
        patterns: the patterns.
        host: name of this computer in the store.

    Raises:
        ConfigError: if a pattern names none; of one that only other computers have, it says which.
    """
    here = [one for one in streams if one.host == host]
    try:
        return matching(here, patterns)
    except ConfigError as error:
        try:
            elsewhere = {one.host for one in matching(streams, patterns)} - {host}
        except ConfigError:
            raise error from None
        names, hosts = (some_of([*map(printable, one)]) for one in (patterns, sorted(elsewhere)))
        raise ConfigError(
            f"{names}: is listened to on {hosts}, not on this computer, {printable(host)}. Its model, scores and "
            "normal sound are there: run this command there."
        ) from None


def one_stream(
    streams: Sequence[StoredStream], wanted: str | None, host: str | None = None, *, parts: bool = True
) -> StoredStream:
    """The only stream that a pattern names, or without a pattern the only one that there is.

    Args:
        streams: among which it is.
        wanted: the pattern, as `matching` takes it; None: there is none.
        host: name of this computer in the store if only its own streams are meant.
        parts: as `matching` takes it.

    Raises:
        ConfigError: if there is none, or there are several.
    """
    patterns = [wanted] if wanted else []
    found = matching(streams, patterns, parts=parts) if host is None else matching_here(streams, patterns, host)
    if not found:
        where = "" if host is None else " of this computer"
        raise ConfigError(f"There is no stream{where} in the store: nothing has been listened to yet.")
    if len(found) > 1:
        several = f"{printable(wanted)!r} stands for several streams" if wanted else "Name one of the streams"
        raise ConfigError(f"{several}{list_of(found)}")
    return found[0]


def list_of(streams: Sequence[StoredStream], near: str = "") -> str:
    """The end of a sentence that names streams: `; there are: pump, fan.` Of many, those that are most like `near`."""
    several = len({one.host for one in streams}) > 1
    names = [printable(f"{one.host}/{one.name}" if several else one.name) for one in streams]
    return f"; there are: {some_of(names, near)}." if names else ", nor any other: nothing has been listened to yet."
