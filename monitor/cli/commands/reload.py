"""`monitor reload`: makes a running monitor read its settings again."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.cli.output import say
from monitor.cli.running import running_options, state_folder_of

TIMEOUT_S = 120.0  # many models are to be loaded, and a sound server may be slow


@click.command()
@running_options
def reload(folder: Path | None, config_file: Path | None) -> None:
    """Make the running monitor read its settings again, and say what has changed.

    Streams that were changed, added or removed, alarm settings and outputs are applied; what needs a restart is named.
    The other streams go on without a gap. If anything is wrong, nothing is applied, and the exit code is 2. SIGHUP does
    the same for a monitor with --headless or without a terminal.

    \b
    Examples:
      monitor reload
      monitor reload --config hall.yaml
      monitor reload --state /var/lib/acoustic-monitor/pump
    """
    from monitor.service.status_client import ask

    answer = ask(state_folder_of(folder, config_file), {"command": "reload"}, timeout_s=TIMEOUT_S)
    for line in answer["changed"] or ["nothing has changed"]:
        say(line)
    if answer["needs_restart"]:
        say(f"not applied, needs a restart: {', '.join(answer['needs_restart'])}")
