"""Detects gaps: samples that a device never delivered, or delivered late in a burst.

No audio library reports these gaps in a status flag, so the number of samples written to the ring is compared with the
monotonic clock. The device's own clock may deviate by up to 0.1 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from monitor.audio.ring_buffer import RingReader

STALL_S = 0.5  # time without samples that is a stall; devices deliver portions of up to 0.1 s
PROBE_S = 0.25  # interval over which the rate of delivery is measured after a stall
BURST = 2.0  # times real time: a faster delivery is a burst
MISSING_S = 0.1  # a gap without a stall is reported if at least this much sound is missing
CLOCK_ERROR = 1e-3  # maximum deviation of a sound card's clock
BUCKET_S = 1.0  # the minimum offset is taken over this time, because portions arrive irregularly


@dataclass(frozen=True, slots=True)
class Interruption:
    """A time span without sound that can be scored; times are those of the monotonic clock."""

    kind: str  # "gap", "lost" or "no signal"
    began: float
    ended: float | None  # None if it is ongoing


class GapDetector:
    """Detects gaps in the samples of one ring. After a stall samples are ignored until they arrive in real time again.

    Args:
        reader: a reader of the ring.
        sample_rate: sample rate of the ring in Hz.
    """

    def __init__(self, reader: RingReader, sample_rate: int) -> None:
        self._reader, self._rate = reader, sample_rate
        self.settling = False  # after a stall: the samples that arrive now are late, and must be discarded
        self.began = 0.0  # beginning of the gap before it
        self._written, self._written_at = reader.written, 0.0
        self._probe = (0.0, 0)
        self.restart()

    def restart(self) -> None:
        """Forgets the usual offset between the clock and the number of samples."""
        self._usual_offset = math.nan  # offset = time of arrival - samples / rate: its minimum while there are no gaps
        self._bucket_min = math.inf  # minimum offset in the current bucket
        self._bucket_end = 0.0

    def check(self, now: float) -> Interruption | None:
        """Checks the samples that have arrived since the last call; returns a gap that has ended, or None."""
        written, written_at = self._reader.written, self._reader.written_at
        if self.settling:
            return self._settle(now, written)
        if written == self._written:
            return None
        stalled = self._written_at and written_at - self._written_at > STALL_S
        if stalled:
            self.settling, self.began = True, self._written_at
            self._probe = (now, written)
        self._written, self._written_at = written, written_at
        return None if stalled else self._compare(written_at, written_at - written / self._rate)

    def overflowed(self, now: float) -> Interruption:
        """Returns the gap after the device has reported lost samples; its length is estimated from the clock."""
        late = self._written_at - self._written / self._rate - self._usual_offset
        missing = max(0.0, late) if math.isfinite(late) else 0.0
        self.restart()
        return Interruption("gap", now - missing, now)

    def _settle(self, now: float, written: int) -> Interruption | None:
        """Returns the gap as soon as samples arrive in real time again."""
        since, before = self._probe
        if now - since < PROBE_S:
            return None
        self._probe = (now, written)
        if not 0 < written - before <= BURST * self._rate * (now - since):
            return None
        self.settling = False
        self._written, self._written_at = written, self._reader.written_at
        self.restart()
        return Interruption("gap", self.began, now)

    def _compare(self, at: float, offset: float) -> Interruption | None:
        """Compares the minimum offset of each bucket with the usual one; returns a gap if samples are missing."""
        self._bucket_min = min(self._bucket_min, offset)
        if at < self._bucket_end:
            return None
        least, self._bucket_min = self._bucket_min, math.inf
        first, self._bucket_end = not self._bucket_end, at + BUCKET_S
        if first:
            return None
        if not math.isfinite(self._usual_offset):
            self._usual_offset = least
        missing = least - self._usual_offset
        if missing > MISSING_S:
            self._usual_offset = least
            return Interruption("gap", at - missing, at)
        allowed = CLOCK_ERROR * BUCKET_S
        drift = min(max(missing, -allowed), allowed)  # of the device's clock
        self._usual_offset = least if missing < -MISSING_S else self._usual_offset + drift
        return None
