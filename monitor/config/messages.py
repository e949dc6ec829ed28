"""Error messages for invalid settings: one sentence for each error, with its location in the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from monitor.config.schema import ENTRY_TYPES, Alarm, Config
from monitor.config.setting_types import Group, Tree
from monitor.config.sources import Stream
from monitor.config.yaml_source import Location
from monitor.core.text import shortened

KeyPath = tuple[str, ...]  # such as ("features", "n_fft") or ("streams", "0", "name")
Locations = Mapping[KeyPath, Location]
ENTRIES: dict[KeyPath, type[Group]] = {**ENTRY_TYPES, ("streams",): Stream}  # what each entry of a list is
EXPECTATION = "Input should be "  # the beginning of pydantic's messages that say what it expects


def error_messages(
    within: tuple[int | str, ...], errors: Iterable[ErrorDetails], locations: Locations, default_location: str
) -> list[str]:
    """A message for each error that pydantic found; the expectations of all members of a union are one message.

    Args:
        within: the path of keys that the paths in `errors` are relative to.
        errors: the errors, as pydantic reports them.
        locations: the location of each path of keys.
        default_location: shown where a path and its parents have no location.
    """
    by_path: dict[KeyPath, list[ErrorDetails]] = {}
    for error in errors:
        if error["type"] == "too_short" and error["input"]:
            continue  # the list is empty only without its wrong entries, each of which has an error of its own
        path = tuple(map(str, (*within, *error["loc"], *error.get("ctx", {}).get("path", ()))))
        by_path.setdefault(path[: _depth(path)], []).append(error)
    messages: list[str] = []
    for path, of_path in by_path.items():
        if all(error["msg"].startswith(EXPECTATION) for error in of_path):
            expected = [error["msg"].removeprefix(EXPECTATION).split(", unable to parse")[0] for error in of_path]
            of_path = [{**of_path[0], "msg": EXPECTATION + " or ".join(expected)}]
        messages += [
            error_message(path, error["type"], error["msg"], error["input"], locations, default_location)
            for error in of_path
        ]
    return messages


def error_message(
    path: KeyPath, kind: str, message: str, value: object, locations: Locations, default_location: str
) -> str:
    """The message for one error.

    Args:
        path: path of keys of the setting.
        kind: pydantic's type of the error.
        message: pydantic's message.
        value: the value that is wrong.
        locations, default_location: as in `error_messages`.
    """
    parents = (path[:n] for n in range(len(path), 0, -1))
    place = next((locations[parent] for parent in parents if parent in locations), default_location)
    name = re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", ".".join(shortened(key) for key in path))
    if kind == "extra_forbidden":
        return f"{place}: unknown setting {name}: the settings here are {', '.join(_known_beside(path))}."
    if kind == "missing":
        return f"{place}: {name} is missing."
    if kind == "value_error":
        return f"{place}: {name}: {message.removeprefix('Value error, ')}."
    if kind == "tuple_type":
        entry = ENTRIES.get(path)
        shape = f"with one `- {next(iter(entry.model_fields))}: …` for each" if entry else "such as [a, b]"
        return f"{place}: {name} has to be a list, {shape}."
    if kind in ("model_type", "dict_type"):
        return f"{place}: {name} has to be a group of settings, with one `key: value` on each line."
    if kind in ("too_short", "string_too_short") and not value:
        return f"{place}: {name} cannot be empty."
    expected = message.split(", unable to parse")[0].replace(EXPECTATION, "it has to be ")
    # An address may contain a password: it is not shown.
    found = "" if "://" in str(value) else f", not {shortened(repr(value))}"
    return f"{place}: {name}: {expected[:1].lower() + expected[1:]}{found}."


def stream_errors(tree: Tree, locations: Locations, default_location: str) -> list[str]:
    """Messages for equal names of streams, and for alarm settings of streams that contradict the group alarm."""
    messages: list[str] = []
    streams = tree.get("streams")
    number_of: dict[str, int] = {}  # by the name of the stream
    for number, stream in enumerate(streams if isinstance(streams, list) else []):
        if not isinstance(stream, Mapping):
            continue
        name, alarm = stream.get("name"), stream.get("alarm")
        if isinstance(name, str) and number_of.setdefault(name, number) != number:
            path = ("streams", str(number), "name")
            message = f"streams[{number_of[name]}] has the name {name!r} already; give each stream its own"
            messages.append(error_message(path, "value_error", message, name, locations, default_location))
        if isinstance(alarm, Mapping):
            common = tree.get("alarm")
            try:
                Alarm.model_validate({**(common if isinstance(common, Mapping) else {}), **alarm})
            except ValidationError as error:
                own = [e for e in error.errors() if not e["loc"] or e["loc"][0] in alarm]
                messages += error_messages(("streams", number, "alarm"), own, locations, default_location)
    return messages


def _known_beside(path: KeyPath) -> Iterable[str]:
    """The names of all settings in the same group as `path`."""
    if len(path) == 1:
        return Config.model_fields
    if path[0] == "streams":
        return (Alarm if len(path) == 4 else Stream).model_fields
    if len(path) == 4 and (entry := ENTRIES.get(path[:2])):
        return entry.model_fields
    group: Group = Config.model_fields[path[0]].default
    return type(group).model_fields


def _depth(path: KeyPath) -> int:
    """How many parts of the path of an error are in the file: pydantic adds the names of a union's members to it."""
    if path[:1] == ("streams",):
        return 4 if "alarm" in path else 3
    if path[:2] in ENTRIES:
        return 5 if path[4:] and path[4].isdecimal() else 4
    return 2
