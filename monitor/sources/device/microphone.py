"""Opens a microphone, watches whether samples arrive, and reconnects it after a loss."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

from monitor.audio.ring_buffer import RingReader
from monitor.config.setting_types import Channel
from monitor.config.sources import Audio
from monitor.core.errors import MonitorError, SourceLost
from monitor.sources.channels import has_channel
from monitor.sources.device.channel_watch import ChannelWatch
from monitor.sources.device.devices import Device, choose, find_again, input_devices
from monitor.sources.device.portaudio import DeviceStream, UnsupportedRate, in_use, portaudio, reinitialise
from monitor.sources.device.pulse_routing import PulseRouting
from monitor.sources.device.recorded_device import RecordedDevice
from monitor.sources.gap_detector import GapDetector, Gaps
from monitor.sources.source import Mark

STILL_S = 1.0  # without samples for this long a microphone is lost
FIRST_SOUND_S = 3.0  # maximum time until a stream that was just opened delivers its first samples
BACK_OFF_S = (0.2, 0.5, 1.0, 1.5)  # waiting times between attempts to reconnect; the last one is repeated
_TICK_S = 0.05
_CLOSING_S = 0.5

log = logging.getLogger(__name__)


class Microphone(RecordedDevice):
    """Records a device into a ring, on the audio library's thread; a second thread watches and reconnects the device.

    Args:
        settings: settings of the group `audio`; `device` is a name, a part of a name, a number, or empty for the
            system's default device.
        sample_rate: sample rate of the model in Hz, which is tried first.
        channels: channels of the device that will be read from the ring: numbers, or "mix" for the mean of all.
        end_when_lost: end with SourceLost instead of waiting for the device.
        only_one: this process records from no other device. Otherwise, or once `only_one` is set to False, it is not
            checked whether the sound server replaces the device by another one, because the server does not say which
            of the process's streams belongs to which device.
        pin: as in `monitor.sources.device.pulse_routing.PulseRouting`.
    """

    def __init__(
        self,
        settings: Audio,
        sample_rate: int,
        channels: Sequence[Channel],
        *,
        end_when_lost: bool = False,
        only_one: bool = True,
        pin: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(
            settings, settings.device or "microphone", settings.device_rate or sample_rate, channels,
            end_when_lost=end_when_lost,
        )  # fmt: skip
        self.only_one = only_one
        self._stream: DeviceStream | None = None
        self._device: Device | None = None  # the device that was opened first; only this one is reconnected
        self._routing = PulseRouting(pin)
        self._overflows = 0  # number of overflows of the device streams that have been closed

    def stop(self) -> None:
        """Stops recording. The device stays open if a stalled sound server blocks its closing."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(2 * _CLOSING_S + 1.0)

    @property
    def overflows(self) -> int:
        """How often the device has reported lost samples."""
        return self._overflows + (self._stream.writer.overflows if self._stream else 0)

    def gap_detector(self, reader: RingReader, sample_rate: int) -> Gaps:
        """A detector of gaps in the ring of a device stream."""
        return GapDetector(reader, sample_rate)

    @property
    def stream(self) -> DeviceStream | None:
        """The open device stream; None while the device is lost."""
        return self._stream

    def _run(self) -> None:
        began = time.monotonic()
        try:
            portaudio()
            while not self._stopping.is_set():
                self._reconnect(began)
                if self._stream is not None:
                    began = self._watch(self._stream)
        except MonitorError as error:
            self.error = error
        finally:
            self._routing.end()
            if self._stream is not None:
                self._stream.close(_CLOSING_S)
            self.marks.append(Mark(-1, "end"))

    def _reconnect(self, since: float) -> None:
        """Tries to open the device until it delivers sound; it has been lost since `since`."""
        attempt = 0
        logged = ""
        while not self._stopping.is_set():
            reason = self._try_open(since, attempt)
            if self._stream is not None or self._stopping.is_set():
                return
            self._mark_lost(since, reason)
            if reason != logged:
                log.warning("%s Waiting for it.", reason)
                logged = reason
            self._stopping.wait(BACK_OFF_S[min(attempt, len(BACK_OFF_S) - 1)])
            attempt += 1

    def _try_open(self, since: float, attempt: int) -> str:
        """Opens the device and waits for its first samples; returns "" on success, else the reason of the failure."""
        opening = _Opening(lambda: self._open(again=attempt > 0 or self._device is not None))
        try:
            while not opening.done.wait(_TICK_S):
                # A sound server that does not answer blocks the opening for an unlimited time.
                if time.monotonic() - since > STILL_S:
                    self._mark_lost(since, f"{self.name}: the sound system does not answer.")
                if self._stopping.is_set():
                    return ""
        finally:
            if not opening.done.is_set():
                opening.abandon()
        stream = opening.stream
        if stream is None:
            error = opening.error
            if self._device is None and not isinstance(error, SourceLost):
                raise error if isinstance(error, MonitorError) else MonitorError(f"{self.name}: {error}")
            return str(error)
        due = time.monotonic() + FIRST_SOUND_S
        while not stream.ring.written and time.monotonic() < due and not self._stopping.wait(_TICK_S):
            if time.monotonic() - since > STILL_S + 0.5:
                self._mark_lost(since, f"{self.name}: is open, but delivers no sound.")
        delivers = stream.ring.written > 0
        if delivers and (not self.only_one or self._routing.accept()):
            self._adopt(stream)
            return ""
        stream.close(_CLOSING_S)
        if delivers:
            return f"{self.name}: the sound system provides another microphone instead of {self._routing.source}."
        return f"{self.name}: is open, but delivers no sound."

    def _open(self, *, again: bool) -> DeviceStream:
        """Opens the device. Runs on its own thread, because it may block."""
        if again:
            reinitialise()
        with in_use():
            return self._open_at_first_rate()

    def _open_at_first_rate(self) -> DeviceStream:
        """Opens the device at the first of the wanted sample rates that it supports."""
        devices = input_devices()
        device = find_again(devices, self._device) if self._device else choose(devices, self.settings.device)
        there = [channel for channel in self._channels if has_channel(channel, device.channels)]
        channels = max(device.needed_channels(channel) for channel in there or self._channels)
        settings = self.settings
        first = settings.device_rate or self.sample_rate
        rates = (first,) if settings.device_rate else tuple(dict.fromkeys((first, device.default_rate)))
        for number, rate in enumerate(rates, 1):
            try:
                stream = DeviceStream(
                    device.index, device.name, rate, channels, latency_s=settings.latency_s,
                    block_s=settings.block_ms / 1000, buffer_s=settings.buffer_s,
                )  # fmt: skip
            except UnsupportedRate:
                if number == len(rates):
                    raise
            else:
                self._opened = device
                return stream
        raise AssertionError("there is at least one rate")

    def _adopt(self, stream: DeviceStream) -> None:
        """Makes this the device stream that is read."""
        self._device, self.name = self._opened, self._opened.name
        self._stream = stream
        if self.lost_since is not None:
            log.info("%s: is back.", self.name)
        else:
            source = f", from {self._routing.source}" if self._routing.source else ""
            log.info(
                "%s: %d samples a second, %d channel(s)%s.", self.name, stream.sample_rate, stream.channels, source
            )
        self._read_from(stream.ring, stream.sample_rate, self._opened.channels)

    def _watch(self, stream: DeviceStream) -> float:
        """Waits until the sound stops or comes from another device; returns the time at which that happened."""
        ring = stream.ring
        written, still, checked = ring.written, 0.0, time.monotonic()
        channels = ChannelWatch(ring, stream.sample_rate, checked) if "mix" in self._channels else None
        while not self._stopping.wait(_TICK_S):
            now = time.monotonic()
            # If this process itself was suspended, the sound may have continued meanwhile.
            still += min(now - checked, 2 * _TICK_S)
            checked = now
            if channels is not None and (note := channels.check(now)):
                log.warning("%s: %s", self.name, note)
            if ring.written != written:
                written, still = ring.written, 0.0
            if still < STILL_S and not (self.only_one and self._routing.switched):
                continue
            stopped = still >= STILL_S
            since = ring.written_at if stopped else now
            reason = "the sound has stopped." if stopped else "the sound system replaced it by another microphone."
            self._mark_lost(since, f"{self.name}: {reason}")
            self._routing.end()
            self._overflows += stream.writer.overflows
            self._stream = None
            stream.close(_CLOSING_S)
            return since
        return math.inf

    def _mark_lost(self, since: float, reason: str) -> None:
        if self._end_when_lost:
            raise SourceLost(reason)
        if self.lost_since is None:
            self.lost_since = since


class _Opening:
    """An attempt to open a device, on its own thread, which may block for ever."""

    def __init__(self, open_it: Callable[[], DeviceStream]) -> None:
        self.stream: DeviceStream | None = None
        self.error: Exception | None = None
        self.done = threading.Event()
        self._abandoned = False
        threading.Thread(target=self._run, args=(open_it,), name="opening a device", daemon=True).start()

    def abandon(self) -> None:
        """Gives the attempt up: if the device is opened later, it is closed at once."""
        self._abandoned = True
        if self.stream is not None:
            self.stream.close(0)

    def _run(self, open_it: Callable[[], DeviceStream]) -> None:
        try:
            stream = open_it()
        except Exception as error:  # noqa: BLE001 - the waiting thread handles it
            self.error = error
        else:
            self.stream = stream
            if self._abandoned:
                stream.close(0)
        self.done.set()
