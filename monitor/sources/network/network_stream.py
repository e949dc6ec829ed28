"""One connection to a network source: its sound into a ring, the server's times of it, and why it ended."""

from __future__ import annotations

import contextlib
import math
import os
import re
import select
import time

import numpy as np

from monitor.audio.ring_buffer import SampleRing
from monitor.config.setting_types import MAX_CHANNELS, SAMPLE_RATES
from monitor.core.errors import MonitorError, SourceLost
from monitor.core.text import counted
from monitor.sources.network.address import Address
from monitor.sources.network.ffmpeg import FfmpegProcess
from monitor.sources.network.messages import MessageLog
from monitor.sources.network.segments import SegmentLengths
from monitor.sources.network.server_times import CLOCK_ERROR, ServerTimes
from monitor.sources.network.time_jumps import TimeJumps

FIRST_SOUND_S = 9.0  # a new connection without sound for this long is to be ended: nobody may be there
BLOCK = 1 << 16  # bytes that are read at a time: what a pipe holds
MAX_RING_BYTES = 100e6  # of one source, whatever rate and number of channels a server claims
AHEAD_SHARE = 0.8  # of the ring, that may arrive faster than it is played; then reading waits, and so does the sender
READ_S = 0.25  # longest sound that is read at a time
EVERY_S = 0.05  # time between two reads: with many sources, waking up for each packet would cost more than scoring
# A playlist without a new segment is read again after half the length of a segment, so that one may be so much late.
SEGMENTS_APART = 1.5
LONGEST_PAUSE_S = 18.0
SAMPLE_BYTES = 4  # of a float
_PORTION = re.compile(rb"0, *-?\d+, *(-?\d+), *(\d+), *(\d+), ")  # stream, dts, pts, duration, size
_BASE = re.compile(rb"#tb 0: (\d+)/(\d+)")
_RATE = re.compile(rb"#sample_rate 0: (\d+)")


class NetworkStream:
    """A connection, read by one thread with `receive`.

    Args:
        address: what is received.
        columns: channels to keep, from the first on, if there are so many; None: all.
        buffer_s: length of the ring in seconds.

    Raises:
        MonitorError: if ffmpeg is not installed.
        SourceLost: if it cannot be started now.
    """

    def __init__(self, address: Address, columns: int | None, buffer_s: float) -> None:
        self.address = address
        self.ring: SampleRing | None = None  # once the first sound has arrived
        self.sample_rate = self.channels = 0
        self.jumps = TimeJumps(trusted=address.has_times)
        self.log = MessageLog(address)
        self.opened_at = time.monotonic()
        self.ended = False  # whether nothing more can be received
        self._columns, self._buffer_s = columns, buffer_s
        self._announced = 0  # samples, of which the server's time is known
        self._server_times = ServerTimes()
        self._backlog_s, self._room_s = 0.0, math.inf  # sound that has arrived before its time; that the ring can take
        self._checked_at = self.opened_at
        self._segments = SegmentLengths()
        self._block, self._every_s = BLOCK, 0.0
        self._read_at = -math.inf
        self._rest = self._times_rest = b""
        self._seconds_per_tick = 0.0
        self._process = FfmpegProcess(address)
        self._poll = select.poll()
        for descriptor in (self._process.sound, self._process.messages):
            self._poll.register(descriptor, select.POLLIN)

    @property
    def pid(self) -> int:
        """Process id of ffmpeg."""
        return self._process.pid

    def receive(self, patience_s: float) -> int:
        """Waits for sound for at most so long, and writes what has arrived into the ring; returns the sample count.

        Raises:
            FormChanged: if the sound has another form than at the beginning, or one that is not possible.
        """
        wait_s = max(self._ahead_s(), self._read_at + self._every_s - time.monotonic())
        if wait_s > 0:
            time.sleep(min(wait_s, patience_s))
        ready = {one for one, _ in ([] if wait_s > patience_s else self._poll.poll(patience_s * 1000))}
        data = os.read(self._process.sound, self._block) if self._process.sound in ready else b""
        ended = self._process.sound in ready and not data
        if data:
            # Each line of times is written before its sound: after reading sound, the times of all of it can be read.
            self._read_times()
            self._read_at = time.monotonic()
        if ended or self._process.messages in ready:
            self._read_messages()
        count = self._write(data) if data else 0
        self._segments.note(self.log.segments, self._written_s)
        self.ended = ended or self.ended
        if self.log.changed:
            raise FormChanged(f"{self.address.public}: the sound has another form now, {self.log.changed}.")
        return count

    @property
    def form(self) -> str:
        """Codec, sample rate and channels in words."""
        return form_text(self.log.codec, self.sample_rate, self.channels)

    @property
    def position_s(self) -> float:
        """Seconds of sound since the connection was made, with what is missing by the server's times."""
        return self._announced / self.sample_rate + self._server_times.missing_s

    @property
    def pause_s(self) -> float:
        """Seconds without sound that are usual here, which is more than 0 where sound comes in segments."""
        if not self.address.in_segments:
            return 0.0
        return min(SEGMENTS_APART * self._segments.longest_s(self._written_s), LONGEST_PAUSE_S)

    def why(self) -> str:
        """Why it has ended, in a clause.

        Raises:
            MonitorError: if this ffmpeg can never receive it.
        """
        if self.log.protocol_missing:
            raise MonitorError(
                f"{self.address.public}: the ffmpeg of this computer was built without {self.address.scheme}: install "
                "that of Debian or Ubuntu, with `sudo apt-get install ffmpeg`."
            )
        return self.log.reason(self._process.exit_code())

    @property
    def _written_s(self) -> float:
        """Seconds of sound that have been written into the ring."""
        return self.ring.written / self.sample_rate if self.ring is not None else 0.0

    def _ahead_s(self) -> float:
        """By how many seconds more sound has arrived than may wait in the ring; negative if there is room.

        A server may send what it has as fast as it can: a file, or the last seconds before the connection.
        """
        now = time.monotonic()
        since, self._checked_at = now - self._checked_at, now
        self._backlog_s = max(0.0, self._backlog_s - since * (1 + CLOCK_ERROR))
        return self._backlog_s - self._room_s

    def close(self) -> None:
        """Ends ffmpeg."""
        self._process.end()

    def _read_messages(self) -> None:
        said = self._read(self._process.messages)
        self.log.add(said)
        if not said:  # ffmpeg has closed it
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._process.messages)

    def _read(self, descriptor: int) -> bytes:
        try:
            return os.read(descriptor, BLOCK)
        except BlockingIOError:  # there is nothing to read now
            return b""

    def _read_times(self) -> None:
        *lines, self._times_rest = (self._times_rest + self._read(self._process.times)).split(b"\n")
        for line in lines:
            if found := _PORTION.match(line):
                self._portion(*map(int, found.groups()))
            elif found := _BASE.match(line):
                self._seconds_per_tick = int(found[1]) / max(1, int(found[2]))
            elif found := _RATE.match(line):
                self.sample_rate = int(found[1])

    def _portion(self, time_ticks: int, duration_ticks: int, size: int) -> None:
        """Takes note of a portion of sound, which is not read yet.

        Args:
            time_ticks: the server's time of its first sample.
            duration_ticks: its duration.
            size: its bytes.
        """
        if self.ring is None:
            self._open_ring(size, round(duration_ticks * self._seconds_per_tick * self.sample_rate))
        count = size // (SAMPLE_BYTES * self.channels)
        missing = self._server_times.portion(
            time.monotonic(), time_ticks * self._seconds_per_tick, self._announced / self.sample_rate,
            count / self.sample_rate,
        )  # fmt: skip
        if missing:
            self.jumps.add(self._announced, missing)
        self._announced += count

    def _open_ring(self, size: int, samples: int) -> None:
        """Makes the ring when the form of the sound is known.

        Args:
            size: bytes of the first portion.
            samples: its samples in each channel.

        Raises:
            SourceLost: if it cannot be.
        """
        rate, name = self.sample_rate, self.address.public
        self.channels = size // (SAMPLE_BYTES * samples) if samples else 0
        if not (SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1] and 1 <= self.channels <= MAX_CHANNELS):
            form = form_text(self.log.codec, rate, self.channels)
            raise FormChanged(f"{name}: says that it sends {form}, which cannot be.")
        columns = min(self._columns or self.channels, self.channels)
        seconds = min(self._buffer_s, MAX_RING_BYTES / (SAMPLE_BYTES * columns * rate))
        self.ring = SampleRing(math.ceil(seconds * rate), columns)
        self._room_s = AHEAD_SHARE * seconds
        self._every_s = min(EVERY_S, BLOCK / 4 / (SAMPLE_BYTES * self.channels * rate))  # the pipe does not get full
        self._block = max(SAMPLE_BYTES * self.channels, min(BLOCK, int(READ_S * rate) * SAMPLE_BYTES * self.channels))

    def _write(self, data: bytes) -> int:
        ring = self.ring
        if ring is None:
            raise FormChanged(f"{self.address.public}: ffmpeg does not say which form its sound has.")
        data = self._rest + data if self._rest else data
        frame = SAMPLE_BYTES * self.channels
        count = len(data) // frame
        self._rest = data[count * frame :]
        samples = np.frombuffer(data, np.float32, count * self.channels).reshape(count, self.channels)
        for start in range(0, count, ring.capacity):
            ring.write(samples[start : start + ring.capacity, : ring.samples.shape[1]])
        self._backlog_s += count / self.sample_rate
        return count


class FormChanged(SourceLost):
    """The sound has another sample rate or other channels than when the connection was made."""


def form_text(codec: str, sample_rate: int, channels: int) -> str:
    """Codec, sample rate in Hz and number of channels in words."""
    return f"{codec or 'unknown codec'}, {sample_rate} samples a second, {counted(channels, 'channel')}"
