"""`monitor check` checks or writes a settings file; `monitor completion` prints a shell's completion script."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.completion import complete_setting, script
from monitor.cli.options import FILE, preset_option, settings_source
from monitor.cli.output import say
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.text import printable

if TYPE_CHECKING:
    from monitor.config.loader import SettingsSource
    from monitor.config.schema import Config

log = logging.getLogger(__name__)


@click.command()
@click.argument("config_file", metavar="[CONFIG]", type=FILE, required=False)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_setting,
    help="Change one setting. May be repeated.",
)
@preset_option
@click.option("--files", is_flag=True, help="Also load the models and open the recordings of all streams.")
@click.option("--devices", is_flag=True, help="Also look whether the microphones of all streams are connected.")
@click.option("--write", type=FILE, help="Only write a new settings file that lists and explains all settings.")
def check(
    config_file: Path | None, overrides: tuple[str, ...], preset: str, files: bool, devices: bool, write: Path | None
) -> None:
    """Check a settings file, and print the settings in force.

    With --files or --devices, instead of the settings a line for each of its `streams` says whether it can be
    used; the exit code is that of the first error.

    \b
    Examples:
      monitor check
      monitor check site-b.yaml
      monitor check --preset toyadmos
      monitor check --set features.n_mels=128
      monitor check hall.yaml --files --devices
      monitor check --write config.yaml
    """
    if write is not None:
        _write_template(write)
        return
    settings = settings_source(config_file, overrides, preset=preset)
    config = settings.config
    from monitor.config.loader import DEFAULT_FILE
    from monitor.config.template import as_yaml, sensitivity_meaning
    from monitor.features.mel import require_filled_bands

    require_filled_bands(config.features)
    if files or devices:
        _check_streams(settings, files=files, devices=devices)
        return
    file = config_file or (Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else None)
    shown = printable(str(file or "no settings file"))
    say(f"# {shown}: correct. Settings in force (* = not the default):\n{as_yaml(config)}")
    say(f"# {sensitivity_meaning(config)}")
    if config.clips.enabled and config.clips.url:
        _check_object_store(config)


def _check_object_store(config: Config) -> None:
    """Says what is wrong with `clips.url` at present. It is no error: clips wait in their folder until it works.

    Raises:
        ConfigError: if it can never work.
    """
    from monitor.clips.mover import stored_clips
    from monitor.core.object_store import ObjectStoreError

    stored = stored_clips(config)
    try:
        stored.require_usable()
        say(f"# clips.url: {printable(stored.name)} can be written.")
    except ObjectStoreError as error:
        log.warning("clips.url: %s Clips wait in their folder until it works.", error)
    finally:
        stored.close()


def _check_streams(settings: SettingsSource, *, files: bool, devices: bool) -> None:
    """Prints a line for each stream that could be monitored.

    Raises:
        MonitorError: of the class of the first error, with the errors of all other streams.
    """
    from monitor.runtime.stream_check import check_streams
    from monitor.sources.device.stderr_redirect import log_file, stderr_redirected

    first: MonitorError | None = None
    messages: list[str] = []
    with stderr_redirected(log_file() if devices else None, keep_ours=True):
        for checked in check_streams(settings, files=files, devices=devices):
            if not checked.errors:
                say(printable(f"{checked.name}: usable: {', '.join(checked.found)}."))
            for error in checked.errors:
                first = first or error
                messages += [f"{checked.name}: {message}" for message in error.messages]
    if first is not None:
        raise type(first)(*messages)
    if not settings.config.streams and not devices:
        say("There are no `streams` in the settings.")


def _write_template(path: Path) -> None:
    """Writes a new settings file.

    Raises:
        ConfigError: if the file exists already.
    """
    if path.exists():
        raise ConfigError(f"{path}: exists already and may contain your settings: choose another file.")
    from monitor.config.template import template
    from monitor.core.atomic_io import write_atomically

    write_atomically(path, template().encode())
    say(
        f"{path}: contains all settings with their defaults, commented out. "
        f"Change what you need, then run: monitor check {path}"
    )


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script for your shell that completes commands, options, files, microphones and settings with tab.

    \b
    Examples:
      monitor completion bash >> ~/.bashrc
      monitor completion zsh >> ~/.zshrc
      monitor completion fish > ~/.config/fish/completions/monitor.fish
    """
    say(script(context.find_root().command, shell))
