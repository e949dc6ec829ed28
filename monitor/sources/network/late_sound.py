"""Decides from times of arrival alone whether sound that did not arrive in time is late or missing."""

from __future__ import annotations

import math

LATE_S = 0.17  # sound that is later than usual by more is in doubt
LATE_STAMPED_S = 3.0  # the same if the server's timestamps do not say that anything is missing
RESTLESS = 4.0  # the same in a restless network, as a multiple of the usual least lateness of a window
WINDOW_S = 1.5  # the least lateness in such a time counts, because packets are delayed irregularly
ARRIVALS = 5  # of at least so many: the least of a few irregular delays says nothing
APART_S = 0.01  # arrivals that are nearer are parts of one
SETTLED_S = 0.03  # two windows in a row that differ by less: the lateness has settled
DOUBT_S = 10.0  # longest time in doubt, if the lateness does not settle
CLOCK_ERROR = 2e-3  # seconds a second by which a sender's clock may be slow; it may be fast by any amount
_FORGOTTEN_S = 300.0  # after which the longest interval between arrivals counts 1/e
_SHARE = 0.1  # of a new window in the mean of windows


class LateSound:
    """Follows how late the sound of a network arrives. A state machine that has no clock of its own.

    The offset is the time of arrival minus the time that the sound takes by its number of samples. While nothing is
    missing, it is never less than on the quickest way through the network, and it returns to that after each delay:
    what was held up (by a router, by a retransmission, by a server that sends segments) arrives in a burst. Sound that
    is missing raises the offset for good. So sound that is late is in doubt until sound is as early as usual again, or
    until its lateness settles. The usual offset follows the sender's clock: it rises slowly, and falls at once.

    Args:
        stamped: whether the server's timestamps say what is missing. Then sound is in doubt only if it is very late.
        longest_doubt_s: by then it is decided, because sound in doubt has to be kept.
    """

    def __init__(self, *, stamped: bool = False, longest_doubt_s: float = math.inf) -> None:
        self._stamped, self._longest_doubt_s = stamped, longest_doubt_s
        self._usual = math.nan  # offset of sound that is not late
        self._at = math.nan  # newest arrival
        self._doubted_at: float | None = None
        self._interval_s = 0.0  # longest time between two arrivals in the last minutes
        self._restless_s = 0.0  # mean of the least lateness of windows without doubt
        self._window_began, self._arrivals = 0.0, 0
        self._least_s = math.inf  # least lateness of the present window
        self._before_s = math.nan  # that of the window before, in doubt

    @property
    def in_doubt(self) -> bool:
        """Whether it is not known yet whether sound is missing before that which arrived late."""
        return self._doubted_at is not None

    def arrive(self, at: float, position_s: float) -> float:
        """Takes note of an arrival.

        Args:
            at: time of arrival, in seconds on a clock that does not jump.
            position_s: seconds of sound up to the end of what has arrived, with what is known to be missing.

        Returns:
            seconds that are missing before the sound that was in doubt until now; 0 if there is nothing to say.
        """
        offset = at - position_s
        if math.isnan(self._usual):
            self._usual, self._at = offset, at
            self._begin_window(at)
            return 0.0
        since, self._at = at - self._at, at
        self._interval_s = max(since, self._interval_s * math.exp(-since / _FORGOTTEN_S))
        if self._doubted_at is None:
            self._usual = min(offset, self._usual + CLOCK_ERROR * since)
        late_s = offset - self._usual
        self._least_s = min(self._least_s, late_s)
        self._arrivals += since >= APART_S
        if self._doubted_at is not None:
            return self._decide(self._doubted_at, at, late_s)
        if late_s > self._allowed_s:
            self._doubted_at, self._before_s = at, math.nan
            self._begin_window(at)
            self._least_s = late_s
        elif self._window_complete(at):
            self._restless_s += _SHARE * (self._least_s - self._restless_s)
            self._begin_window(at)
        return 0.0

    def _decide(self, doubted_at: float, at: float, late_s: float) -> float:
        """Ends the doubt if it is known how much is missing, which is returned."""
        missing_s = 0.0
        if late_s > self._allowed_s:
            longest_s = min(max(DOUBT_S, 4 * self._window_s), self._longest_doubt_s)
            if at - doubted_at < longest_s:
                if not self._window_complete(at):
                    return 0.0
                if not abs(self._least_s - self._before_s) <= SETTLED_S:
                    self._before_s = self._least_s
                    self._begin_window(at)
                    return 0.0
            missing_s = self._least_s
        self._usual += missing_s
        self._doubted_at = None
        self._begin_window(at)
        return missing_s

    def _begin_window(self, at: float) -> None:
        self._window_began, self._least_s, self._arrivals = at, math.inf, 0

    def _window_complete(self, at: float) -> bool:
        return at - self._window_began >= self._window_s and self._arrivals >= ARRIVALS

    @property
    def _window_s(self) -> float:
        return max(WINDOW_S, 1.2 * self._interval_s) if self._stamped else WINDOW_S

    @property
    def _allowed_s(self) -> float:
        if self._stamped:
            return max(LATE_STAMPED_S, 1.5 * self._interval_s)
        return max(LATE_S, RESTLESS * self._restless_s)
