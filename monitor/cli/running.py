"""What the commands that ask a running monitor share: options that say which one, and its state folder."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.cli.options import FILE, Command
from monitor.core.errors import ConfigError


def running_options(command: Command) -> Command:
    """Adds the options that say which monitor is asked: --state, as `folder`, or --config."""
    command = click.option(
        "--config", "config_file", type=FILE, help="Settings file of the monitor.  [default: ./config.yaml]"
    )(command)
    return click.option(
        "--state", "folder", type=FILE, help="State folder of the monitor.  [default: as in the settings]"
    )(command)


def state_folder_of(folder: Path | None, config_file: Path | None) -> Path:
    """The state folder of the monitor that these options name.

    Raises:
        ConfigError: if both are given, or something is wrong with the settings.
    """
    if folder is not None and config_file is not None:
        raise ConfigError("--state and --config both say where the state folder is: give one of them.")
    if folder is not None:
        return folder
    from monitor.cli.options import settings_in_force
    from monitor.store.location import state_folder

    return state_folder(settings_in_force(config_file, ()))
