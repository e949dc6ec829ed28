"""`monitor devices`: lists the microphones."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.cli.options import settings_in_force, settings_options
from monitor.cli.output import say


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@settings_options
def devices(as_json: bool, config_file: Path | None, overrides: tuple[str, ...]) -> None:
    """List the microphones with their channels and sample rates. A star marks the one that would be used.

    \b
    Examples:
      monitor devices
      monitor devices --json
      monitor devices --set audio.device=USB
    """
    config = settings_in_force(config_file, overrides)
    from monitor.sources.device.devices import as_json_text, as_table
    from monitor.sources.device.stderr_redirect import log_file, stderr_redirected

    with stderr_redirected(log_file(), keep_ours=True):
        text = as_json_text(config.audio.device) if as_json else as_table(config.audio.device)
    say(text)
