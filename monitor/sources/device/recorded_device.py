"""What all devices share that streams listen to: the microphones of this computer, and sources in the network."""

from __future__ import annotations

import abc
import logging
import math
import threading
from collections import deque
from collections.abc import Sequence

from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.config.setting_types import Channel
from monitor.config.sources import Audio
from monitor.core.errors import MonitorError
from monitor.core.free_memory import return_free_memory
from monitor.sources.channels import has_channel, no_channel
from monitor.sources.gap_detector import Gaps
from monitor.sources.source import Mark

log = logging.getLogger(__name__)


class RecordedDevice(abc.ABC):
    """A device that is recorded into a ring on a thread of its own, and reconnected after a loss.

    Streams read the ring through `monitor.sources.device.shared_device.MicrophoneSource`. `ring` and `sample_rate` are
    those of the open connection to the device. They change together, while `lost_since` is set, because a reconnected
    device may have another sample rate, or other channels. `lost_since` is the time on the monotonic clock at which the
    sound stopped; None while the device delivers sound.

    Args:
        settings: settings of the group `audio`, with the device.
        name: of the device, as it may be shown.
        sample_rate: in Hz, until that of the device is known.
        channels: channels of the device that will be read from the ring: numbers, or "mix" for the mean of all.
        end_when_lost: end with SourceLost instead of waiting for the device.
    """

    only_one: bool  # whether this process records from no other microphone of the sound system

    def __init__(
        self, settings: Audio, name: str, sample_rate: int, channels: Sequence[Channel], *, end_when_lost: bool
    ) -> None:
        self.settings, self.name, self.sample_rate = settings, name, sample_rate
        self.marks: deque[Mark] = deque()
        self.error: MonitorError | None = None
        self.lost_since: float | None = None
        self.was_lost_since: float | None = None  # the same of the last loss that has ended
        self._channels = tuple(channels)
        columns = max(1 if channel == "mix" else channel + 1 for channel in self._channels)
        self.ring = SampleRing(sample_rate, columns)  # stays empty: each connection has its own ring
        self.channels = columns  # of the device, once it is known; the ring has those that are needed and there
        self._end_when_lost = end_when_lost
        self.listeners = 0  # number of streams that share the device
        self._left = False  # whether the last of them has left
        self._joining = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="microphone", daemon=True)

    def records(self, channel: Channel) -> bool:
        """Whether a further stream can read this channel: it was asked for, or one with a higher number was."""
        numbers = [other for other in self._channels if other != "mix"]
        return channel in self._channels or (channel != "mix" and channel < max(numbers, default=0))

    def join(self) -> bool:
        """Adds a stream; returns False if the last one has left."""
        with self._joining:
            self.listeners += not self._left
            return not self._left

    def leave(self) -> None:
        """Removes a stream; the last one stops the device."""
        with self._joining:
            self.listeners -= 1
            self._left = self.listeners == 0
        if self._left:
            self.stop()

    def start(self) -> None:
        """Starts to open the device, and returns at once. Each stream that shares the device may call it."""
        if self._thread.ident is None:
            self._thread.start()

    @abc.abstractmethod
    def stop(self) -> None:
        """Stops recording. It returns soon, even if the device does not answer."""

    @property
    def overflows(self) -> int:
        """How often the device has reported lost samples."""
        return 0

    @property
    def clock_ppm(self) -> float:
        """By how much the clock of the device is fast, in parts per million; NaN if that is not measured."""
        return math.nan

    @abc.abstractmethod
    def gap_detector(self, reader: RingReader, sample_rate: int) -> Gaps:
        """A detector of gaps in the ring of a connection, whose sample rate in Hz is given."""

    def _read_from(self, ring: SampleRing, sample_rate: int, channels: int) -> None:
        """Goes on with the ring of a connection that delivers sound: the device is not lost any more.

        Args:
            ring: the ring.
            sample_rate: in Hz.
            channels: number of channels of the device. Streams whose channel is missing stay lost.
        """
        before = self.ring
        self.was_lost_since, self.channels = self.lost_since, channels
        self.sample_rate = sample_rate
        self.ring = ring  # after the rate, so that the new ring is never read with the old rate
        if self.lost_since is not None:
            return_free_memory()
        self.lost_since = None
        if before.written:  # otherwise the error of the stream says it
            for channel in set(self._channels):
                if has_channel(channel, before.samples.shape[1]) and not has_channel(channel, ring.samples.shape[1]):
                    log.warning("%s Until it is back, its stream is lost.", no_channel(self.name, channel, channels))

    @abc.abstractmethod
    def _run(self) -> None:
        """Opens, watches and reconnects the device until it is stopped. Ends with the mark "end"."""
