"""The unit file for systemd: the template that the package brings, with the paths of one installation."""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from pathlib import Path

from monitor.core.errors import ConfigError

TEMPLATE = "monitor@.service"
_COMMAND = "/srv/acoustic-monitor/venv/bin/monitor"
_FOLDER = "/srv/acoustic-monitor/%i"
_STATE_LINES = ("StateDirectory=", "StateDirectoryMode=")


def template() -> str:
    """The unit file for many machines, as the package brings it."""
    return (files("monitor.integrations") / "files" / TEMPLATE).read_text(encoding="utf-8")


def unit_name(machine: str) -> str:
    """The name of the unit of a machine: letters, digits and dashes only."""
    return f"monitor-{re.sub(r'[^A-Za-z0-9]+', '-', machine).strip('-').lower() or 'machine'}.service"


def unit_text(machine: str, folder: Path, *, state: Path, user: str, command: Path | None = None) -> str:
    """The unit file of one machine whose settings file is FOLDER/config.yaml.

    Args:
        machine: its name.
        folder: absolute path of its folder.
        state: absolute path of its state folder, within `folder`.
        user: name of the user that runs the service.
        command: absolute path of the program; None: that of this installation.

    Raises:
        ConfigError: if a path or the user cannot stand in a unit file.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", user):
        raise ConfigError(f"{user!r} is not the name of a user.")
    for path in (folder, state, command or Path()):
        if re.search(r"[\"'\\$;]", str(path)) or not str(path).isprintable():
            raise ConfigError(
                f"{path}: a unit file needs paths without quotes, backslashes, dollar signs and the like."
            )
    rest, own = template().partition("[Unit]\n")[2], f"acoustic-monitor/{unit_name(machine).removesuffix('.service')}"
    replaced = {
        "Description=Acoustic monitor of %i": f"Description=Acoustic monitor of {_escaped(machine)}",
        _COMMAND: _word(str(command or installed_command())),
        "XDG_STATE_HOME=%S/acoustic-monitor/%i": _word(f"XDG_STATE_HOME={state}"),
        "%C/acoustic-monitor/%i": f"%C/{own}",
        "CacheDirectory=acoustic-monitor/%i": f"CacheDirectory={own}",
        f"WorkingDirectory={_FOLDER}": f"WorkingDirectory={_escaped(str(folder))}",
        _FOLDER: _word(str(folder)),
        "User=monitor": f"User={user}",
    }
    for old, new in replaced.items():
        rest = rest.replace(old, new)
    lines = [line for line in rest.splitlines() if not line.startswith(_STATE_LINES)]
    return "\n".join(("# Written by `monitor setup`.", "[Unit]", *lines, ""))


def installed_command() -> Path:
    """The absolute path of the program `monitor` of this installation."""
    return Path(sys.executable).absolute().with_name("monitor")


def _word(text: str) -> str:
    """A text as one word of a unit file."""
    return f'"{_escaped(text)}"' if " " in text else _escaped(text)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
