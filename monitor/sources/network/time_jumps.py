"""Where the timestamps of a server say that sound is missing."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

KEPT = 1000  # jumps that are remembered: far more than occur between two looks of a stream


@dataclass(frozen=True, slots=True)
class TimeJump:
    """Missing sound just before the absolute sample `index` of a ring."""

    index: int
    seconds: float


class TimeJumps:
    """The jumps of the timestamps of one ring. One thread adds to them, and any number of streams read them.

    Args:
        trusted: whether the server has timestamps that count samples, so that what they do not say did not happen.
            Without them only the time of arrival can tell that sound is missing.
    """

    def __init__(self, *, trusted: bool = False) -> None:
        self.trusted = trusted
        self._jumps: deque[TimeJump] = deque(maxlen=KEPT)

    def add(self, index: int, seconds: float) -> None:
        """To be called before the sample at `index` is written."""
        self._jumps.append(TimeJump(index, seconds))

    def after(self, index: int) -> TimeJump | None:
        """The first jump behind the sample `index`, None if there is none yet."""
        jumps = self._jumps
        if not jumps or jumps[-1].index <= index:
            return None
        return next((jump for jump in tuple(jumps) if jump.index > index), None)
