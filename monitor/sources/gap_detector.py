"""Whether sound comes as fast as time passes: what never came, or came in a burst, is seen by the clock alone.

No status flag of any audio library tells of it. Of a microphone the ring's index and the monotonic clock are compared;
the device's own clock may be wrong by a thousandth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from monitor.audio.ring_buffer import Readable

STALL_S = 0.5  # without a sample, after which what comes may have a hole in it; sound comes in portions of up to 0.1 s
PROBE_S = 0.25  # time in which it is seen whether a burst is over
BURST = 2.0  # times real time: more is a burst
MISSING_S = 0.1  # that have never come, which is told
CLOCK_ERROR = 1e-3  # of a sound card, at most
BUCKET_S = 1.0


@dataclass(frozen=True, slots=True)
class Hole:
    """Time of which there is no sound that could be judged. Times are of the monotonic clock."""

    kind: str  # "gap" or "lost"
    began: float
    ended: float | None  # None while it lasts


class Pace:
    """Watches one ring. After a stall nothing counts until the sound comes at its pace again."""

    def __init__(self, ring: Readable, sample_rate: int) -> None:
        self._ring, self._rate = ring, sample_rate
        self.settling = False  # what comes now is old, and to be thrown away
        self._began = 0.0
        self._seen, self._seen_at = ring.written, 0.0
        self._probe = (0.0, 0)
        self.restart()

    def restart(self) -> None:
        """Forgets how late the sound has been."""
        self._usual = math.nan  # the least time of arrival minus samples / rate: what it is without holes
        self._least = math.inf  # the same in this bucket
        self._bucket_end = 0.0

    def look(self, now: float) -> Hole | None:
        """What has come to be known since the last look: a hole that is over, or none."""
        written, written_at = self._ring.written, self._ring.written_at
        if self.settling:
            return self._settle(now, written)
        if written == self._seen:
            return None
        stalled = self._seen_at and written_at - self._seen_at > STALL_S
        if stalled:
            self.settling, self._began = True, self._seen_at
            self._probe = (now, written)
        self._seen, self._seen_at = written, written_at
        return None if stalled else self._compare(written_at, written_at - written / self._rate)

    def overflowed(self, now: float) -> Hole:
        """The device says that it lost samples: how many, as far as the clock tells."""
        late = self._seen_at - self._seen / self._rate - self._usual
        missing = max(0.0, late) if math.isfinite(late) else 0.0
        self.restart()
        return Hole("gap", now - missing, now)

    def _settle(self, now: float, written: int) -> Hole | None:
        since, before = self._probe
        if now - since < PROBE_S:
            return None
        self._probe = (now, written)
        if not 0 < written - before <= BURST * self._rate * (now - since):
            return None
        self.settling = False
        self._seen, self._seen_at = written, self._ring.written_at
        self.restart()
        return Hole("gap", self._began, now)

    def _compare(self, at: float, offset: float) -> Hole | None:
        self._least = min(self._least, offset)
        if at < self._bucket_end:
            return None
        least, self._least = self._least, math.inf
        first, self._bucket_end = not self._bucket_end, at + BUCKET_S
        if first:
            return None
        if not math.isfinite(self._usual):
            self._usual = least
        missing = least - self._usual
        if missing > MISSING_S:
            self._usual = least
            return Hole("gap", at - missing, at)
        allowed = CLOCK_ERROR * BUCKET_S
        self._usual = least if missing < -MISSING_S else self._usual + min(max(missing, -allowed), allowed)
        return None
