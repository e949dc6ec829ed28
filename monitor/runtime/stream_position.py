"""Where a stream is in its recording."""

from __future__ import annotations

import time

from monitor.config.schema import Features
from monitor.runtime.stream_input import StreamInput


class StreamPosition:
    """The end of the samples that have been taken of a recording, with the times in it that were not heard.

    Args:
        stream_input: the input of the stream.
        features: settings of the frames.
    """

    def __init__(self, stream_input: StreamInput, features: Features) -> None:
        self.samples = 0  # of the recording, at the sample rate of the model
        self._input, self._rate, self._hop_s = stream_input, features.sample_rate, features.hop_s

    @property
    def seconds(self) -> float:
        """Seconds of the recording."""
        return self.samples / self._rate

    def skip(self, seconds: float) -> None:
        """Goes on after a time that was not heard."""
        self.samples += round(seconds * self._rate)

    def frame(self, begun: int = 0) -> int:
        """The number of the frame at whose centre the present hop begins, of which `begun` samples were taken."""
        return round((self.samples - begun) / self._rate / self._hop_s)

    def captured_at(self, position_s: float) -> float:
        """The Unix time at which a device recorded a position of the stream.

        It is computed from the age of the sample whenever it is needed, so it is right after the system's clock was
        set, and it does not drift with the clock of the sound card.
        """
        return time.time() - self._input.newest_s_ago - (self.seconds - position_s)
