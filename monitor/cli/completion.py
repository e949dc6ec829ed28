"""What the tab key completes: files, microphones, settings, and the faults of the demo."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

# What click's scripts lack, by shell: the text in its script, and the one that replaces it. After "features.n_mels="
# the value follows without a space.
CHANGES = {
    "bash": ("COMPREPLY+=($value)", 'COMPREPLY+=("$value")\n            [[ $value == *= ]] && compopt -o nospace')
}


def complete_file(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Lets the shell complete the path of a file or folder."""
    return [CompletionItem(incomplete, type="file")]


def complete_microphone(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Returns the numbers of the microphones with their names, or the names that begin with what is typed.

    Of an address, it returns what it may begin with.
    """
    from monitor.config.network_address import PORTS
    from monitor.core.errors import MonitorError
    from monitor.core.text import printable
    from monitor.sources.device.devices import input_devices
    from monitor.sources.device.stderr_redirect import log_file, stderr_redirected

    devices = []
    with contextlib.suppress(MonitorError), stderr_redirected(log_file(), keep_ours=True):
        devices = input_devices()
    if not incomplete or incomplete.isdecimal():
        return _beginning({str(device.index): printable(device.name) for device in devices}.items(), incomplete)
    # A comma ends a completion in fish; a part of a name suffices to choose a microphone.
    names = [printable(device.name).partition(",")[0] for device in devices]
    matching = dict.fromkeys(name for name in names if name.lower().startswith(incomplete.lower()))
    in_bash = os.environ.get("_MONITOR_COMPLETE", "").startswith("bash")
    beginnings = [f"{scheme}://" for scheme in PORTS if scheme.startswith(incomplete.lower())]
    return [CompletionItem(shlex.quote(name) if in_bash else name) for name in matching] + [
        CompletionItem(beginning, help="a source in the network") for beginning in beginnings
    ]


def complete_setting(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Returns the settings as group.key=, or what can follow the equals sign where that is one of a few words."""
    from typing import Literal, get_args, get_origin

    from monitor.config.schema import ENTRY_TYPES, GROUPS, Config

    rows: list[tuple[str, str]] = []
    for group in GROUPS:
        for key, field in type(Config.model_fields[group].default).model_fields.items():
            if (group, key) in ENTRY_TYPES:  # these are set in the settings file only
                continue
            setting = f"{group}.{key}="
            if not incomplete.startswith(setting):
                rows.append((setting, field.description or ""))
                continue
            annotation = field.annotation
            members = [annotation, *get_args(annotation)]
            words = [word for one in members if get_origin(one) is Literal for word in get_args(one)]
            rows += [(setting + word, "") for word in (("true", "false") if annotation is bool else words)]
    return _beginning(rows, incomplete)


def complete_fault(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Returns the faults of the simulated machine that `--machine` names."""
    from train.demo.machines import MACHINES

    machine = MACHINES.get(context.params.get("machine", ""))
    return _beginning([(fault, "") for fault in (machine.faults if machine else ())], incomplete)


def _beginning(rows: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(value, help=text or None) for value, text in rows if value.startswith(incomplete)]


def script(command: click.Command, shell: str) -> str:
    """The script that makes a shell complete the command line.

    Raises:
        ValueError: if click knows no such shell.
    """
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    if completer is None:
        raise ValueError(shell)
    before, after = CHANGES.get(shell, ("", ""))
    source = completer(command, {}, "monitor", "_MONITOR_COMPLETE").source()
    return source.replace(before, after) if before else source
