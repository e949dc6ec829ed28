"""Reads the file of a suite: the data sets that `monitor evaluate --suite` trains and evaluates, with their settings.

The file is YAML, read as config.yaml is: mistakes are reported with file, line and column. Paths in it are relative to
its folder.

    seeds: [0, 1, 2]
    out: results
    settings: {features.n_fft: 1024}
    sets:
      - {name: fan, data: recordings/fan}
      - {name: pump, data: recordings/pump, settings: {train.epochs: 20}}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from monitor.config.loader import SettingsSource, current_names
from monitor.config.messages import KeyPath, Locations, error_message
from monitor.config.schema import Config
from monitor.config.setting_types import Group, PathSetting, Tree
from monitor.config.yaml_source import read_with_locations
from monitor.core.errors import ConfigError
from train.evaluation.alarm_simulation import SimulatedStreams

SEED = ("train", "seed")
STREAMS = SimulatedStreams()  # the defaults


def _listed(value: object) -> object:
    """A single value as a list; anything but a list or a value is refused."""
    if not isinstance(value, list | tuple | str | int):
        raise ValueError("write the seeds as a list, such as [0, 1, 2]")
    return value if isinstance(value, list | tuple) else [value]


def _dotted(settings: object) -> object:
    """Refuses settings that are not written as `group.key: value`."""
    for key, value in settings.items() if isinstance(settings, dict) else ():
        keys = str(key).split(".")
        if len(keys) != 2 or not all(keys) or isinstance(value, dict):
            raise ValueError(f"{key}: write a setting with its group, as in features.n_fft: 1024")
        if tuple(keys) == SEED:
            raise ValueError("train.seed: the seeds of a suite stand in `seeds`")
    return settings


Settings = Annotated[Tree, BeforeValidator(_dotted)]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], BeforeValidator(_listed), Field(min_length=1)]


class SuiteSet(Group):
    """An entry in the list of data sets."""

    name: str = Field(min_length=1, max_length=60)
    data: PathSetting
    settings: Settings = Field({})

    @field_validator("name")
    @classmethod
    def _is_name_of_folder(cls, name: str) -> str:
        if not name.isprintable() or name != name.strip() or name.startswith(".") or set(name) & set("/\\"):
            raise ValueError(
                "results are kept in a folder of this name: printable characters, without slashes, a dot at the "
                "beginning, or spaces at the ends"
            )
        return name


class SuiteSchema(Group):
    """The content of a suite's file."""

    seeds: Seeds = (0, 1, 2)
    out: PathSetting
    preset: Literal["default", "toyadmos"] = "default"
    settings: Settings = Field({})
    hours: float = Field(STREAMS.hours, gt=0, le=10_000)
    fault_s: float = Field(STREAMS.fault_s, gt=0, le=86400)
    faults: int = Field(STREAMS.faults, ge=1, le=100_000)
    sets: tuple[SuiteSet, ...] = Field(min_length=1)

    @field_validator("seeds")
    @classmethod
    def _differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is there twice: it would give the same model again")
        return seeds

    @field_validator("sets")
    @classmethod
    def _have_own_names(cls, sets: tuple[SuiteSet, ...]) -> tuple[SuiteSet, ...]:
        # Upper and lower case are one folder on some disks.
        names = [one.name.casefold() for one in sets]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise ValueError(f"the name {sets[number].name!r} is there twice; give each set its own")
        return sets


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set of a suite."""

    name: str
    data: Path
    config: Config  # settings of its trainings, but for the seed


@dataclass(frozen=True, slots=True)
class Suite:
    """What is trained and evaluated: each data set with each seed."""

    file: Path
    out: Path  # folder of all results
    seeds: tuple[int, ...]
    sets: tuple[DataSet, ...]
    streams: SimulatedStreams  # extent of the alarm simulation

    @property
    def runs(self) -> int:
        """The number of trainings and evaluations."""
        return len(self.sets) * len(self.seeds)


def read_suite(file: Path, *, overrides: Iterable[str] = (), seeds: Sequence[int] | None = None) -> Suite:
    """Reads and checks the file of a suite. No config.yaml is read.

    Args:
        file: the file.
        overrides: `group.key=value` each, which count for all sets, before the settings in the file.
        seeds: used in place of those in the file.

    Raises:
        ConfigError: with a message for each mistake, with file, line and column.
    """
    tree, locations = read_with_locations(file)
    try:
        schema = SuiteSchema.model_validate(tree | ({} if seeds is None else {"seeds": list(seeds)}))
    except ValidationError as error:
        raise ConfigError(*dict.fromkeys(_messages(error.errors(), locations, str(file)))) from None
    given = SettingsSource.from_options(overrides)
    if SEED in given.option_locations:
        raise ConfigError(f"{given.option_locations[SEED]}: give the seeds of a suite with --seeds.")
    sets = [
        DataSet(one.name, _beside(file, one.data), _config(schema, number, given, locations))
        for number, one in enumerate(schema.sets)
    ]
    streams = SimulatedStreams(schema.hours, schema.fault_s, schema.faults)
    return Suite(file, _beside(file, schema.out), schema.seeds, tuple(sets), streams)


def _beside(file: Path, path: Path) -> Path:
    """A path in the file, relative to the current folder."""
    return file.parent / path.expanduser()


def _config(schema: SuiteSchema, number: int, given: SettingsSource, locations: Locations) -> Config:
    """The settings in force for a set: of the command line, else of the set, else of the suite, else of the preset."""
    tree: Tree = {}
    places: dict[KeyPath, str] = {}
    layers: tuple[tuple[KeyPath, dict[str, Any]], ...] = (
        (("settings",), schema.settings),
        (("sets", str(number), "settings"), schema.sets[number].settings),
    )
    for path, settings in layers:
        for dotted, value in settings.items():
            group, key = dotted.split(".")
            tree.setdefault(group, {})[key] = value
            places[group, key] = places[(group,)] = locations[*path, dotted]
    tree, renamed = current_names(tree, places)
    for group, values in given.command_line.items():
        tree.setdefault(group, {}).update(values)
    return SettingsSource(
        preset=schema.preset, command_line=tree, option_locations={**renamed, **given.option_locations}
    ).config


def _messages(errors: Iterable[ErrorDetails], locations: Locations, file: str) -> Iterator[str]:
    """A message for each mistake that pydantic found."""
    errors = list(errors)
    for error in errors:
        path = tuple(str(part) for part in error["loc"])
        below = any(other["loc"][: len(path)] == error["loc"] != other["loc"] for other in errors)
        if error["type"] == "too_short" and below:
            continue  # pydantic counts the correct entries
        if error["type"] == "extra_forbidden":
            known = (SuiteSet if path[0] == "sets" else SuiteSchema).model_fields
            yield f"{locations[path]}: unknown key {path[-1]}: the keys here are {', '.join(known)}."
        elif error["type"] == "too_short":
            yield f"{locations.get(path, file)}: {path[0]} is empty: a suite needs one or more."
        else:
            yield error_message(path, error["type"], error["msg"], error["input"], locations, file)
