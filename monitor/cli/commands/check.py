"""`monitor check` checks or writes a settings file; `monitor completion` prints a shell's completion script."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.cli.options import FILE, PRESETS, settings_in_force
from monitor.core.errors import ConfigError


@click.command()
@click.argument("config_file", metavar="[CONFIG]", type=FILE, required=False)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one setting. May be repeated.")
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    default="default",
    show_default=True,
    help="Predefined settings to start from.",
)
@click.option("--write", type=FILE, help="Only write a new settings file that lists and explains all settings.")
def check(config_file: Path | None, overrides: tuple[str, ...], preset: str, write: Path | None) -> None:
    """Check a settings file, and print the settings in force. No model and no microphone is opened.

    \b
    Examples:
      monitor check
      monitor check site-b.yaml
      monitor check --preset toyadmos
      monitor check --set features.n_mels=128
      monitor check --write config.yaml
    """
    if write is not None:
        _write_template(write)
        return
    config = settings_in_force(config_file, overrides, preset=preset)
    from monitor.config.loader import DEFAULT_FILE
    from monitor.config.template import as_yaml

    file = config_file or (Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else None)
    click.echo(f"# {file or 'no settings file'}: correct. Settings in force (* = not the default):\n{as_yaml(config)}")


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
    click.echo(
        f"{path}: contains all settings with their defaults, commented out. "
        f"Change what you need, then run: monitor check {path}"
    )


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script for your shell that completes commands and options with the tab key.

    \b
    Examples:
      monitor completion bash >> ~/.bashrc
      monitor completion zsh >> ~/.zshrc
      monitor completion fish > ~/.config/fish/completions/monitor.fish
    """
    from click.shell_completion import get_completion_class

    completer, root = get_completion_class(shell), context.find_root().command
    if completer is None:
        raise ConfigError(f"{shell}: there is no completion for this shell.")
    click.echo(completer(root, {}, "monitor", "_MONITOR_COMPLETE").source())
