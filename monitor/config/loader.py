"""From config.yaml and the command line to the settings in force, and what is said where they are wrong.

Precedence: command line (`--set`, then `--preset`), file, default. How the file is read stands in `monitor.config.yaml_source`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from monitor.config.schema import GROUPS, PRESETS, Alarm, Config, Group, Stream, Tree
from monitor.core.errors import ConfigError
from monitor.config.yaml_source import Mark, read_marked

DEFAULT_FILE = "config.yaml"
WISH = "Input should be "  # how pydantic begins what it wants


def load_config(
    file: Path | None = None,
    *,
    preset: str = "default",
    overrides: Iterable[str] = (),
    base: Config | None = None,
) -> Config:
    """The settings in force.

    Args:
        file: a config.yaml; None takes the one in the current folder if there is one.
        preset: a name in PRESETS.
        overrides: `group.key=value`, as `--set` takes them; they win over everything.
        base: what stands in place of the defaults: a bundle's own settings. A value in the file then counts
            only where it differs from the default, because config.yaml spells out every default.

    Raises:
        ConfigError: with file, line and column of each thing that is wrong.
    """
    marks: dict[tuple[str, ...], Mark] = {}
    tree: Tree = {}
    if file is None and Path(DEFAULT_FILE).is_file():
        file = Path(DEFAULT_FILE)
    if file is not None:
        tree, marks = read_marked(file)
    # The file is judged alone first, so that its mistakes are shown at their place in it.
    from_file = _validated(tree, marks, str(file))
    streams = tree.pop("streams", None) or []
    given = changed(from_file) if base is not None else tree
    command_line, origin = _parse_overrides(overrides)
    if preset not in PRESETS:
        raise ConfigError(f"Unknown preset {preset!r}: choose one of {', '.join(PRESETS)}.")
    start = base.model_dump() if base is not None else {}
    merged = _merge(_merge(_merge(start, given), PRESETS[preset]), command_line)
    places = {path: place for path, place in marks.items() if path[0] == "streams"}
    together = _validated({**merged, "streams": streams}, {**places, **origin}, "the settings together")
    folder = file.parent if file is not None else Path()
    return together.model_copy(update={"streams": tuple(_below(folder, one) for one in together.streams)})


def _below(folder: Path, stream: Stream) -> Stream:
    """The stream with its paths taken from the folder of the settings file."""
    files = tuple(folder / path for path in stream.file)
    return stream.model_copy(update={"bundle": folder / stream.bundle, "file": files})


def changed(config: Config) -> Tree:
    """What differs from the defaults, as a tree of groups."""
    default = Config()
    groups: Tree = {}
    for group in GROUPS:
        ours, theirs = getattr(config, group), getattr(default, group)
        differs = {k: v for k, v in ours.model_dump().items() if v != getattr(theirs, k)}
        if differs:
            groups[group] = differs
    return groups


def require_agreement(config: Config, trained: Config, where: str) -> None:
    """Refuses settings that contradict those a model was trained with.

    Raises:
        ConfigError: naming the first setting of features, model or score that differs, with both values.
    """
    for group in ("features", "model", "score"):
        wanted, stored = getattr(config, group), getattr(trained, group)
        for key in type(wanted).model_fields:
            if getattr(wanted, key) != getattr(stored, key):
                raise ConfigError(
                    f"{group}.{key} is {getattr(wanted, key)} in the settings, but {where} was trained with "
                    f"{getattr(stored, key)}: take the setting back, or train a new model with it."
                )


def _parse_overrides(overrides: Iterable[str]) -> tuple[Tree, dict[tuple[str, ...], Mark]]:
    tree: Tree = {}
    marks: dict[tuple[str, ...], Mark] = {}
    for text in overrides:
        path, equals, value = text.partition("=")
        keys = tuple(path.strip().split("."))
        if not equals or len(keys) != 2 or not all(keys):
            raise ConfigError(f"--set {text}: write it as group.key=value, such as --set features.n_fft=1024.")
        if keys[0] == "streams":
            raise ConfigError(f"--set {text}: streams stand in the settings file, and cannot be set here.")
        parsed: object = value.strip()
        if value.strip().startswith("["):
            parsed = [part.strip() for part in value.strip().strip("[]").split(",")]
        tree.setdefault(keys[0], {})[keys[1]] = parsed
        marks[keys] = marks.setdefault(keys[:1], f"--set {text}")
        marks[keys] = f"--set {text}"
    return tree, marks


def _merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> Tree:
    merged = {group: dict(values) for group, values in base.items()}
    for group, values in top.items():
        if isinstance(values, Mapping):
            merged.setdefault(group, {}).update(values)
        else:
            merged[group] = values
    return merged


def _validated(tree: Tree, marks: Mapping[tuple[str, ...], Mark], where: str) -> Config:
    lines: list[str] = []
    config = None
    try:
        config = Config.model_validate({k: v for k, v in tree.items() if v is not None})
    except ValidationError as error:
        lines = _sentences((), error.errors(), marks, where)
    lines += _stream_mistakes(tree, marks, where)
    if config is None or lines:
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None
    return config


def _stream_mistakes(tree: Tree, marks: Mapping[tuple[str, ...], Mark], where: str) -> list[str]:
    """What is wrong between streams, and in their alarm settings together with those of all."""
    lines: list[str] = []
    streams = tree.get("streams")
    named: dict[str, int] = {}
    for number, stream in enumerate(streams if isinstance(streams, list) else []):
        if not isinstance(stream, Mapping):
            continue
        name, alarm = stream.get("name"), stream.get("alarm")
        if isinstance(name, str) and named.setdefault(name, number) != number:
            message = f"Value error, {name!r} is the name of streams[{named[name]}] already"
            lines.append(_sentence(("streams", str(number), "name"), "value_error", message, name, marks, where))
        if isinstance(alarm, Mapping):
            common = tree.get("alarm")
            try:
                Alarm.model_validate({**(common if isinstance(common, Mapping) else {}), **alarm})
            except ValidationError as error:
                own = [e for e in error.errors() if not e["loc"] or e["loc"][0] in alarm]
                lines += _sentences(("streams", number, "alarm"), own, marks, where)
    return lines


def _sentences(
    within: tuple[int | str, ...],
    errors: Iterable[ErrorDetails],
    marks: Mapping[tuple[str, ...], Mark],
    where: str,
) -> list[str]:
    """A sentence for each mistake; what each member of a union wants is one wish."""
    found: dict[tuple[str, ...], list[ErrorDetails]] = {}
    for error in errors:
        loc = (*within, *error["loc"])
        # A union adds the names of its members to the path: cut back to the part that is in the file.
        depth = (4 if "alarm" in loc else 3) if loc[:1] == ("streams",) else 2
        found.setdefault(tuple(str(part) for part in loc)[:depth], []).append(error)
    lines: list[str] = []
    for path, several in found.items():
        if all(error["msg"].startswith(WISH) for error in several):
            wishes = [error["msg"].removeprefix(WISH).split(", unable to parse")[0] for error in several]
            several = [{**several[0], "msg": WISH + " or ".join(wishes)}]
        lines += [_sentence(path, error["type"], error["msg"], error["input"], marks, where) for error in several]
    return lines


def _sentence(
    path: tuple[str, ...], kind: str, message: str, value: object, marks: Mapping[tuple[str, ...], Mark], where: str
) -> str:
    place = next((marks[path[:n]] for n in range(len(path), 0, -1) if path[:n] in marks), where)
    name = re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", ".".join(path))
    if kind == "extra_forbidden":
        known = ", ".join(_known_beside(path))
        return f"{place}: unknown setting {name}: known here are {known}."
    if kind == "missing":
        return f"{place}: {name} is missing."
    if kind == "value_error":
        return f"{place}: {name}: {message.removeprefix('Value error, ')}."
    if kind == "tuple_type":
        return f"{place}: {name} has to be a list, one `- name: …` for each."
    if kind in ("model_type", "dict_type"):
        return f"{place}: {name} has to be a group of settings, one `key: value` a line."
    wish = message.split(", unable to parse")[0].replace(WISH, "it has to be ")
    return f"{place}: {name}: {wish[:1].lower() + wish[1:]}, not {value!r}."


def _known_beside(path: tuple[str, ...]) -> Iterable[str]:
    """The settings that there are in the group of this one."""
    if len(path) == 1:
        return Config.model_fields
    if path[0] == "streams":
        return (Alarm if len(path) == 4 else Stream).model_fields
    group: Group = Config.model_fields[path[0]].default
    return type(group).model_fields


def as_yaml(config: Config) -> str:
    """All settings as YAML, those that are not the default marked with a star in a comment."""
    different = changed(config)
    lines: list[str] = []
    for group in GROUPS:
        lines.append(f"{group}:")
        for key, value in getattr(config, group).model_dump(mode="json").items():
            text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            lines.append(f"  {key}: {text}{'    # *' if key in different.get(group, {}) else ''}")
    lines.append("streams:" if config.streams else "streams: []")
    for stream in config.streams:
        given = stream.model_dump(mode="json", exclude_defaults=True)
        # Of JSON all is YAML, too: it quotes what has to be quoted.
        shown = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in given.items()]
        lines += [f"  {'- ' if number == 0 else '  '}{text}" for number, text in enumerate(shown)]
    return "\n".join(lines)
