"""Sum, number and maximum of values that come part by part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from monitor.core.types import DoubleArray, FloatArray


@dataclass(slots=True)
class RunningValues:
    """Sum, number and maximum of values; those that are NaN do not count."""

    total: float = 0.0
    count: int = 0
    highest: float = math.nan

    @classmethod
    def of(cls, values: FloatArray | DoubleArray) -> Self:
        """Those of values (n,)."""
        known = values[values == values]
        return cls(float(known.sum(dtype=float)), len(known), float(known.max())) if len(known) else cls()

    def add(self, other: RunningValues) -> None:
        """Adds others."""
        self.total += other.total
        self.count += other.count
        self.highest = other.highest if math.isnan(self.highest) else max(self.highest, other.highest)

    @property
    def mean(self) -> float:
        """Their mean; NaN if there are none."""
        return self.total / self.count if self.count else math.nan
