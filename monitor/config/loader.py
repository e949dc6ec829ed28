"""Merges config.yaml, the command line and the settings of a model into the settings in force.

Precedence, highest first: command line (`--set`, then `--preset`), alarm settings of one stream, settings file,
settings of the model, defaults. A value in the file overrides the model's value even if it equals the default.
"""

from __future__ import annotations

import copy
import functools
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from monitor.config.messages import KeyPath, Locations, error_messages, stream_errors
from monitor.config.network_address import public_name
from monitor.config.presets import PRESETS
from monitor.config.schema import ENTRY_TYPES, GROUPS, Config
from monitor.config.setting_types import Tree, Verbatim
from monitor.config.sources import Stream
from monitor.config.yaml_source import Location, read_with_locations
from monitor.core.errors import ConfigError

log = logging.getLogger(__name__)

DEFAULT_FILE = "config.yaml"
TRAINED_GROUPS = ("features", "model", "score")  # fixed by training: other values are an error
MODEL_GROUPS = (*TRAINED_GROUPS, "alarm", "calibration")  # stored in a model
LISTS = {("model", "hidden")}  # settings whose value is a list
MAX_MESSAGES = 20  # errors that are shown at once
RENAMED = {("alarm", "evidence"): "lasting"}  # old names of settings, which are still accepted


@dataclass(frozen=True)
class SettingsSource:
    """The settings that a settings file and a command line state, with the location of each."""

    file: Path | None = None
    tree: Tree = field(default_factory=dict)  # the settings in the file
    locations: Locations = field(default_factory=dict)  # in the file
    preset: str = "default"
    command_line: Tree = field(default_factory=dict)  # the settings given with `--set`
    option_locations: Locations = field(default_factory=dict)  # the `--set` option of each

    @classmethod
    def read(
        cls,
        file: Path | None = None,
        *,
        preset: str = "default",
        overrides: Iterable[str] = (),
        device: str | None = None,
    ) -> SettingsSource:
        """Reads and checks a settings file and a command line.

        Args:
            file: path of a settings file; None reads config.yaml in the current folder if it exists.
            preset: a name in `monitor.config.presets.PRESETS`.
            overrides: `group.key=value` each, as given with `--set`.
            device: name or number of a microphone, or an address, as given with `--device`; None: as in the settings.

        Raises:
            ConfigError: if a setting is invalid; it has a message for each error, with file, line and column.
        """
        source = cls.from_options(overrides, preset=preset, device=device)
        if file is None and Path(DEFAULT_FILE).is_file():
            file = Path(DEFAULT_FILE)
        tree, locations = current_names(*read_with_locations(file)) if file is not None else ({}, {})
        source = replace(source, file=file, tree=tree, locations=locations)
        # The file is validated alone first, so that its errors are reported with their location in it.
        _validated(tree, locations, str(file))
        _ = source.config
        return source

    @classmethod
    def from_options(
        cls, overrides: Iterable[str], *, preset: str = "default", device: str | None = None
    ) -> SettingsSource:
        """Settings of a command line, without a file; arguments and errors as in `read`."""
        if preset not in PRESETS:
            raise ConfigError(f"Unknown preset {preset!r}: choose one of {', '.join(PRESETS)}.")
        command_line, option_locations = current_names(*_parse_overrides(overrides))
        if device is not None:
            option = f"--device {public_name(device)}"
            command_line.setdefault("audio", {}).update(device=Verbatim(device), url_file=None)
            option_locations = {**option_locations, ("audio", "device"): option, ("audio", "url_file"): option}
        return cls(preset=preset, command_line=command_line, option_locations=option_locations)

    @functools.cached_property
    def config(self) -> Config:
        """The settings in force if there is no model."""
        return self._merged({}, {})

    def for_model(self, trained: Config, model_path: str, alarm: Mapping[str, object] | None = None) -> Config:
        """The settings in force for one stream with a trained model.

        Args:
            trained: the settings of the model.
            model_path: path of the model, for messages.
            alarm: settings of the group alarm that differ for this stream.

        Raises:
            ConfigError: if settings contradict those that the model was trained with, or each other.
        """
        of_model = {group: getattr(trained, group).model_dump() for group in MODEL_GROUPS}
        config = self._merged(of_model, {"alarm": dict(alarm)} if alarm else {})
        require_trained_settings(config, trained, model_path)
        return config.model_copy(update={"streams": ()})

    def for_training(self, stream: Stream) -> Config:
        """The settings in force for the training of a stream's model: its own settings of alarms are in it.

        Raises:
            ConfigError: if its settings contradict others.
        """
        return self._merged({}, {"alarm": stream.alarm} if stream.alarm else {}).model_copy(update={"streams": ()})

    def _merged(self, of_model: Tree, of_stream: Tree) -> Config:
        streams = self.tree.get("streams") or []
        of_file = {group: values for group, values in self.tree.items() if group != "streams"}
        merged: Tree = {}
        for layer in (of_model, of_file, of_stream, PRESETS[self.preset], self.command_line):
            merged = _merge(merged, layer)
        locations = {**self.locations, **self.option_locations}
        config = _validated({**merged, "streams": streams}, locations, "the combined settings")
        folder = self.file.parent if self.file is not None else Path()
        return config.model_copy(update={"streams": tuple(_with_folder(folder, one) for one in config.streams)})


def current_names(tree: Tree, locations: Locations) -> tuple[Tree, Locations]:
    """Copies of settings and their locations, with old names of settings replaced by the current ones.

    Logs a warning for each old name.
    """
    tree, renamed_locations = copy.deepcopy(tree), dict(locations)
    streams = tree.get("streams")
    owners: list[tuple[KeyPath, object]] = [((), tree)]  # all trees of groups: the settings, and those of each stream
    owners += [(("streams", str(n)), one) for n, one in enumerate(streams if isinstance(streams, list) else [])]
    for (group, old), new in RENAMED.items():
        for path, owner in owners:
            values = owner.get(group) if isinstance(owner, dict) else None
            if isinstance(values, dict) and old in values:
                values.setdefault(new, values.pop(old))
                if (location := renamed_locations.get((*path, group, old))) is not None:
                    renamed_locations[*path, group, new] = location
                log.warning("%s.%s is now called %s.%s: please use the new name.", group, old, group, new)
    return tree, renamed_locations


def load_config(file: Path | None = None, *, preset: str = "default", overrides: Iterable[str] = ()) -> Config:
    """The settings in force if there is no model; arguments and errors as in `SettingsSource.read`."""
    return SettingsSource.read(file, preset=preset, overrides=overrides).config


def changed(config: Config) -> Tree:
    """The settings that differ from their defaults, as a tree of groups."""
    default = Config()
    groups: Tree = {}
    for group in GROUPS:
        values, defaults = getattr(config, group), getattr(default, group)
        different = {key: value for key, value in values.model_dump().items() if value != getattr(defaults, key)}
        if different:
            groups[group] = different
    return groups


def require_trained_settings(config: Config, trained: Config, model_path: str) -> None:
    """Checks that the settings of features, model and score are those that a model was trained with.

    Raises:
        ConfigError: naming the first setting that differs, with both values.
    """
    for group in TRAINED_GROUPS:
        stated, stored = getattr(config, group), getattr(trained, group)
        for key in type(stated).model_fields:
            values = getattr(stated, key), getattr(stored, key)
            if values[0] != values[1]:
                here, there = ("null" if value is None else value for value in values)
                raise ConfigError(
                    f"{group}.{key} is {here} in the settings, but {model_path} was trained with {there}: remove the "
                    "setting, or train a new model with it."
                )


def _with_folder(folder: Path, stream: Stream) -> Stream:
    """The stream with its paths relative to the current folder, not to the folder of the settings file."""
    files = tuple(folder / path for path in stream.file)
    url_file = None if stream.url_file is None else folder / stream.url_file.expanduser()
    return stream.model_copy(update={"bundle": folder / stream.bundle, "url_file": url_file, "file": files})


def _parse_overrides(overrides: Iterable[str]) -> tuple[Tree, dict[KeyPath, Location]]:
    tree: Tree = {}
    locations: dict[KeyPath, Location] = {}
    for text in overrides:
        path, equals, value = text.partition("=")
        keys = tuple(path.strip().split("."))
        if not equals or len(keys) != 2 or not all(keys):
            raise ConfigError(f"--set {text}: write it as group.key=value, such as --set features.n_fft=1024.")
        if keys[0] == "streams":
            raise ConfigError(f"--set {text}: streams cannot be set here, only in the settings file.")
        if keys in ENTRY_TYPES:
            raise ConfigError(f"--set {text}: {path.strip()} cannot be set here, only in the settings file.")
        parsed: object = value.strip()
        if keys in LISTS:
            parsed = [part.strip() for part in value.strip().strip("[]").split(",")]
        tree.setdefault(keys[0], {})[keys[1]] = parsed
        # An address may contain a password: it is not shown.
        option = f"--set {path.strip()}" if "://" in value else f"--set {text}"
        locations.setdefault(keys[:1], option)
        locations[keys] = option
    return tree, locations


def _merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> Tree:
    """The groups of both trees; the values of `top` replace those of `base`."""
    merged = {group: dict(values) for group, values in base.items()}
    for group, values in top.items():
        if isinstance(values, Mapping):
            merged.setdefault(group, {}).update(values)
        else:
            merged[group] = values
    return merged


def _validated(tree: Tree, locations: Locations, default_location: str) -> Config:
    """The settings of a tree as a Config.

    Raises:
        ConfigError: with a line for each error.
    """
    messages: list[str] = []
    config = None
    try:
        config = Config.model_validate({key: value for key, value in tree.items() if value is not None})
    except ValidationError as error:
        messages = error_messages((), error.errors(), locations, default_location)
    messages += stream_errors(tree, locations, default_location)
    if config is None or messages:
        raise ConfigError(*_beginning(list(dict.fromkeys(messages)))) from None
    return config


def _beginning(messages: list[str]) -> list[str]:
    """The messages, or the first of them and how many more there are: a screen should hold them."""
    more = len(messages) - MAX_MESSAGES
    return messages if more <= 0 else [*messages[:MAX_MESSAGES], f"… and {more} more."]
