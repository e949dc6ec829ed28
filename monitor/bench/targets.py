"""What the program is meant to reach: a measured value beside its aim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A measured value and its aim. Most are ratios of what ran in turn, because computers differ."""

    what: str
    measured: float
    aim: float
    unit: str = ""  # after the numbers, such as "ms" or "times librosa"
    at_most: bool = False  # whether the aim is an upper bound

    @property
    def met(self) -> bool:
        """Whether the aim is reached; not if nothing could be measured (NaN)."""
        return self.measured <= self.aim if self.at_most else self.measured >= self.aim


def target_lines(targets: Sequence[Target]) -> list[str]:
    """A line for each target: what, measured value, aim, and whether it is reached."""
    width = max((len(one.what) for one in targets), default=0)
    return [
        f"{one.what:{width}}  {_number(one.measured):>7} {one.unit}".rstrip()
        + f"  (aim: {'at most' if one.at_most else 'at least'} {_number(one.aim)}{'' if one.met else '; missed'})"
        for one in targets
    ]


def _number(value: float) -> str:
    """A value with about three digits."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
