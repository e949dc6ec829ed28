"""Generates config.yaml with all defaults, and YAML of given settings, from the schema."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from monitor.config.loader import changed
from monitor.config.network_address import public_name
from monitor.config.presets import PRESETS
from monitor.config.schema import ENTRY_TYPES, GROUPS, Config
from monitor.config.setting_types import Group
from monitor.config.sources import Stream

WIDTH = 118
COMMENT_COLUMN = 26
EXPONENT_FROM = 1e15  # whole numbers from here on are written with an exponent

HEADER = """\
# Settings. Each is commented out at its default: to change one, remove the # before its name and edit the value.
# `monitor check` reports errors in this file and prints the settings in force; `monitor check --write FILE` writes a
# new file. The command line overrides this file: --set features.n_mels=128. "(article: …)" is the value of
# --preset toyadmos, the recipe of the ToyADMOS article, where it differs from the default.
# A model stores the settings of the groups features, model, score, alarm and calibration that it was trained with.
# Settings of alarm and calibration in this file override those of the model; settings of features, model and
# score that differ from those of the model are refused.
"""

# Values in the examples of settings whose value is a list of groups, by the group and key of the setting.
EXAMPLES = {
    ("notify", "channels"): {
        "name": "control room",
        "webhook": "https://example.org/alarm",
        "secret_file": "webhook.secret",
        "command": "[/opt/beacon, --red]",
        "apprise": '"ntfys://ntfy.sh/hall-3"',
        "apprise_file": "telegram.address",
        "timeout_s": "10",
    },
    ("notify", "rules"): {
        "to": "control room",
        "streams": '["press *", fan]',
        "kinds": "[anomaly, lost, no signal]",
        "after_s": "0",
        "cool_down_s": "300",
        "ended": "true",
        "remind_s": "1800",
        "escalate_after_s": "3600",
        "escalate_to": "shift leader",
        "quiet": '"22:00-06:00"',
    },
}
STREAM_EXAMPLES = {
    "name": "press 2",
    "bundle": "press/model.safetensors",
    "device": "USB Audio",
    "url_file": "camera.address",
    "channel": "3",
    "file": "[mon.wav, tue.wav]",
    "alarm": "{threshold: 3.5}",
}

STREAMS = """\
# Several microphones: `monitor live` and `monitor replay` without a model monitor all of these streams at once.
# Each stream has
"""


def template() -> str:
    """The text of config.yaml with all settings, each commented out at its default."""
    parts = [HEADER]
    for name in GROUPS:
        group: Group = Config.model_fields[name].default
        lines = [*_wrapped("# ", (type(group).__doc__ or "").strip()), f"{name}:"]
        for key, field in type(group).model_fields.items():
            setting = f"  # {key}: {as_yaml_value(_plain(field.default))}"
            lines += _commented(setting, _explained(name, key))
            if (name, key) in ENTRY_TYPES:
                rows = ((key, text) for key, _, text in entry_rows(name, key))
                lines += _entry_lines("  #   ", rows, EXAMPLES[name, key])
        parts.append("\n".join(lines) + "\n")
    parts.append(STREAMS + "\n".join(_entry_lines("#   ", stream_rows(), STREAM_EXAMPLES)) + "\nstreams: []\n")
    return "\n".join(parts)


def as_yaml(config: Config) -> str:
    """All settings as YAML that can be loaded; a star in a comment marks those that differ from the default.

    What is secret in addresses is left out.
    """
    different = changed(config)
    lines: list[str] = []
    for group in GROUPS:
        lines.append(f"{group}:")
        for key, value in getattr(config, group).model_dump(mode="json").items():
            star = "    # *" if key in different.get(group, {}) else ""
            entries = getattr(getattr(config, group), key) if (group, key) in ENTRY_TYPES else ()
            lines.append(f"  {key}:{star}" if entries else f"  {key}: {as_yaml_value(_public(key, value))}{star}")
            lines += _as_yaml_entries("    ", entries)
    lines.append("streams:" if config.streams else "streams: []")
    return "\n".join([*lines, *_as_yaml_entries("  ", config.streams)])


def _as_yaml_entries(indent: str, entries: Iterable[Group]) -> Iterator[str]:
    """The lines of a list of groups, with the settings of each that differ from their defaults."""
    for entry in entries:
        given = entry.model_dump(mode="json", exclude_defaults=True)
        for number, (key, value) in enumerate(given.items()):
            yield f"{indent}{'  ' if number else '- '}{key}: {as_yaml_value(_public(key, value))}"


def _without_password(address: str) -> str:
    """The address of a store without its password."""
    without = re.sub(r"(?<=://)([^/?#:@]*):.*@", r"\1:***@", address)
    return re.sub(r"(?i)((?:passw|secret|token|key)[^=&]*=)[^&]+", r"\1***", without)


def _host_only(address: str) -> str:
    """What a service's address begins with; the rest is a secret: whoever has it can send messages."""
    parts = urlsplit(address)
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return address if address.rstrip("/") == place else f"{place}/***"


SHOWN_AS: dict[str, Callable[[str], str]] = {  # settings with addresses that may contain secrets
    "device": public_name,
    "url": _without_password,
    "webhook": _host_only,
    "apprise": lambda address: f"{address.partition('://')[0]}://***" if "://" in address else "***" if address else "",
}


def _public(key: str, value: object) -> object:
    """A value as it may be shown: an address without what is secret in it."""
    return SHOWN_AS[key](value) if key in SHOWN_AS and isinstance(value, str) else value


def sensitivity_meaning(config: Config) -> str:
    """What `alarm.sensitivity` means in false alarms, in a sentence."""
    alarm, budget = config.alarm, config.calibration.false_alarms_per_day
    if alarm.threshold is not None:
        return f"alarm.sensitivity has no effect: alarm.threshold sets the limit to {alarm.threshold:g}."
    a_day = budget * {"low": 0.1, "normal": 1.0, "high": 10.0}[alarm.sensitivity]
    return (
        f"alarm.sensitivity is {alarm.sensitivity}: about {a_day:g} false alarm{'' if a_day == 1 else 's'} a day, "
        f"with a model calibrated for {budget:g}."
    )


def as_yaml_value(value: object) -> str:
    """A value as one line of YAML; text other than single words is quoted."""
    if value is None or value == "":
        return "null"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {as_yaml_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join('""' if one == "" else as_yaml_value(one) for one in value) + "]"
    if isinstance(value, str):
        plain = value.replace("-", "").isalnum() and value.isascii() and value[0].isalpha()
        return value if plain else f'"{"".join(map(_escaped, value))}"'
    if isinstance(value, float) and value.is_integer() and abs(value) < EXPONENT_FROM:
        return str(int(value))
    return json.dumps(value)


def _escaped(character: str) -> str:
    """A character as it is written within double quotes in YAML."""
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08X}"


def setting_rows(group: str) -> Iterator[tuple[str, str, str]]:
    """Key, default and explanation of each setting of a group."""
    default: Group = Config.model_fields[group].default
    for key, field in type(default).model_fields.items():
        yield key, as_yaml_value(_plain(field.default)), _explained(group, key)


def entry_rows(group: str, key: str) -> Iterator[tuple[str, str, str]]:
    """Key, default and explanation of each setting of an entry, of a setting whose value is a list of groups."""
    entry = ENTRY_TYPES[group, key]
    properties = entry.model_json_schema()["properties"]
    for name, field in entry.model_fields.items():
        default = "" if field.is_required() else as_yaml_value(_plain(field.default))
        yield name, default, f"{properties[name]['description']}{_allowed(properties[name])}"


def stream_rows() -> Iterator[tuple[str, str]]:
    """Key and explanation of each setting of a stream."""
    for key, field in Stream.model_fields.items():
        yield key, field.description or ""


def _explained(group: str, key: str) -> str:
    """The description of a setting, its allowed values, and its value in the preset toyadmos if that differs."""
    schema = type(Config.model_fields[group].default).model_json_schema()["properties"][key]
    text = f"{schema['description']}{_allowed(schema)}"
    article = PRESETS["toyadmos"].get(group, {})
    return f"{text} (article: {as_yaml_value(article[key])})" if key in article else text


def _allowed(schema: Mapping[str, Any]) -> str:
    """The allowed words and numbers of a setting, as text to append to its description.

    Empty if all values are allowed, or the description names the words itself.
    """
    words: list[str] = []
    numbers = ""
    for member in schema.get("anyOf", [schema.get("items", schema)]):
        words += member.get("enum", [member["const"]] if "const" in member else [])
        numbers = numbers or _range(member)
        if "prefixItems" in member and (each := _range(member["prefixItems"][0])):
            numbers = f"each {each}"
    unnamed = [word for word in words if f"{word}:" not in schema["description"]]
    return f"; {' or '.join(', '.join(words).rsplit(', ', 1))}" * bool(unnamed) + f"; {numbers}" * bool(numbers)


def _range(schema: Mapping[str, Any]) -> str:
    """The range of allowed numbers as text; empty if all numbers are allowed, or the setting is no number."""
    least, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    most, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if below is not None and schema["type"] == "integer":
        most, below = below - 1, None
    low = "" if least is None else _number(least)
    high = "" if most is None else _number(most)
    if low and high:
        return f"{low} to {high}"
    parts = (
        f"{low} or more" if low else "",
        f"above {_number(above)}" if above is not None else "",
        f"{high} or less" if high else "",
        f"below {_number(below)}" if below is not None else "",
    )
    return ", ".join(filter(None, parts))


def _number(value: float) -> str:
    """A number as text; thousands of large integers are separated by spaces."""
    return (
        f"{value:,}".replace(",", " ")
        if isinstance(value, int) and value >= 10_000
        else f"{value:g}".replace("e-0", "e-")
    )


def _plain(value: object) -> object:
    """A default with tuples as lists and paths as text."""
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def _commented(setting: str, text: str) -> list[str]:
    """The lines of a setting with its explanation wrapped beside it."""
    column = max(COMMENT_COLUMN, len(setting) + 2)
    wrapped = textwrap.wrap(text, WIDTH - column - 2)
    first = f"{setting:<{column}}# {wrapped[0]}"
    return [first, *(f"  #{' ' * (column - 3)}# {line}" for line in wrapped[1:])]


def _wrapped(prefix: str, text: str) -> list[str]:
    return [prefix + line for line in textwrap.wrap(" ".join(text.split()), WIDTH - len(prefix))]


def _entry_lines(indent: str, rows: Iterable[tuple[str, str]], examples: Mapping[str, str]) -> Iterator[str]:
    """The lines that show an entry of a list: an example of each setting, and its explanation beside it."""
    column = 44
    for number, (key, text) in enumerate(rows):
        example = f"{indent}{'  ' if number else '- '}{key}: {examples[key]}"
        wrapped = textwrap.wrap(text, WIDTH - column)
        yield f"{example:<{column - 1}} {wrapped[0]}"
        yield from (f"{indent.rstrip():<{column}}{line}" for line in wrapped[1:])
