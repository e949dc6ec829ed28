"""The order in which streams are shown: the worst on top, with hysteresis, so that rows seldom change places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from monitor.core.events import State
from monitor.core.snapshot import Snapshot

STATES = (
    State.ANOMALY, State.LOST, State.NO_SIGNAL, State.WARNING, State.LISTENING, State.OFF, State.NORMAL,
)  # fmt: skip
_WORSE = 1.25  # a stream moves up when its share of the limit is so many times that of the one above


def worst(snapshots: Sequence[Snapshot]) -> State:
    """The state that needs attention most."""
    return min((shown.state for shown in snapshots), key=STATES.index)


def counts(snapshots: Sequence[Snapshot]) -> list[tuple[State, int]]:
    """How many streams are in each state, the worst first, without the states that no stream is in."""
    found = Counter(shown.state for shown in snapshots)
    return [(state, found[state]) for state in STATES if found[state]]


def _highest(snapshot: Snapshot) -> float:
    """The highest score of the last minute as a share of the threshold, 0 where there is none."""
    history = snapshot.score_history[np.isfinite(snapshot.score_history)]
    return float(history.max()) / snapshot.threshold if len(history) and snapshot.threshold > 0 else 0.0


class Ranking:
    """Keeps the order of streams from frame to frame, and changes it only where one is clearly worse than another."""

    def __init__(self) -> None:
        self._order: list[int] = []

    def order(self, snapshots: Sequence[Snapshot]) -> list[int]:
        """The numbers of the streams, the worst first: by state, then by the worst score of the last minute."""
        if len(self._order) != len(snapshots):
            self._order = list(range(len(snapshots)))
        self._order.sort(key=lambda number: STATES.index(snapshots[number].state))
        highest = [_highest(shown) for shown in snapshots]
        order, moved = self._order, True
        while moved:
            moved = False
            for place in range(1, len(order)):
                above, below = order[place - 1], order[place]
                same = snapshots[above].state is snapshots[below].state
                if same and highest[below] > _WORSE * highest[above]:
                    order[place - 1], order[place] = below, above
                    moved = True
        return list(order)
