"""Measures how fast the clock of a sender runs, from the times at which its sound arrives."""

from __future__ import annotations

import math
from dataclasses import dataclass

BUCKET_S = 60.0  # the least delayed arrival of each minute counts: the others were delayed by the network
STEP_S = 0.1  # two minutes that differ by more are no matter of clocks: sound is missing, or takes another way
FORGOTTEN_S = 6 * 3600.0  # a minute of so long ago counts 1/e: clocks change with the temperature
KNOWN_PPM = 20.0  # standard error from which on the result is told
NEEDED = 10  # number of minutes without which the standard error means nothing


@dataclass(frozen=True, slots=True)
class ClockError:
    """By how much a sender's clock is fast (positive) or slow (negative)."""

    ppm: float  # parts per million: 100 are 8.6 s a day
    standard_error_ppm: float
    measured_s: float  # time over which it was measured

    def __str__(self) -> str:
        fast = "fast" if self.ppm > -0.5 else "slow"
        over = f"{self.measured_s / 3600:.1f} h" if self.measured_s >= 3600 else f"{self.measured_s / 60:.0f} min"
        known_to = max(1.0, 2 * self.standard_error_ppm)
        return f"{abs(self.ppm):.0f} ppm {fast} (±{known_to:.0f}, measured over {over})"


class ClockDrift:
    """Measures the clock of a sender against ours.

    The offset is the time of arrival minus the time that the sound takes by its number of samples. Of a sender whose
    clock is fast it falls. A line is fitted to the least offset of each minute, by least squares in which older minutes
    count less. Where the offset steps (sound was lost, a connection was made anew) another line with the same slope
    begins. So the result gets better for hours, across connections.

    `error` is the error of the sender's clock; None until it is known well enough.
    """

    def __init__(self) -> None:
        self.error: ClockError | None = None
        # Weighted sums within the lines: of squared times, of times by offsets, of squared offsets.
        self._tt = self._to = self._oo = 0.0
        self._measured, self._measured_s = 0, 0.0  # number of minutes that the sums stand for, unweighted; their time
        self._told_ppm = math.inf
        self._lines = self._minutes = 0.0  # numbers of lines and of minutes, weighted in the same way
        self.restart()

    def restart(self) -> None:
        """The sound that comes now does not continue that so far; what is known of the clock stays."""
        self._bucket_end = math.nan
        self._least, self._least_at = math.inf, 0.0
        self._newest, self._newest_at = math.nan, 0.0  # least offset of the minute before
        self._weight = self._mean_t = self._mean_o = 0.0  # of the present line

    def observe(self, at: float, position_s: float) -> bool:
        """Takes note of an arrival.

        Args:
            at: time of arrival on the monotonic clock.
            position_s: seconds of sound that have arrived since the connection was made, missing sound that is known
                included.

        Returns:
            whether a minute is complete, so that `error` may have changed.
        """
        offset = at - position_s
        if not at < self._bucket_end:
            complete = math.isfinite(self._least)
            if complete:
                self._end_bucket()
                self.error = self._estimate()
            self._bucket_end = at + BUCKET_S
            self._least, self._least_at = offset, at
            return complete
        if offset < self._least:
            self._least, self._least_at = offset, at
        return False

    def news(self) -> ClockError | None:
        """The error if it was not told before, or differs from what was told by more than it may be wrong."""
        error = self.error
        if error is None or abs(error.ppm - self._told_ppm) < 2 * KNOWN_PPM:
            return None
        self._told_ppm = error.ppm
        return error

    def _estimate(self) -> ClockError | None:
        if self._measured < NEEDED or not self._tt:
            return None
        slope = self._to / self._tt
        free = self._minutes - self._lines - 1.0
        if free <= 1.0:
            return None
        scatter = max(0.0, self._oo - slope * self._to) / free
        standard_error = 1e6 * math.sqrt(scatter / self._tt)
        if standard_error > KNOWN_PPM:
            return None
        return ClockError(-1e6 * slope, standard_error, self._measured_s)

    def _end_bucket(self) -> None:
        at, offset = self._least_at, self._least
        if math.isfinite(self._newest) and abs(offset - self._newest) > STEP_S:
            self._weight = self._mean_t = self._mean_o = 0.0
        since, self._newest_at, self._newest = at - self._newest_at, at, offset
        kept = math.exp(-BUCKET_S / FORGOTTEN_S)
        self._tt, self._to, self._oo = kept * self._tt, kept * self._to, kept * self._oo
        self._weight *= kept
        self._lines, self._minutes = kept * self._lines, kept * self._minutes + 1.0
        if not self._weight:
            self._lines += 1.0
        # Welford's update: sums about the means of the present line, which stay exact over months.
        self._weight += 1.0
        dt, do = at - self._mean_t, offset - self._mean_o
        if self._weight == 1.0:
            self._mean_t, self._mean_o = at, offset
            return
        self._mean_t += dt / self._weight
        self._mean_o += do / self._weight
        self._tt += dt * (at - self._mean_t)
        self._to += dt * (offset - self._mean_o)
        self._oo += do * (offset - self._mean_o)
        self._measured += 1
        self._measured_s += since
