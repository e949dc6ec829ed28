"""Detects gaps: samples that a device never delivered.

No audio library reports gaps in a status flag, so the number of samples written to the ring is compared with the
monotonic clock. The device's own clock may deviate by up to 0.1 %. Samples that arrive late are no gap: after a stall,
because the computer was busy or the sound server stopped for a moment, a complete backlog usually arrives in a burst.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from monitor.audio.ring_buffer import RingReader

STALL_S = 0.5  # time without samples that is a stall; devices deliver portions of up to 0.1 s
PROBE_S = 0.25  # interval over which the rate of delivery is measured after a stall
BURST = 2.0  # times real time: a faster delivery is a burst, and the backlog is not complete yet
MISSING_S = 0.1  # a gap without a stall is reported if at least this much sound is missing
CLOCK_ERROR = 1e-3  # maximum deviation of a sound card's clock
BUCKET_S = 1.0  # the minimum offset is taken over this time, because portions arrive irregularly


@dataclass(frozen=True, slots=True)
class Interruption:
    """A time span without sound that can be scored; times are those of the monotonic clock."""

    kind: str  # "gap", "lost" or "no signal"
    began: float
    ended: float | None  # None if it is ongoing


class Gaps(Protocol):
    """Detects gaps in the samples of one ring, as `monitor.sources.stream_health.StreamHealth` uses it."""

    @property
    def held_from(self) -> int | None:
        """The absolute index of the first sample that must not be read yet; None if all may be read."""

    def restart(self) -> None:
        """Forgets what is usual, and holds no samples."""

    def check(self, now: float) -> Interruption | None:
        """Checks the samples that have arrived since the last call; returns a gap that has ended, or None."""

    def overflowed(self, now: float) -> Interruption:
        """Returns the gap after the device has reported lost samples."""


class GapDetector:
    """Detects gaps in the samples of a sound card (`Gaps`).

    The offset is the time of arrival minus the number of samples divided by the sample rate. While no samples are
    missing, its minimum is constant; each missing second raises it by a second. After a stall, the samples from then
    on are held until the backlog has arrived, because only then it is known whether some are missing before them.

    Args:
        reader: a reader of the ring.
        sample_rate: sample rate of the ring in Hz.
    """

    def __init__(self, reader: RingReader, sample_rate: int) -> None:
        self._reader, self._rate = reader, sample_rate
        self.held_from: int | None = None  # absolute index of the first sample after a stall; None: all may be read
        self._stalled_at, self._least = 0.0, math.inf  # begin of the stall; smallest offset since then
        self._written, self._written_at = reader.written, 0.0
        self._probe = (0.0, 0)
        self.restart()

    def restart(self) -> None:
        """Forgets the usual offset, and holds no samples."""
        self._usual_offset = math.nan  # minimum offset while there are no gaps
        self._bucket_min = math.inf  # minimum offset in the current bucket
        self._bucket_end = 0.0
        self.held_from = None

    def check(self, now: float) -> Interruption | None:
        """Checks the samples that have arrived since the last call; returns a gap, or None.

        The gap after a stall is before the sample `held_from` (before the call): it is only returned when all samples
        before that one have been read.
        """
        ring = self._reader.ring
        written, written_at = ring.written, ring.written_at
        if self.held_from is not None:
            return self._release(now, written, written_at)
        if written == self._written:
            return None
        before, before_at = self._written, self._written_at
        self._written, self._written_at = written, written_at
        offset = written_at - written / self._rate
        if not before_at or written_at - before_at <= STALL_S:
            return self._compare(written_at, offset)
        if offset - self._usual_offset <= MISSING_S:  # this thread was delayed, not the samples
            return None
        # Samples may have arrived, and been read, just after the last check: they are from before the stall.
        self.held_from, self._stalled_at, self._least = max(before, self._reader.read), before_at, offset
        self._probe = (now, written)
        return None

    def overflowed(self, now: float) -> Interruption:
        """Returns the gap after the device has reported lost samples; its length is estimated from the clock."""
        late = self._written_at - self._written / self._rate - self._usual_offset
        missing = max(0.0, late) if math.isfinite(late) else 0.0
        self.restart()
        return Interruption("gap", now - missing, now)

    def _release(self, now: float, written: int, written_at: float) -> Interruption | None:
        """Ends the hold when the backlog is complete, or when samples arrive in real time again; returns the gap."""
        assert self.held_from is not None
        if written != self._written:
            self._least = min(self._least, written_at - written / self._rate)
            self._written, self._written_at = written, written_at
        missing = self._missing_s()
        complete = math.isfinite(self._usual_offset) and missing <= MISSING_S
        since, before = self._probe
        if not complete:
            if now - since < PROBE_S:
                return None
            self._probe = (now, written)
            if not 0 < written - before <= BURST * self._rate * (now - since):
                return None
        if missing <= MISSING_S:
            self.held_from = None
            return None
        if self._reader.read < self.held_from:
            return None
        gap = Interruption("gap", self._stalled_at, self._stalled_at + missing)
        self.restart()
        return gap

    def _missing_s(self) -> float:
        """Seconds that are missing since the stall. If the usual offset is unknown, the one at the stall counts."""
        assert self.held_from is not None
        usual = self._usual_offset
        if not math.isfinite(usual):
            usual = self._stalled_at - self.held_from / self._rate
        return self._least - usual

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
