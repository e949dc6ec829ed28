"""In which order streams are shown: the worst on top, and no two that change places at every moment."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from monitor.core.snapshot import Snapshot, State

STATES = (
    State.ANOMALY, State.LOST, State.NO_SIGNAL, State.WARNING, State.LISTENING, State.OFF, State.NORMAL,
)  # fmt: skip
_WORSE = 1.25  # times the other's score against its threshold: less is no reason to change places


def worst(snapshots: Sequence[Snapshot]) -> State:
    """The state that most needs somebody."""
    return min((shown.state for shown in snapshots), key=STATES.index)


def counts(snapshots: Sequence[Snapshot]) -> list[tuple[State, int]]:
    """How many streams are in each state that any is in, the worst first."""
    found = Counter(shown.state for shown in snapshots)
    return [(state, found[state]) for state in STATES if found[state]]


def times_threshold(snapshot: Snapshot) -> float:
    """The score as a multiple of its threshold, NaN where there is none."""
    return snapshot.score / snapshot.threshold if snapshot.threshold > 0 else math.nan


def _loudest(snapshot: Snapshot) -> float:
    """The highest score of the last minute as a multiple of the threshold, 0 where there is none."""
    history = snapshot.score_history[np.isfinite(snapshot.score_history)]
    return float(history.max()) / snapshot.threshold if len(history) and snapshot.threshold > 0 else 0.0


class Ranking:
    """Keeps the order of streams from one look to the next, and changes it only where it is clearly another."""

    def __init__(self) -> None:
        self._order: list[int] = []

    def order(self, snapshots: Sequence[Snapshot]) -> list[int]:
        """The numbers of the streams, the worst first: by state, then by the worst score of the last minute."""
        if len(self._order) != len(snapshots):
            self._order = list(range(len(snapshots)))
        self._order.sort(key=lambda number: STATES.index(snapshots[number].state))
        loudest = [_loudest(shown) for shown in snapshots]
        order, moved = self._order, True
        while moved:
            moved = False
            for place in range(1, len(order)):
                above, below = order[place - 1], order[place]
                same = snapshots[above].state is snapshots[below].state
                if same and loudest[below] > _WORSE * loudest[above]:
                    order[place - 1], order[place] = below, above
                    moved = True
        return list(order)
