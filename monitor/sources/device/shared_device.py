"""One microphone that several streams listen to: opened once, and read by each at its own pace."""

from __future__ import annotations

from collections import deque

from monitor.config.schema import Channel
from monitor.core.errors import MonitorError
from monitor.sources.device.microphone import Microphone
from monitor.audio.ring_buffer import RingReader
from monitor.sources.source import Mark


class SharedMicrophone:
    """One stream's part of a microphone, as a Source.

    The microphone starts with the first of its streams, and stops with the last.
    """

    speed = 1.0
    live = True

    def __init__(self, microphone: Microphone, channel: Channel) -> None:
        """Takes one of the channels that the microphone was asked for."""
        self.channel = channel
        self._microphone, self._marks = microphone, deque[Mark]()
        self._reader = RingReader(microphone.ring)
        microphone.listeners += 1
        self._listening = True

    @property
    def name(self) -> str:
        """Of the device, and the channel of it."""
        return f"{self._microphone.name}, {'all channels' if self.channel == 'mix' else f'channel {self.channel}'}"

    @property
    def ring(self) -> RingReader:
        """This stream's place in the microphone's ring: another one where the microphone has been opened anew."""
        ring = self._microphone.ring
        if self._reader.ring is not ring:
            self._reader = RingReader(ring)
        return self._reader

    @property
    def marks(self) -> deque[Mark]:
        """That it has ended, where the microphone has."""
        if self._microphone.marks and not self._marks:
            self._marks.extend(self._microphone.marks)
        return self._marks

    @property
    def sample_rate(self) -> int:
        """Of the stream that is open."""
        return self._microphone.sample_rate

    @property
    def lost_since(self) -> float | None:
        """Since when there is no sound, on the monotonic clock."""
        return self._microphone.lost_since

    @property
    def overflows(self) -> int:
        """How often the device said that it lost samples."""
        return self._microphone.overflows

    @property
    def error(self) -> MonitorError | None:
        """What ended the microphone early."""
        return self._microphone.error

    def start(self) -> None:
        """Begins to look for the device, once for all streams."""
        self._microphone.start()

    def stop(self) -> None:
        """Ends this stream; the last one ends the microphone."""
        if self._listening:
            self._listening = False
            self._microphone.listeners -= 1
        if self._microphone.listeners == 0:
            self._microphone.stop()
