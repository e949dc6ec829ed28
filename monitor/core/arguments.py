"""Checks of arguments that come from other Python code: one sentence instead of an error from deep inside."""

from __future__ import annotations

import os
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path

from monitor.core.errors import ConfigError
from monitor.core.text import shortened


def wrong(name: str, wanted: str, value: object) -> ConfigError:
    """The error that says what an argument must be, and what it is instead."""
    return ConfigError(f"{name} must be {wanted}, not {shortened(repr(value))}.")


def is_number(value: object) -> bool:
    """Whether it is a real number, also one of numpy; a truth value is none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole_number(value: object) -> bool:
    """Whether it is a whole number, also one of numpy; a truth value is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def as_path(value: str | os.PathLike[str], name: str) -> Path:
    """A path.

    Args:
        value: as text, or as a path.
        name: of the argument, for the message.

    Raises:
        ConfigError: if it is neither.
    """
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
        raise wrong(name, "a path, as text or pathlib.Path", value)
    return Path(value)


def as_paths(values: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], name: str) -> list[Path]:
    """One or several paths as a list; arguments as for `as_path`.

    Raises:
        ConfigError: if they are no paths, or there is none.
    """
    if isinstance(values, str | os.PathLike) or not isinstance(values, Iterable):
        return [as_path(values, name)]
    found = [as_path(one, name) for one in values]
    if not found:
        raise ConfigError(f"{name}: no paths were given.")
    return found
