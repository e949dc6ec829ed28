"""How long the segments of a playlist are, by the sound that comes between two requests for one."""

from __future__ import annotations

from collections import deque

RECENT = 3  # segments whose lengths are known: a server may change them


class SegmentLengths:
    """Measures the newest segments. Sound is given in seconds since the connection was made."""

    def __init__(self) -> None:
        self._requests, self._requested_s = 0, 0.0  # requests so far, and the sound when the newest was noticed
        self._lengths_s = deque[float](maxlen=RECENT)

    def note(self, requests: int, sound_s: float) -> None:
        """Takes note of the number of requests so far, and of the sound so far."""
        if requests > self._requests:
            if sound_s > self._requested_s:  # otherwise what was asked for before had no sound
                self._lengths_s.append((sound_s - self._requested_s) / (requests - self._requests))
            self._requests, self._requested_s = requests, sound_s

    def longest_s(self, sound_s: float) -> float:
        """Length of the longest of the newest segments in seconds, of which the last may still be arriving."""
        return max(sound_s - self._requested_s, *self._lengths_s, 0.0)
