"""A source in the network that stands where a microphone stands: received into a ring, watched and reconnected."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from monitor.audio.ring_buffer import RingReader
from monitor.config.setting_types import Channel
from monitor.config.sources import Audio
from monitor.core.errors import ConfigError, MonitorError, SourceLost
from monitor.sources.channels import has_channel, no_channel
from monitor.sources.device.channel_watch import ChannelWatch
from monitor.sources.device.recorded_device import RecordedDevice
from monitor.sources.gap_detector import Gaps
from monitor.sources.network.address import Address
from monitor.sources.network.clock_drift import ClockDrift
from monitor.sources.network.gap_detector import NetworkGapDetector
from monitor.sources.network.network_stream import FIRST_SOUND_S, FormChanged, NetworkStream
from monitor.sources.network.time_jumps import TimeJumps
from monitor.sources.source import Mark

STILL_S = 1.5  # without sound for this long a source is lost
CONNECTING_S = 5.0  # a source that has delivered no sound for this long since the start is lost
GIVE_UP_S = 8.0  # a connection without sound for this long is ended: the other side may not exist any more
NO_SEGMENT_S = 30.0  # the same where sound comes in segments: a server that was restarted may number them anew
BACK_OFF_S = (0.3, 0.7, 1.5, 3.0, 5.0)  # waiting times between attempts to reconnect; the last one is repeated
REFUSED_S = 30.0  # the same after a wrong password: some cameras lock users out
MAX_REASONS = 10  # reasons of failures in a row that are logged
STEADY_S = 10.0  # a connection that lasted for this long does not count as a failed attempt
SILENT, STOPPED = "sends no sound", "the sound has stopped"
_TICK_S = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a connection ended."""

    newest: float | None  # time of its newest sound on the monotonic clock; None if there was none
    reason: str  # a sentence
    refused: bool = False  # whether the server does not accept the password


class NetworkDevice(RecordedDevice):
    """Receives a source in the network into a ring, on one thread, and reconnects it.

    Args:
        settings: settings of the group `audio`; `device` is an address.
        sample_rate: sample rate of the model in Hz, until that of the source is known.
        channels: channels that will be read from the ring: numbers, or "mix" for the mean of all.
        end_when_lost: end with SourceLost instead of waiting for the source.

    Raises:
        ConfigError: if the address cannot be read.
    """

    only_one = False

    def __init__(
        self, settings: Audio, sample_rate: int, channels: Sequence[Channel], *, end_when_lost: bool = False
    ) -> None:
        self.address = Address.parse(settings.device)
        super().__init__(settings, self.address.public, sample_rate, channels, end_when_lost=end_when_lost)
        self._columns = None if "mix" in channels else self.ring.samples.shape[1]
        self._stream: NetworkStream | None = None
        self._clock = ClockDrift()
        self._form = ""  # codec, sample rate and channels of the newest connection with sound, in words

    def stop(self) -> None:
        """Ends the connection."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(3.0)

    def gap_detector(self, reader: RingReader, sample_rate: int) -> Gaps:
        """A detector of gaps in the ring of a connection."""
        stream = self._stream
        jumps = stream.jumps if stream is not None and stream.ring is reader.ring else TimeJumps()
        return NetworkGapDetector(reader, sample_rate, jumps)

    @property
    def clock_ppm(self) -> float:
        """By how much the clock of the sender is fast, in parts per million; NaN if it is not known yet."""
        error = self._clock.error  # the thread may change it
        return error.ppm if error is not None else math.nan

    @property
    def stream(self) -> NetworkStream | None:
        """The connection that delivers sound; None while the source is lost."""
        return self._stream

    def _run(self) -> None:
        since, attempt = time.monotonic(), 0
        logged = set[str]()  # reasons of failures in a row: a server may fail in turns, for weeks
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                ended = self._listen(since)
                if self._stopping.is_set():
                    return
                since = since if ended.newest is None else ended.newest
                self._mark_lost(since, ended.reason)
                if since - began > STEADY_S:
                    attempt = 0
                    logged.clear()
                if ended.reason not in logged and len(logged) < MAX_REASONS:
                    log.warning("%s Waiting for it.", ended.reason)
                    logged.add(ended.reason)
                self._stopping.wait(REFUSED_S if ended.refused else BACK_OFF_S[min(attempt, len(BACK_OFF_S) - 1)])
                attempt += 1
        except MonitorError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - the stream must not end without a word
            self.error = MonitorError(f"{self.name}: an unforeseen error, {type(error).__name__}.")
        finally:
            self._stream = None
            self.marks.append(Mark(-1, "end"))

    def _listen(self, since: float) -> _Ended:
        """Connects, and receives sound until it ends; the source has been lost since `since`.

        Raises:
            SourceLost: if it is lost, and is not to be waited for.
            MonitorError: if it can never be received with these settings, or on this computer.
        """
        try:
            stream = NetworkStream(self.address, self._columns, self.settings.buffer_s)
        except SourceLost as error:  # this computer has no process or file left for it now
            return _Ended(None, str(error))
        self._clock.restart()
        newest: float | None = None  # time of the newest sound
        due = stream.opened_at + FIRST_SOUND_S
        channels: ChannelWatch | None = None
        try:
            while not self._stopping.is_set():
                count = stream.receive(_TICK_S)
                now = time.monotonic()
                if count:
                    if self._stream is None or self.lost_since is not None:
                        self._adopt(stream)
                    if newest is None and "mix" in self._channels:
                        channels = ChannelWatch(self.ring, self.sample_rate, now)
                    # Where sound comes in segments, ffmpeg looks for the next one by itself; a new connection would
                    # bring the newest one once more.
                    newest, due = now, now + (NO_SEGMENT_S if self.address.in_segments else GIVE_UP_S)
                    if self._clock.observe(self.ring.written_at, stream.position_s) and (news := self._clock.news()):
                        log.info("%s: the sender's clock is %s.", self.name, news)
                elif stream.ended:
                    return _Ended(newest, f"{self.name}: {stream.why()}.", stream.log.refused)
                elif now > due:
                    return _Ended(newest, f"{self.name}: {SILENT if newest is None else STOPPED}.")
                elif newest is not None and now - newest > STILL_S + stream.pause_s:
                    self._mark_lost(newest, f"{self.name}: {STOPPED}.")
                elif newest is None and not self._end_when_lost and now - since > CONNECTING_S:
                    self._mark_lost(since, f"{self.name}: {SILENT}.")
                if channels is not None and (note := channels.check(now)):
                    log.warning("%s: %s", self.name, note)
        except (_NoChannel, FormChanged) as error:
            if isinstance(error, _NoChannel) and not self._form:
                raise ConfigError(*error.messages) from None
            return _Ended(newest, str(error))
        finally:
            self._stream = None
            stream.close()
        return _Ended(newest, "")

    def _adopt(self, stream: NetworkStream) -> None:
        """Makes this the connection that is read, or goes on with it after it was silent.

        Raises:
            _NoChannel: if it has no channel that a stream needs.
        """
        assert stream.ring is not None
        if not any(has_channel(channel, stream.channels) for channel in self._channels):
            raise _NoChannel(no_channel(self.name, self._channels[0], stream.channels))
        if self._stream is not stream:
            before, self._form = self._form, stream.form
            if before and before != self._form:
                log.warning("%s: sends %s now, and not %s as before.", self.name, self._form, before)
            else:
                log.info("%s: %s%s.", self.name, "is back: " if before else "", self._form)
        else:
            log.info("%s: is back.", self.name)
        self._stream = stream
        self._read_from(stream.ring, stream.sample_rate, stream.channels)

    def _mark_lost(self, since: float, reason: str) -> None:
        if self._end_when_lost:
            raise SourceLost(reason)
        if self.lost_since is None:
            self.lost_since = since if math.isfinite(since) else time.monotonic()


class _NoChannel(SourceLost):
    """The source has none of the channels that its streams need."""
