"""Finds missing sound in the times that a server gives to its sound."""

from __future__ import annotations

import math

MISSING_S = 0.1  # sound of less that is missing is no gap
CLOCK_ERROR = 2e-3  # by which a server's times, and its speed, may differ from the number of its samples
EARLY_S = 1.0  # sound that would be earlier than any before by more has not jumped: its times begin anew


class ServerTimes:
    """Compares the times of portions of sound with the number of their samples, and with ours.

    Where the times jump forward, sound is missing, if so much time has passed. It has not where a server begins to
    count anew: Icecast, where the beginning of a stream is followed by its present, or a server that goes on with
    another recording.
    """

    def __init__(self) -> None:
        self.missing_s = 0.0  # so far
        self._usual_offset = math.inf  # least offset of the server's times to the number of samples, in seconds
        self._least_late_s = math.inf  # least lateness of sound, with what is missing

    def portion(self, at: float, time_s: float, samples_s: float, length_s: float) -> float:
        """Takes note of a portion of sound.

        Args:
            at: time of arrival on the monotonic clock.
            time_s: the server's time of its first sample, in seconds.
            samples_s: seconds of sound before it, by the number of samples.
            length_s: its length by the number of samples.

        Returns:
            seconds that are missing before it, usually 0.
        """
        creep = CLOCK_ERROR * length_s  # times, samples and arrivals may come from different clocks
        late_s = at - samples_s - self.missing_s
        self._least_late_s = min(late_s, self._least_late_s + creep)
        offset = time_s - samples_s
        missing = offset - self._usual_offset
        if missing <= MISSING_S:
            self._usual_offset = min(offset, self._usual_offset + creep)
            return 0.0
        self._usual_offset = offset
        if late_s - missing < self._least_late_s - EARLY_S:
            return 0.0
        self.missing_s += missing
        return missing
