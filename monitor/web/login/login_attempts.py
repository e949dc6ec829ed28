"""Wrong passwords make the next attempt wait: for a user from an address, for an address, and for a user."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

WINDOW_S = 300.0
# So many attempts are free within the window. A user may also be tried from many addresses at once; that limit is
# higher, because somebody who uses it up locks out the user.
BY_BOTH, BY_ADDRESS, BY_USER = 5, 20, 50
KEPT = 10_000  # addresses and users that are remembered; the oldest are forgotten first

Key = tuple[str, str]


class LoginAttempts:
    """Counts attempts to log in. Any thread may use it.

    An attempt counts when it begins, so that many at once are not tried all. One with the right password does not
    count. Each attempt is forgotten after `WINDOW_S` seconds.

    Args:
        clock: the monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: OrderedDict[Key, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, address: str, name: str) -> float:
        """Begins an attempt; returns 0 if it may be made, else the seconds to wait."""
        now = self._clock()
        with self._lock:
            waits = [0.0]
            for key, most in _keys(address, name):
                times = [one for one in self._times.get(key, ()) if now - one < WINDOW_S]
                if len(times) >= most:
                    waits.append(times[-most] + WINDOW_S - now)
            wait_s = max(waits)
            if wait_s > 0:
                return wait_s
            for key, most in _keys(address, name):
                self._times[key] = [*self._times.pop(key, ()), now][-most:]
            while len(self._times) > KEPT:
                self._times.popitem(last=False)
            return 0.0

    def forgive(self, address: str, name: str) -> None:
        """Takes back the newest attempt, because the password was right, or could not be looked up."""
        with self._lock:
            for key, _ in _keys(address, name):
                if times := self._times.get(key):
                    times.pop()

    def __len__(self) -> int:
        """How many addresses and users are remembered."""
        return len(self._times)


def _keys(address: str, name: str) -> tuple[tuple[Key, int], ...]:
    return ((address, name), BY_BOTH), ((address, ""), BY_ADDRESS), (("", name), BY_USER)
