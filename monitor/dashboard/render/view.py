"""How a viewer wants the screen to be drawn; the rest is in the Snapshot."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from monitor.dashboard.render.axis import Scales

Overlay = Literal["", "help", "details"]


@dataclass(frozen=True)
class View:
    """Options of the viewer, and what the viewer has asked for."""

    paused: bool = False
    ascii: bool = False
    colour: bool = True
    message: str = ""  # stands in the last row
    overlay: Overlay = ""  # covers all but the state
    sort: str = "state"  # what the table is sorted by
    filter: str = ""  # the table shows only streams whose names contain this
    typing: bool = False  # whether the filter is being typed
    today: tuple[tuple[int, float], ...] = ()  # of each stream: anomalies, and seconds not heard, since midnight
    acknowledged: frozenset[str] = frozenset()  # ids of anomalies that somebody has seen
    now: float = math.nan  # Unix time, for the clock; NaN shows none
    scales: Scales = field(default_factory=Scales, compare=False, repr=False)
