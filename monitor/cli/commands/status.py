"""`monitor status`: asks the running monitor how it is, for people and for checks of the Nagios kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from monitor.cli.output import say
from monitor.cli.running import running_options, state_folder_of
from monitor.core.errors import ConfigError, MonitorError


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything that is known as one JSON object.")
@click.option("--stream", metavar="NAME", help="Only this stream, and whether the monitor works at all.")
@running_options
@click.option("--plugin", is_flag=True, help="Exit codes of plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.")
def status(as_json: bool, stream: str | None, folder: Path | None, config_file: Path | None, plugin: bool) -> None:
    """Say in one line how the running monitor is. It asks the monitor itself, so it answers at once.

    The exit code is 0 if all is normal (or off, or not yet decided), 5 if there is an anomaly, 3 if sound is lost, or
    the monitor does not run, hangs or cannot be asked, and 1 if only something beside it is in trouble: a notification
    is stuck, a disk is low, an output fails. Of several the first in the order 5, 3, 1 counts.

    \b
    Examples:
      monitor status
      monitor status --config hall.yaml --stream fan
      monitor status --state /var/lib/acoustic-monitor/pump --json
      monitor status --plugin
    """
    from monitor.service.status_client import ask
    from monitor.service.status_verdict import PLUGIN_CODES, lost, verdict

    facts: dict[str, Any] = {}
    try:
        facts = ask(state_folder_of(folder, config_file), {"command": "status"})
        found = verdict(facts, stream=stream)
    except MonitorError as error:
        if isinstance(error, ConfigError) and not plugin:  # to a plugin, its exit code 2 would say CRITICAL
            raise
        found = lost(" ".join(error.messages))
    if as_json:
        if stream is not None and facts:
            facts["streams"] = [one for one in facts["streams"] if one["stream"] == stream]
        own = {
            "running": bool(facts),
            "verdict": found.word,
            "code": found.code,
            "problems": [{"code": one.code, "text": one.text} for one in found.problems],
        }
        say(json.dumps({**own, **facts}, indent=2, ensure_ascii=False))
    else:
        say(found.line)
    raise click.exceptions.Exit(PLUGIN_CODES.get(found.code, found.code) if plugin else found.code)
