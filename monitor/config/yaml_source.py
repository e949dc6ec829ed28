"""YAML read as plain text values, each with its place in the file.

YAML 1.1 guesses types: `1e-3` becomes a string, `22:00` becomes 1320, `on` becomes True, and of two equal keys
the last wins silently. Here every scalar stays the text that was written, and the settings' own types decide.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from monitor.core.errors import ConfigError

MAX_CHARACTERS = 1_000_000
Mark = str  # "config.yaml:3:7", or the command line's own words


def read_marked(file: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], Mark]]:
    """Reads a file of groups of settings.

    Returns:
        the tree, with text at its leaves, and for every path of keys the place of its key in the file.

    Raises:
        ConfigError: if the file is missing or no YAML, or a key stands twice; with line and column.
    """
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(MAX_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{file}: cannot be read: {reason}.") from None
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(f"{file}: is far too long for a settings file.")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        raise ConfigError(f"{place}: this is not YAML: {error.problem or error.context}.") from None
    except RecursionError:
        raise ConfigError(f"{file}: this is not a settings file: its brackets are nested without end.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: this is not YAML: {' '.join(str(error).split())}.") from None
    marks: dict[tuple[str, ...], Mark] = {}
    if root is None:
        return {}, marks
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(
            f"{file}:1:1: settings are written in groups, such as `features:` with `n_fft: 512` below it."
        )
    tree = _plain(root, (), str(file), marks, set())
    assert isinstance(tree, dict)
    return tree, marks


def _plain(
    node: yaml.Node, path: tuple[str, ...], file: str, marks: dict[tuple[str, ...], Mark], seen: set[int]
) -> dict[str, Any] | list[Any] | str:
    # An alias gives the same node again: a few of them can stand for a tree of any size.
    if id(node) in seen:
        raise ConfigError(
            f"{_place(file, node)}: anchors and aliases (& and *) are not read here; write the value out."
        )
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            marks[(*path, str(i))] = _place(file, item)
        return [_plain(item, (*path, str(i)), file, marks, seen) for i, item in enumerate(node.value)]
    assert isinstance(node, yaml.MappingNode)
    tree: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(f"{_place(file, key_node)}: a setting's name is a word.")
        key = str(key_node.value)
        here = (*path, key)
        if key in tree:
            raise ConfigError(f"{_place(file, key_node)}: {'.'.join(here)} stands twice (first at {marks[here]}).")
        marks[here] = _place(file, key_node)
        empty_group = isinstance(value_node, yaml.ScalarNode) and value_node.value == "" and not path
        tree[key] = {} if empty_group else _plain(value_node, here, file, marks, seen)
    return tree


def _place(file: str, node: yaml.Node) -> Mark:
    return f"{file}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
