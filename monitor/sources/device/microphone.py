"""A microphone as a Source: opened, watched by its index, and opened again when it has gone."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from monitor.sources.device.portaudio import Capture, UnfitRate, in_use, portaudio, reinitialise
from monitor.config.schema import Audio, Channel
from monitor.sources.device.devices import Device, choose, input_devices
from monitor.core.errors import MonitorError, SourceLost
from monitor.audio.ring_buffer import SampleRing
from monitor.sources.device.pulse_routing import RoutingWatch
from monitor.sources.source import Mark

STILL_S = 1.0  # without a sample: LOST
FIRST_SOUND_S = 3.0  # that a stream just opened may take to bring its first samples
BACK_OFF_S = (0.2, 0.5, 1.0, 1.5)  # between attempts, the last one again and again
_TICK_S = 0.05
_CLOSING_S = 0.5


class Microphone:
    """Writes what a device hears into a ring, on the audio library's thread; another thread watches over it.

    `ring` and `sample_rate` are those of the stream that is open, and change together, while `lost_since` is set:
    a device that comes back may come back with another rate. `lost_since` is when the sound stopped, on the
    monotonic clock, None while there is sound.

    Args:
        settings: of the group `audio`; `device` is a name, a part of one, a number, or empty for the system's choice.
        sample_rate: the rate to ask for first, that of the model.
        channel: which of the device's channels will be wanted of the ring, or "mix" for all; or several of these.
        end_when_lost: the source ends with SourceLost instead of waiting for the device.
        notice: is told what happens, a sentence at a time, on a thread of the microphone's.
        only_one: no other device is recorded by this process. Otherwise it is not checked whether the sound server puts
            another in its place, because the server does not say which of a process's streams is whose.
    """

    speed = 1.0
    live = True

    def __init__(
        self,
        settings: Audio,
        sample_rate: int,
        channel: Channel | Sequence[Channel],
        *,
        end_when_lost: bool = False,
        notice: Callable[[str], None] = lambda _: None,
        only_one: bool = True,
    ) -> None:
        self.marks: deque[Mark] = deque()
        self.error: MonitorError | None = None
        self.lost_since: float | None = None
        self.sample_rate = settings.device_rate or sample_rate
        self._channels: tuple[Channel, ...] = (channel,) if isinstance(channel, str | int) else tuple(channel)
        self.channel = self._channels[0]
        columns = 1 if self.channel == "mix" else self.channel + 1
        self.ring = SampleRing(self.sample_rate, columns)  # nothing comes into it: the first stream brings its own
        self.name = settings.device or "microphone"
        self._settings, self._end_when_lost, self._only_one = settings, end_when_lost, only_one
        self._notice = notice
        self._capture: Capture | None = None
        self._device: Device | None = None  # the one that was opened first: from then on the one that is meant
        self._routing = RoutingWatch()
        self._overflows = 0  # of streams that have been closed
        self.listeners = 0  # that share it
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="microphone", daemon=True)

    def start(self) -> None:
        """Begins to look for the device; returns at once. Of several who share it each may say so."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Ends. What a stalled sound server holds up is left behind: `monitor.sources.device.portaudio.anything_open` tells."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(2 * _CLOSING_S + 1.0)

    @property
    def overflows(self) -> int:
        """How often the device said that it lost samples."""
        return self._overflows + (self._capture.writer.overflows if self._capture else 0)

    @property
    def capture(self) -> Capture | None:
        """The stream that is heard, None while there is none."""
        return self._capture

    def _run(self) -> None:
        began = time.monotonic()
        try:
            portaudio()
            while not self._stopping.is_set():
                self._seek(began)
                if self._capture is not None:
                    began = self._attend(self._capture)
        except MonitorError as error:
            self.error = error
        finally:
            self._routing.end()
            if self._capture is not None:
                self._capture.close(_CLOSING_S)
            self.marks.append(Mark(-1, "end"))

    def _seek(self, since: float) -> None:
        """Tries to open the device until it is heard; it has not been since `since`."""
        attempt = 0
        told = ""
        while not self._stopping.is_set():
            reason = self._attempt(since, attempt)
            if self._capture is not None or self._stopping.is_set():
                return
            self._lose(since, reason)
            if reason != told:
                self._notice(f"{reason} Waiting for it.")
                told = reason
            self._stopping.wait(BACK_OFF_S[min(attempt, len(BACK_OFF_S) - 1)])
            attempt += 1

    def _attempt(self, since: float, attempt: int) -> str:
        """Opens the device and waits for its sound; "" if it is heard, else why not."""
        opening = _Opening(lambda: self._open(anew=attempt > 0 or self._device is not None))
        try:
            while not opening.done.wait(_TICK_S):
                # A sound server that does not answer holds it up, for as long as it likes.
                if time.monotonic() - since > STILL_S:
                    self._lose(since, f"{self.name}: the sound system does not answer.")
                if self._stopping.is_set():
                    return ""
        finally:
            if not opening.done.is_set():
                opening.abandon()
        capture = opening.capture
        if capture is None:
            error = opening.error
            if self._device is None and not isinstance(error, SourceLost):
                raise error if isinstance(error, MonitorError) else MonitorError(f"{self.name}: {error}")
            return str(error)
        due = time.monotonic() + FIRST_SOUND_S
        while not capture.ring.written and time.monotonic() < due and not self._stopping.wait(_TICK_S):
            if time.monotonic() - since > STILL_S + 0.5:
                self._lose(since, f"{self.name}: is open, but brings no sound.")
        heard = capture.ring.written > 0
        if heard and (not self._only_one or self._routing.accept()):
            self._hear(capture)
            return ""
        capture.close(_CLOSING_S)
        if heard:
            return f"{self.name}: the sound system offers another microphone in the place of {self._routing.source}."
        return f"{self.name}: is open, but brings no sound."

    def _open(self, *, anew: bool) -> Capture:
        """The device, open. Runs on a thread that may be left behind."""
        if anew:
            reinitialise()
        with in_use():
            return self._open_first()

    def _open_first(self) -> Capture:
        """The device, open at the first of the rates that it records at."""
        wanted = self._device.name if self._device else self._settings.device
        device = choose(input_devices(), wanted)
        channels = max(device.needed_channels(channel) for channel in self._channels)
        settings = self._settings
        asked = settings.device_rate or self.sample_rate
        rates = (asked,) if settings.device_rate else tuple(dict.fromkeys((asked, device.default_rate)))
        for last, rate in enumerate(rates, 1):
            try:
                capture = Capture(
                    device.index, device.name, rate, channels, latency_s=settings.latency_s,
                    block_s=settings.block_ms / 1000, buffer_s=settings.buffer_s,
                )  # fmt: skip
            except UnfitRate:
                if last == len(rates):
                    raise
            else:
                self._opened = device
                return capture
        raise AssertionError("there is a rate to ask for")

    def _hear(self, capture: Capture) -> None:
        self._device, self.name = self._opened, self._opened.name
        self.sample_rate, self._capture = capture.sample_rate, capture
        self.ring = capture.ring  # after its rate: who sees the new ring takes the rate with it
        if self.lost_since is not None:
            self._notice(f"{self.name}: is back.")
        else:
            self._notice(
                f"{self.name}: {capture.sample_rate} samples a second, {capture.channels} channel(s)"
                f"{f', from {self._routing.source}' if self._routing.source else ''}."
            )
        self.lost_since = None

    def _attend(self, capture: Capture) -> float:
        """Returns when the sound has stopped coming, or is another's: since when."""
        ring = capture.ring
        seen, still, looked = ring.written, 0.0, time.monotonic()
        while not self._stopping.wait(_TICK_S):
            now = time.monotonic()
            # Where this process itself was stopped, the sound may well have gone on.
            still += min(now - looked, 2 * _TICK_S)
            looked = now
            if ring.written != seen:
                seen, still = ring.written, 0.0
            if still < STILL_S and not self._routing.switched:
                continue
            since = ring.written_at if still >= STILL_S else now
            self._lose(since, f"{self.name}: " + (
                "no sound comes any more." if still >= STILL_S else "the system put another microphone in its place."
            ))  # fmt: skip
            self._routing.end()
            self._overflows += capture.writer.overflows
            self._capture = None
            capture.close(_CLOSING_S)
            return since
        return math.inf

    def _lose(self, since: float, reason: str) -> None:
        if self._end_when_lost:
            raise SourceLost(reason)
        if self.lost_since is None:
            self.lost_since = since


class _Opening:
    """An attempt to open a device, on a thread of its own that may never return."""

    def __init__(self, open_it: Callable[[], Capture]) -> None:
        self.capture: Capture | None = None
        self.error: Exception | None = None
        self.done = threading.Event()
        self._abandoned = False
        threading.Thread(target=self._run, args=(open_it,), name="opening a device", daemon=True).start()

    def abandon(self) -> None:
        """Nobody waits for it any more: what it may still open, it closes."""
        self._abandoned = True
        if self.capture is not None:
            self.capture.close(0)

    def _run(self, open_it: Callable[[], Capture]) -> None:
        try:
            capture = open_it()
        except Exception as error:  # noqa: BLE001 - it is the waiting thread's to judge
            self.error = error
        else:
            self.capture = capture
            if self._abandoned:
                capture.close(0)
        self.done.set()
