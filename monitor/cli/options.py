"""Options that several commands share: their types, sets of options, and the settings that result from them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from monitor.cli.completion import complete_file, complete_microphone, complete_setting
from monitor.core.errors import ConfigError

if TYPE_CHECKING:
    from monitor.bundle.bundle import Bundle
    from monitor.config.loader import SettingsSource
    from monitor.config.schema import Config

log = logging.getLogger(__name__)

PRESETS = ("default", "toyadmos")  # as in monitor.config.presets, which is too slow to import for --help
Command = Callable[..., Any]


class FilePath(click.ParamType):  # type: ignore[type-arg]
    """The path of a file or folder."""

    name = "path"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Returns the path; an empty one is refused."""
        if isinstance(value, Path):
            return value
        if not str(value) or "\0" in str(value):
            self.fail("a path cannot be empty.", param, ctx)
        return Path(str(value))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Lets the shell complete the path."""
        return complete_file(ctx, param, incomplete)


FILE = FilePath()
MODEL_SUFFIX = ".safetensors"


def require_model(path: Path, files: Sequence[Path] = (), *, command: str) -> None:
    """Checks that the model comes first, and that there is only one.

    Args:
        path: what was given as the model.
        files: what was given as recordings.
        command: the command line up to the model, for the message.

    Raises:
        ConfigError: if a recording stands where the model belongs, or a model among the recordings.
    """
    from monitor.audio.sound_files import sound_suffixes

    models = [file for file in files if file.suffix.lower() == MODEL_SUFFIX]
    if path.suffix.lower() in sound_suffixes():
        model = models[0] if models else "MODEL"
        raise ConfigError(f"{path}: is a recording. The model comes first: {command} {model} {path}.")
    if models:
        raise ConfigError(f"{models[0]}: is a model. Give one model, and then recordings: {command} {path} FILE.wav.")


class Number(click.FloatRange):
    """A number in a range. NaN is in none, although no comparison tells so."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns the number."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


class Speed(click.ParamType):  # type: ignore[type-arg]
    """A positive number, or `max`."""

    name = "X|max"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns the speed as a number; infinity for max."""
        try:
            speed = float("inf") if value == "max" else float(str(value))
        except ValueError:
            speed = 0.0
        if not speed > 0:
            self.fail(f"{value!r} is not a speed: give a number above 0 (1 is real time), or max.", param, ctx)
        return speed


class ChannelChoice(click.ParamType):  # type: ignore[type-arg]
    """The number of a channel, or `mix`."""

    name = "N|mix"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Returns the channel as a setting: a number or "mix"."""
        text = str(value)
        if text != "mix" and not (text.isdecimal() and int(text) < 128):
            self.fail(f"{value!r} is not a channel: give a number, counted from 0, or mix.", param, ctx)
        return text if text == "mix" else int(text)


def _not_secret(_context: click.Context, _parameter: click.Parameter, device: str | None) -> str | None:
    """Warns if the address of a device shows a password to everybody who lists the processes of this computer."""
    if device and ("://" in device):
        from monitor.config.network_address import has_password

        if has_password(device):
            log.warning(
                "--device: all users of this computer can read the password of the address in the list of processes: "
                "put the address into a file and give --set audio.url_file=FILE, or into a variable of the environment "
                "and give --device '$NAME'."
            )
    return device


def microphone_options(command: Command) -> Command:
    """Adds the options that choose a microphone and its channel."""
    command = click.option(
        "--channel",
        type=ChannelChoice(),
        help="Channel to listen to, counted from 0, or mix for their mean.  [default: as in training]",
    )(command)
    return click.option(
        "--device",
        metavar="NAME|INDEX|URL",
        callback=_not_secret,
        shell_complete=complete_microphone,
        help="Microphone to use: its number, its name or a part of it, or an address.  [default: the system's]",
    )(command)


def set_option(command: Command) -> Command:
    """Adds the option that changes one setting."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        shell_complete=complete_setting,
        help="Change one setting, as in train.epochs=50. May be repeated.",
    )(command)


def settings_options(command: Command) -> Command:
    """Adds the options of all commands that use settings."""
    command = set_option(command)
    return click.option(
        "--config", "config_file", type=FILE, help="Settings file.  [default: ./config.yaml, if it exists]"
    )(command)


def preset_option(command: Command) -> Command:
    """Adds the option that chooses predefined settings: --preset."""
    return click.option(
        "--preset",
        type=click.Choice(PRESETS),
        default="default",
        show_default=True,
        help="Predefined settings to start from.",
    )(command)


def output_options(command: Command) -> Command:
    """Adds the options for files of scores and pictures of anomalies."""
    command = click.option("--pictures", type=FILE, help="Save a PNG picture of each anomaly in this folder.")(command)
    command = click.option(
        "--parquet-rows",
        type=click.Choice(["second", "hop"]),
        default="second",
        show_default=True,
        help="What a row of --parquet is for.",
    )(command)
    command = click.option(
        "--parquet", type=FILE, help="Write scores with time and state into this folder, a Parquet file a day."
    )(command)
    return click.option("--scores", type=FILE, help="Write error and score of every hop to this CSV file.")(command)


def view_options(command: Command) -> Command:
    """Adds the options of all commands that show the monitoring live."""
    for option in (
        click.option("--no-color", "--no-colour", "no_colour", is_flag=True, help="Show no colours."),
        click.option("--ascii", is_flag=True, help="Use only ASCII characters, for old terminals."),
        click.option("--log-json", is_flag=True, help="With --headless: print JSON lines instead of plain text."),
        click.option("--events", type=FILE, help="Append all events to this file, as JSON lines."),
        click.option("--headless", is_flag=True, help="Print plain log lines instead of the dashboard."),
    ):
        command = option(command)
    return command


def sensitivity_option(command: Command) -> Command:
    """Adds the option that chooses how easily there is an alarm."""
    return click.option(
        "--sensitivity",
        type=click.Choice(["low", "normal", "high"]),
        help="How easily there is an alarm: low gives about a tenth of the false alarms, high ten times as many.",
    )(command)


def sensitivity_override(sensitivity: str | None) -> tuple[str, ...]:
    """Returns the option --sensitivity as a `--set` option."""
    return () if sensitivity is None else (f"alarm.sensitivity={sensitivity}",)


def settings_source(
    file: Path | None, overrides: tuple[str, ...], *, preset: str = "default", device: str | None = None
) -> SettingsSource:
    """Reads the settings of a settings file, of `--set` options, and of the option --device."""
    from monitor.config.loader import SettingsSource

    return SettingsSource.read(file, preset=preset, overrides=overrides, device=device)


def settings_in_force(
    file: Path | None, overrides: tuple[str, ...], *, preset: str = "default", device: str | None = None
) -> Config:
    """Returns the settings for a command without a model."""
    return settings_source(file, overrides, preset=preset, device=device).config


def bundle_and_settings(
    path: Path, config_file: Path | None, overrides: tuple[str, ...], *, device: str | None = None
) -> tuple[Bundle, Config]:
    """Loads a bundle, and returns it with the settings in force for it."""
    # The settings first, so that a mistake in them is reported before one in the bundle.
    source = settings_source(config_file, overrides, device=device)
    from monitor.bundle.bundle_io import load_bundle

    bundle = load_bundle(path)
    return bundle, source.for_model(bundle.config, str(path))


def view_overrides(ascii: bool, no_colour: bool) -> tuple[str, ...]:
    """Returns the options --ascii and --no-colour as `--set` options."""
    return (*(("dashboard.ascii=true",) if ascii else ()), *(("dashboard.colour=false",) if no_colour else ()))
