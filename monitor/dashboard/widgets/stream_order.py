"""The order in which streams are shown. Rows change places only for a reason that the user sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from monitor.core.events import State
from monitor.core.snapshot import Snapshot
from monitor.dashboard.widgets.reason import is_acknowledged

STATES = (
    State.ANOMALY, State.LOST, State.NO_SIGNAL, State.OVERLOADED, State.WARNING, State.NEW_MODE, State.LISTENING,
    State.OFF, State.NORMAL,
)  # fmt: skip
SORTS = ("state", "name", "share of limit")  # what streams can be sorted by
_WORSE = 1.25  # by share: a stream moves up when its share is so many times that of the one above


def severity(snapshot: Snapshot, acknowledged: Collection[str] = ()) -> float:
    """The place of a stream's state, the worst first; an acknowledged anomaly comes after the warnings."""
    if is_acknowledged(snapshot, acknowledged):
        return STATES.index(State.WARNING) + 0.5
    return STATES.index(snapshot.state)


def worst(snapshots: Sequence[Snapshot], acknowledged: Collection[str] = ()) -> State:
    """The state that needs attention most."""
    return min(snapshots, key=lambda shown: severity(shown, acknowledged)).state


def counts(snapshots: Sequence[Snapshot]) -> list[tuple[State, int]]:
    """How many streams are in each state, the worst first, without the states that no stream is in."""
    found = Counter(shown.state for shown in snapshots)
    return [(state, found[state]) for state in STATES if found[state]]


class Ranking:
    """The order of streams, from frame to frame."""

    def __init__(self) -> None:
        self._by_share: list[int] = []

    def order(
        self, snapshots: Sequence[Snapshot], sort: str = "state", acknowledged: Collection[str] = ()
    ) -> list[int]:
        """The numbers of the streams, the worst first.

        Args:
            snapshots: one of each stream, as in the settings.
            sort: one of SORTS. Streams in the same state stay in the order of the settings.
            acknowledged: ids of anomalies that somebody has seen.
        """
        numbers = range(len(snapshots))
        if sort == "name":
            return sorted(numbers, key=lambda number: (snapshots[number].stream.casefold(), number))
        if sort == "state":
            return sorted(numbers, key=lambda number: severity(snapshots[number], acknowledged))
        return self._sorted_by_share(snapshots)

    def _sorted_by_share(self, snapshots: Sequence[Snapshot]) -> list[int]:
        """The highest share of the limit first; two change places only if one is clearly higher than the other."""
        if len(self._by_share) != len(snapshots):
            self._by_share = list(range(len(snapshots)))
        shares = [max(shown.share_of_limit, 0.0) if shown.share_of_limit > 0 else 0.0 for shown in snapshots]
        order, moved = self._by_share, True
        while moved:
            moved = False
            for place in range(1, len(order)):
                above, below = order[place - 1], order[place]
                if shares[below] > _WORSE * shares[above]:
                    order[place - 1], order[place] = below, above
                    moved = True
        return list(order)
