"""A source that shares one microphone with other streams; each reads its own channel at its own position."""

from __future__ import annotations

from collections import deque

from monitor.audio.ring_buffer import RingReader
from monitor.config.setting_types import Channel
from monitor.core.errors import ConfigError, MonitorError
from monitor.sources.channels import has_channel, no_channel
from monitor.sources.device.recorded_device import RecordedDevice
from monitor.sources.gap_detector import Gaps
from monitor.sources.source import Mark


class MicrophoneSource:
    """The source of one stream of a microphone (a `monitor.sources.source.Source`).

    The microphone starts with the first of its streams, and stops with the last. A stream that is added while the
    microphone is open hears what comes from then on. If the device turns out not to have the channel, only this stream
    ends; if it comes back without a channel that it had, only this stream is lost until it has it again.

    Args:
        microphone: the microphone, or the source in the network.
        channel: one of the channels that the microphone was created with.

    Raises:
        DataError: if the microphone does not record this channel.
        MonitorError: if its last stream has left it.
    """

    speed = 1.0
    live = True

    def __init__(self, microphone: RecordedDevice, channel: Channel) -> None:
        self.channel = channel
        self._microphone, self._marks = microphone, deque[Mark]()
        self._reader = RingReader(microphone.ring, channel)
        self._reader.read = self._reader.written
        if not microphone.join():
            raise MonitorError(f"{microphone.name}: is being closed.")
        self._listening = True
        self._no_channel: ConfigError | None = None  # once the device has turned out not to have the channel

    @property
    def name(self) -> str:
        """Name of the device, with the channel if several streams share the device."""
        if self._microphone.listeners <= 1:
            return self._microphone.name
        return f"{self._microphone.name}, {'all channels' if self.channel == 'mix' else f'channel {self.channel}'}"

    @property
    def reader(self) -> RingReader:
        """The stream's reader of the microphone's ring; a new one after the microphone has been reopened."""
        ring = self._microphone.ring
        if self._reader.ring is not ring and has_channel(self.channel, ring.samples.shape[1]):
            self._reader = RingReader(ring, self.channel)
        return self._reader

    @property
    def marks(self) -> deque[Mark]:
        """The mark "end" once the microphone has ended, or this stream, because its channel is not there."""
        if not self._marks:
            if self._microphone.marks:
                self._marks.extend(self._microphone.marks)
            elif self._lacks_channel and self.error is not None:
                self._marks.append(Mark(-1, "end"))
        return self._marks

    @property
    def sample_rate(self) -> int:
        """Sample rate of the open device stream in Hz."""
        return self._microphone.sample_rate

    @property
    def lost_since(self) -> float | None:
        """Time on the monotonic clock since which the microphone, or its channel, is lost; None if it is not lost."""
        lost_since = self._microphone.lost_since
        if lost_since is None and self._lacks_channel:
            return self._microphone.was_lost_since
        return lost_since

    @property
    def overflows(self) -> int:
        """How often the device has reported lost samples."""
        return self._microphone.overflows

    @property
    def clock_ppm(self) -> float:
        """By how much the clock of the device is fast, in parts per million; NaN if that is not measured."""
        return self._microphone.clock_ppm

    def gap_detector(self, reader: RingReader, sample_rate: int) -> Gaps:
        """A detector of gaps for this kind of device."""
        return self._microphone.gap_detector(reader, sample_rate)

    @property
    def error(self) -> MonitorError | None:
        """The error that ended the microphone, or this stream, early."""
        if self._no_channel is None and self._lacks_channel and not self._reader.ring.written:  # it was never heard
            device = self._microphone
            self._no_channel = ConfigError(no_channel(device.name, self.channel, device.channels))
        return self._no_channel or self._microphone.error

    @property
    def microphone(self) -> RecordedDevice:
        """The shared microphone."""
        return self._microphone

    def start(self) -> None:
        """Starts the microphone, unless another stream has started it."""
        self._microphone.start()

    def stop(self) -> None:
        """Ends this stream; the last stream stops the microphone."""
        if self._listening:
            self._listening = False
            self._microphone.leave()

    @property
    def _lacks_channel(self) -> bool:
        """Whether the open device does not have the channel."""
        ring = self._microphone.ring
        return self._reader.ring is not ring and not has_channel(self.channel, ring.samples.shape[1])
