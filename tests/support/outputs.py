"""Scores and events for tests of sinks."""

from __future__ import annotations

from typing import Any

import numpy as np

from monitor.core.events import Event, ScoreRows, State


def score_rows(first: int = 0, count: int = 3, *, source: str = "pump.wav") -> ScoreRows:
    """Consecutive rows; their values identify the rows."""
    at = np.arange(first, first + count)
    return ScoreRows(
        source, first, 0.01, at / 7, at * 1e3 / 3, 12.5, State.NORMAL, at * 80 / 3, 1_700_000_000.0 + first * 0.01
    )


def anomaly(start_s: float = 1.5, end_s: float | None = 4.0, **facts: Any) -> Event:
    """An anomaly that has ended, or is ongoing if `end_s` is None."""
    stated = {"peak": 33.25, "mean": 21.5, "threshold": 12.5, "cause": "sudden", **facts}
    return Event("anomaly", start_s, end_s, **{"wall_time": 1_700_000_000.25, "source": "pump.wav", **stated})
