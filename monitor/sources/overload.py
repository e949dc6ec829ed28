"""Detects that a large part of a live stream is not heard, because samples are missing again and again."""

from __future__ import annotations

from collections import deque

PERIOD_S = 60.0  # the share is that of the last minute
OVERLOADED_SHARE = 0.1  # a stream is overloaded from this share of missing time on,
RECOVERED_SHARE = 0.02  # until it is below this one


class Overload:
    """Measures which share of the last minute was missing in gaps. Times are those of the monotonic clock in seconds.

    A source that is lost or silent is not overloaded: that time must not be added.
    """

    def __init__(self) -> None:
        self.active = False
        self.missing_s = 0.0  # since the beginning of the present overload; before one, in the last minute
        self._gaps: deque[tuple[float, float]] = deque()  # end and length of each gap in the last minute

    @property
    def quiet(self) -> bool:
        """Whether `active` cannot change before there is another gap."""
        return not self._gaps and not self.active

    def add_gap(self, ended: float, seconds: float) -> None:
        """Adds a gap."""
        self._gaps.append((ended, seconds))
        self.missing_s += seconds

    def check(self, now: float) -> bool:
        """Returns whether `active` has changed."""
        if self.quiet:
            return False
        while self._gaps and self._gaps[0][0] < now - PERIOD_S:
            self._gaps.popleft()
        recent = sum(seconds for _, seconds in self._gaps)
        if not self.active:
            self.missing_s = recent
        before, limit = self.active, RECOVERED_SHARE if self.active else OVERLOADED_SHARE
        self.active = recent >= limit * PERIOD_S
        return self.active != before
