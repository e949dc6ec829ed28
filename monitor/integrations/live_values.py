"""The present values of a stream as other programs receive them: numbers, or None where nothing is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

from monitor.core.events import State
from monitor.core.snapshot import Snapshot

PROBLEMS = frozenset({State.ANOMALY, State.LOST, State.NO_SIGNAL, State.OVERLOADED})  # somebody has to look
SILENT = frozenset({State.LOST, State.NO_SIGNAL})  # no sound comes in, so the last values are of the past


@dataclass(frozen=True, slots=True)
class LiveValues:
    """The present values of a stream. None of the numbers is NaN or infinite.

    After the end of a stream, and while no sound comes in, there are no values of now: then those that describe the
    sound are None. They are also None before the first score.
    """

    state: State
    problem: bool  # whether the state is one that somebody has to look at
    heard: bool  # whether sound comes in
    share_of_limit: float | None  # above 1 is the alarm
    error: float | None  # rolling reconstruction error
    score: float | None  # anomaly score
    level_dbfs: float | None  # None for digital silence, too
    limit: float | None  # of the score
    error_limit: float | None  # of the reconstruction error

    @classmethod
    def of(cls, snapshot: Snapshot) -> LiveValues:
        """The values of a stream's newest snapshot."""
        heard = snapshot.state not in SILENT and not snapshot.finished

        def now(value: float) -> float | None:
            return finite(value) if heard else None

        return cls(
            state=snapshot.state,
            problem=snapshot.state in PROBLEMS,
            heard=heard,
            share_of_limit=now(snapshot.share_of_limit),
            error=now(snapshot.error),
            score=now(snapshot.score),
            level_dbfs=now(snapshot.level_dbfs),
            limit=finite(snapshot.threshold),
            error_limit=finite(snapshot.error_threshold),
        )


def finite(value: float) -> float | None:
    """The value, or None if it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None
