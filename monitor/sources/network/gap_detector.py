"""Detects gaps in the sound of a network: by the timestamps of the server where it has any, and by the clock."""

from __future__ import annotations

from monitor.audio.ring_buffer import RingReader
from monitor.sources.gap_detector import Interruption
from monitor.sources.network.late_sound import LateSound
from monitor.sources.network.time_jumps import TimeJumps

KEPT_SHARE = 0.5  # share of the ring that sound in doubt may fill


class NetworkGapDetector:
    """Detects gaps in the samples of one ring (a `monitor.sources.gap_detector.Gaps`).

    Sound behind a gap, or of which it is not known yet whether it is, must not be read before the gap was returned.

    Args:
        reader: a reader of the ring.
        sample_rate: sample rate of the ring in Hz.
        jumps: where the timestamps of the server say that sound is missing.
    """

    def __init__(self, reader: RingReader, sample_rate: int, jumps: TimeJumps) -> None:
        self._reader, self._rate, self._jumps = reader, sample_rate, jumps
        self.restart()

    def restart(self) -> None:
        """Forgets the usual time of arrival and all that has arrived, and holds no samples."""
        self._written, self._written_at = self._reader.written, self._reader.written_at
        self._counted, self._jumped_s = self._written, 0.0  # jumps up to this index are in the position, with this sum
        self._passed = self._reader.read  # jumps up to this index were returned, or are before what is read
        longest_s = KEPT_SHARE * self._reader.ring.capacity / self._rate
        self._late = LateSound(stamped=self._jumps.trusted, longest_doubt_s=longest_s)
        self._doubted_from: int | None = None  # index of the first sample in doubt
        self._late_since = 0.0  # arrival of the last sample before it
        self._missing_s = 0.0  # before it, once that is known

    @property
    def held_from(self) -> int | None:
        """The absolute index of the first sample that must not be read yet; None if all may be read."""
        jump = self._jumps.after(self._passed)
        held = [index for index in (self._doubted_from, jump.index if jump else None) if index is not None]
        return min(held, default=None)

    def check(self, now: float) -> Interruption | None:  # noqa: ARG002 - of the interface
        """Checks the samples that have arrived since the last call; returns a gap, or None.

        The gap is before the sample `held_from` (before the call): it is only returned when all samples before that one
        have been read. `now` is on the monotonic clock.
        """
        written, written_at = self._reader.written, self._reader.written_at
        if written != self._written and not self._missing_s:
            self._arrive(written, written_at)
        jump = self._jumps.after(self._passed)
        if jump is not None and jump.index <= min(self._reader.read, written - 1):
            self._passed = jump.index
            end = self._written_at - (self._written - jump.index) / self._rate
            return Interruption("gap", end - jump.seconds, end)
        if self._missing_s and self._doubted_from is not None and self._reader.read >= self._doubted_from:
            gap = Interruption("gap", self._late_since, self._late_since + self._missing_s)
            self._doubted_from, self._missing_s = None, 0.0
            return gap
        return None

    def overflowed(self, now: float) -> Interruption:
        """Returns a gap of unknown length after samples were lost on this computer."""
        self.restart()
        return Interruption("gap", now, now)

    def _arrive(self, written: int, written_at: float) -> None:
        """Takes note of samples that have arrived."""
        before, before_at = self._written, self._written_at
        self._written, self._written_at = written, written_at
        while (jump := self._jumps.after(self._counted)) is not None and jump.index < written:
            self._counted = jump.index
            self._jumped_s += jump.seconds
        self._missing_s = self._late.arrive(written_at, written / self._rate + self._jumped_s)
        if self._late.in_doubt and self._doubted_from is None:
            # Samples may have arrived, and been read, just after the last check: they are from before the delay.
            self._doubted_from, self._late_since = max(before, self._reader.read), before_at
        elif not self._late.in_doubt and not self._missing_s:
            self._doubted_from = None
