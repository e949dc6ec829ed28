"""Structured arrays whose rows are the fields of a dataclass: the state of many streams in arrays."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES = {"int": np.int64, "float": np.float64, "bool": np.bool_}


def records(of: type, count: int) -> NDArray[Any]:
    """`count` zeroed records with the fields of a dataclass of numbers: (count,), structured.

    `of(*records[i].item())` is row i, and `astuple` of it can be assigned to that row.
    """
    return np.zeros(count, np.dtype([(one.name, _TYPES[str(one.type)]) for one in fields(of)]))


def numbered(values: Sequence[Hashable]) -> NDArray[np.int64]:
    """A number for each of some values (n,), the same for equal ones."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int64)
