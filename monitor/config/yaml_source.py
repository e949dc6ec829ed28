"""Reads YAML with all values as text, and the location of each key in the file.

YAML 1.1 guesses types (`1e-3` becomes a string, `22:00` becomes 1320, `on` becomes True), and of two equal keys the
last one wins silently. Here every scalar stays the text in the file, and the schema of the settings converts it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from monitor.core.errors import ConfigError
from monitor.core.special_files import special_file

MAX_CHARACTERS = 300_000  # some thousand streams; reading more would take many seconds
BEYOND_UNICODE = re.compile(r"\\U(?!0010|000)[0-9a-fA-F]{8}")  # an escape of more than the last character, 10FFFF
ADVICE = {  # what to do, by a part of the YAML library's message
    "mapping values are not allowed": ': a value with a colon has to be in quotes, as in device: "USB: Audio"',
    "'\\t'": ": use spaces instead of tabs",
    "found unexpected end of stream": ": a quote is not closed",
}
Location = str  # such as "config.yaml:3:7", or the `--set` option as written


def read_with_locations(file: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], Location]]:
    """Reads a settings file.

    Returns:
        the settings as a tree with text at its leaves, and the location in the file of each path of keys.

    Raises:
        ConfigError: if the file is missing, is not YAML, or has a key twice; with line and column.
    """
    try:
        if file != Path(os.devnull) and (kind := special_file(file)):
            raise ConfigError(f"{file}: is {kind}, not a settings file: give a file, such as config.yaml.")
        with file.open(encoding="utf-8") as opened:
            text = opened.read(MAX_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{file}: cannot be read: {reason}.") from None
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(f"{file}: is too long for a settings file.")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        reason = error.problem or error.context or ""
        raise ConfigError(f"{place}: this is not YAML: {reason}{_advice(reason)}.") from None
    except RecursionError:
        raise ConfigError(f"{file}: this is not a settings file: its brackets are nested too deep.") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # ValueError: an escape such as "\UFFFFFFFF"
        escape = BEYOND_UNICODE.search(text) if isinstance(error, ValueError | OverflowError) else None
        place = f"{file}:{text.count(chr(10), 0, escape.start()) + 1}" if escape else str(file)
        reason = f"{escape[0]} stands for no character" if escape else " ".join(str(error).split())
        raise ConfigError(f"{place}: this is not YAML: {reason}.") from None
    locations: dict[tuple[str, ...], Location] = {}
    if root is None:
        return {}, locations
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{file}:1:1: settings have to be in groups, such as `features:` with `n_fft: 512` below it.")
    tree = _as_text(root, (), str(file), locations, set())
    assert isinstance(tree, dict)
    return tree, locations


def _as_text(
    node: yaml.Node, path: tuple[str, ...], file: str, locations: dict[tuple[str, ...], Location], seen: set[int]
) -> dict[str, Any] | list[Any] | str:
    """The tree below a node with text at its leaves; adds the locations of its keys to `locations`."""
    # An alias is the same node again. A few aliases of aliases would make a tree of any size.
    if id(node) in seen:
        raise ConfigError(
            f"{_location(file, node)}: anchors and aliases (& and *) are not allowed: write the value out."
        )
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        return _joined(node.value, _location(file, node))
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            locations[(*path, str(i))] = _location(file, item)
        return [_as_text(item, (*path, str(i)), file, locations, seen) for i, item in enumerate(node.value)]
    assert isinstance(node, yaml.MappingNode)
    tree: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(f"{_location(file, key_node)}: the name of a setting has to be a word.")
        key = _joined(key_node.value, _location(file, key_node))
        key_path = (*path, key)
        if key in tree:
            raise ConfigError(
                f"{_location(file, key_node)}: {'.'.join(key_path)} is there twice (first at {locations[key_path]})."
            )
        locations[key_path] = _location(file, key_node)
        empty_group = isinstance(value_node, yaml.ScalarNode) and value_node.value == "" and not path
        tree[key] = {} if empty_group else _as_text(value_node, key_path, file, locations, seen)
    return tree


def _joined(text: str, place: Location) -> str:
    """The text with each pair of halves of a character as one: JSON writes characters beyond U+FFFF in halves."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise ConfigError(f"{place}: contains half a character (\\uD800 to \\uDFFF): write the whole one.") from None


def _advice(reason: str) -> str:
    return next((advice for part, advice in ADVICE.items() if part in reason), "")


def _location(file: str, node: yaml.Node) -> Location:
    return f"{file}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
