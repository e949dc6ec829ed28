"""What commands have in common: kinds of options, sets of them, and the settings and the model they lead to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from monitor.bundle.bundle import Bundle
    from monitor.config.schema import Config

PRESETS = ("default", "toyadmos")  # of monitor.config.schema, which is too slow to import for --help


class FilePath(click.ParamType):  # type: ignore[type-arg]
    """A path of a file or folder."""

    name = "path"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path."""
        if isinstance(value, Path):
            return value
        if not str(value) or "\0" in str(value):
            self.fail("a path cannot be empty.", param, ctx)
        return Path(str(value))


FILE = FilePath()


class Speed(click.ParamType):  # type: ignore[type-arg]
    """A positive number, or `max`."""

    name = "X|max"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The speed as a number; infinity for max."""
        try:
            speed = float("inf") if value == "max" else float(str(value))
        except ValueError:
            speed = 0.0
        if not speed > 0:
            self.fail(f"{value!r} is no speed: a number above 0 (1 is real time), or max.", param, ctx)
        return speed


class ChannelChoice(click.ParamType):  # type: ignore[type-arg]
    """A channel's number, or `mix`."""

    name = "N|mix"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """The channel as settings have it."""
        text = str(value)
        if text != "mix" and not (text.isdecimal() and int(text) < 128):
            self.fail(f"{value!r} is no channel: a number counted from 0, or mix.", param, ctx)
        return text if text == "mix" else int(text)


def microphone_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which microphone, and what of it."""
    command = click.option(
        "--channel", type=ChannelChoice(), help="One channel, counted from 0, or mix.  [default: as in training]"
    )(command)
    return click.option(
        "--device", metavar="NAME|INDEX", help="Which microphone; part of its name will do.  [default: the system's]"
    )(command)


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command with settings has."""
    command = click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting, such as train.epochs=50."
    )(command)
    return click.option("--config", "config_file", type=FILE, help="Settings file.  [default: ./config.yaml if there]")(
        command
    )


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where scores, and pictures of anomalies, go."""
    command = click.option("--pictures", type=FILE, help="Folder for a picture (PNG) of each anomaly.")(command)
    return click.option("--scores", type=FILE, help="Write error and score of every hop to this CSV file.")(command)


def view_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of everything that listens and shows it."""
    for option in (
        click.option("--no-color", "--no-colour", "no_colour", is_flag=True, help="No colours."),
        click.option("--ascii", is_flag=True, help="Nothing outside ASCII, for old terminals."),
        click.option("--events", type=FILE, help="Append events to this file, as JSON lines."),
        click.option("--headless", is_flag=True, help="No dashboard: plain log lines."),
    ):
        command = option(command)
    return command


def settings_in_force(
    file: Path | None, overrides: tuple[str, ...], *, preset: str = "default", base: Config | None = None
) -> Config:
    from monitor.config.loader import load_config

    return load_config(file, preset=preset, overrides=overrides, base=base)


def bundle_and_settings(path: Path, config_file: Path | None, overrides: tuple[str, ...]) -> tuple[Bundle, Config]:
    """The bundle, and the settings in force with it."""
    settings_in_force(config_file, overrides)  # a mistake in the settings is told before torch takes its time
    from monitor.bundle.bundle import load_bundle
    from monitor.config.loader import require_agreement

    bundle = load_bundle(path)
    config = settings_in_force(config_file, overrides, base=bundle.config)
    require_agreement(config, bundle.config, str(path))
    return bundle, config


def view_overrides(ascii: bool, no_colour: bool) -> tuple[str, ...]:
    return (*(("dashboard.ascii=true",) if ascii else ()), *(("dashboard.colour=false",) if no_colour else ()))


def device_override(device: str | None) -> tuple[str, ...]:
    return () if device is None else (f"audio.device={device}",)
