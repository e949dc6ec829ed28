"""How a viewer wants the screen to be drawn; the rest is in the Snapshot."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from monitor.dashboard.render.axis import Scales
from monitor.store.records import MinuteValues

Overlay = Literal["", "help", "details"]


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """How much time the charts show."""

    name: str
    seconds: float
    step_s: float  # of the values that are read from the store for it; 0 for the minute that is in the Snapshot


TIME_SPANS = (
    TimeSpan("1 min", 60.0, 0.0),
    TimeSpan("1 h", 3600.0, 60.0),
    TimeSpan("24 h", 86_400.0, 300.0),
    TimeSpan("30 d", 30 * 86_400.0, 7200.0),
)


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
    time_span: TimeSpan = TIME_SPANS[0]  # of the charts
    stored: MinuteValues | None = None  # values of the time span, unless that is the last minute
    stored_note: str = ""  # why there are none, or that they are old
    scales: Scales = field(default_factory=Scales, compare=False, repr=False)
