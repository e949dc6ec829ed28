"""`monitor integrations`: gives out the files for Prometheus, Grafana, systemd and containers."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.cli.options import FILE
from monitor.cli.output import say
from monitor.core.errors import ConfigError


@click.command()
@click.argument("name", required=False)
@click.option("--out", type=FILE, metavar="FOLDER", help="Write the file, or all of them, into this folder.")
def integrations(name: str | None, out: Path | None) -> None:
    """Print a file for another program: Prometheus, Grafana, systemd, containers. Without NAME the files are listed.

    Files that have been changed in the folder are kept.

    \b
    Examples:
      monitor integrations
      monitor integrations grafana-dashboard.json
      monitor integrations prometheus-alerts.yml --out /etc/prometheus
      monitor integrations --out integrations
    """
    from monitor.integrations.shipped_files import DESCRIPTIONS, content

    if name is not None and name not in DESCRIPTIONS:
        raise ConfigError(f"There is no file {name!r}. The files are: {', '.join(DESCRIPTIONS)}.")
    if out is not None:
        for one in DESCRIPTIONS if name is None else [name]:
            _write(out / one, content(one))
    elif name is not None:
        say(content(name).decode("utf-8"), end="")
    else:
        width = max(map(len, DESCRIPTIONS))
        rows = [f"  {one:<{width}}  {text}" for one, text in DESCRIPTIONS.items()]
        say("\n".join(["monitor integrations NAME prints one of these files:", *rows]))


def _write(path: Path, content: bytes) -> None:
    """Writes a file that does not exist yet, or is the same.

    Raises:
        ConfigError: if another file is there.
        MonitorError: if it cannot be written.
    """
    from monitor.core.atomic_io import write_atomically

    if path.exists() and (not path.is_file() or path.read_bytes() != content):
        raise ConfigError(f"{path}: exists, with another content, and is kept: give another folder, or remove it.")
    write_atomically(path, content)
    say(str(path))
