"""What the viewer, not the engine, decides of the screen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from monitor.dashboard.render.axis import Scales


@dataclass(frozen=True)
class View:
    """How it is shown, and what the viewer is told."""

    paused: bool = False
    ascii: bool = False
    colour: bool = True
    message: str = ""
    now: float = math.nan  # Unix time, for the clock; NaN shows none
    scales: Scales = field(default_factory=Scales, compare=False, repr=False)
