"""Opens and closes streams of input devices through PortAudio, and copies their samples into rings.

The device callback only copies into the preallocated ring, advances its index and combines the status flags, because
more work would delay the sound. PortAudio's own state of a stream is not used: it calls a dead stream active, and its
stop and close functions block while a sound server does not answer.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from monitor.audio.ring_buffer import SampleRing
from monitor.core.errors import ConfigError, MonitorError, SourceLost
from monitor.core.types import FloatArray

NO_LIBRARY = (
    "PortAudio, the library that records from microphones, is not installed: on Debian and Ubuntu, run "
    "`sudo apt-get install libportaudio2`."
)
CLOSING_S = 1.5  # closing takes milliseconds, but half a minute if the sound server does not answer
LATENESS_KEPT = 1 << 16  # number of callbacks: eleven minutes at 10 ms
INVALID_SAMPLE_RATE, INVALID_CHANNEL_COUNT = -9997, -9998  # PortAudio's error codes

_INITIALISING = -1
_open_streams: set[int] = set()  # ids of streams, from before they are opened until they are closed
_lock = threading.Lock()
_idle = threading.Condition(_lock)  # notified when PortAudio has been initialised
_opening = threading.Lock()  # PortAudio opens one device at a time
_OPENING_S = 2.0  # maximum time to wait for it, so that a device that blocks delays others only for a while


class UnsupportedRate(ConfigError):
    """The device does not support this sample rate; it may support another."""


def portaudio() -> Any:
    """Returns the module sounddevice, which loads PortAudio.

    Raises:
        MonitorError: if PortAudio is not installed.
    """
    try:
        import sounddevice
    except OSError:
        raise MonitorError(NO_LIBRARY) from None
    return sounddevice


def anything_open() -> bool:
    """Whether a stream is open, or could not be closed. Then PortAudio must not be initialised again.

    The interpreter closes all streams at its exit, and would be blocked as long as closing is.
    """
    with _lock:
        return bool(_open_streams)


def reinitialise() -> bool:
    """Initialises PortAudio again, which updates its list of devices; returns False if a stream is open."""
    library = portaudio()
    with _lock:
        if _open_streams:
            return False
        _open_streams.add(_INITIALISING)  # not under the lock, because a sound server may block the initialisation
    try:
        library._terminate()
        library._initialize()
    except library.PortAudioError:
        return False
    finally:
        with _idle:
            _open_streams.discard(_INITIALISING)
            _idle.notify_all()
    return True


@contextlib.contextmanager
def in_use() -> Iterator[None]:
    """A context in which PortAudio is not initialised again, and no other device is listed or opened."""
    token = object()
    with _idle:
        while _INITIALISING in _open_streams:
            _idle.wait()
        _open_streams.add(id(token))
    mine = _opening.acquire(timeout=_OPENING_S)
    try:
        yield
    finally:
        if mine:
            _opening.release()
        with _lock:
            _open_streams.discard(id(token))


class CallbackWriter:
    """The device callback, which writes into a ring. All its memory is allocated in advance."""

    def __init__(self, ring: SampleRing) -> None:
        self.ring = ring
        self.flags = 0  # bitwise OR of all status flags so far
        self.overflows = 0  # number of callbacks that reported that samples before them were lost
        self.overflow_index = 0  # absolute sample index at the last of them
        self.calls = 0
        self._lateness = np.zeros(LATENESS_KEPT, np.float32)  # seconds from PortAudio's call time to our callback
        self._now = time.time  # PortAudio's clock on Linux is the wall clock

    def __call__(self, block: FloatArray, _frames: int, when: Any, status: Any) -> None:
        """Receives a block (frames, channels) from the device."""
        self._lateness[self.calls % LATENESS_KEPT] = self._now() - when.currentTime
        self.calls += 1
        if status:
            self.flags |= status._flags
            if status.input_overflow:
                self.overflows += 1
                self.overflow_index = self.ring.written
        self.ring.write(block)

    def detach(self) -> None:
        """Lets go of the ring once the device is closed.

        The wrapper of a closed stream and its callback refer to each other, so Python frees them only much later; with
        a ring of some megabytes each, a microphone that is often plugged in again would fill the memory.
        """
        self.ring = SampleRing(1)

    def lateness(self, count: int) -> FloatArray:
        """Delays (count,) of the last `count` callbacks in seconds, in no order; only the newest ones are kept."""
        newest = min(count, self.calls, LATENESS_KEPT)
        return self._lateness[np.arange(self.calls - newest, self.calls) % LATENESS_KEPT]


class DeviceStream:
    """An open stream of one input device, which writes into its own ring.

    Args:
        index: PortAudio's number of the device.
        name: name of the device, for messages.
        sample_rate: sample rate in Hz.
        channels: number of channels to record, from the first one on.
        latency_s: length of the system's buffer in seconds; a longer one survives longer delays.
        block_s: length of the blocks passed to the callback, in seconds.
        buffer_s: length of the ring in seconds.

    Raises:
        ConfigError: if the device does not support the sample rate (UnsupportedRate) or the number of channels.
        SourceLost: if the device cannot be opened now.
    """

    def __init__(
        self,
        index: int,
        name: str,
        sample_rate: int,
        channels: int,
        *,
        latency_s: float,
        block_s: float,
        buffer_s: float,
    ) -> None:
        self.name, self.sample_rate, self.channels = name, sample_rate, channels
        self.ring = SampleRing(int(buffer_s * sample_rate), channels)
        self.writer = CallbackWriter(self.ring)
        self.opened_at = time.monotonic()
        library = portaudio()
        with _lock:
            _open_streams.add(id(self))
        try:
            self._stream = library.InputStream(
                samplerate=sample_rate, blocksize=max(1, round(block_s * sample_rate)), device=index,
                channels=channels, dtype="float32", latency=latency_s, callback=self.writer,
            )  # fmt: skip
        except (library.PortAudioError, ValueError) as error:
            self._forget()
            raise _refusal(error, name, sample_rate, channels) from None
        try:
            self._stream.start()
        except library.PortAudioError as error:
            self.close()
            raise _refusal(error, name, sample_rate, channels) from None

    def close(self, patience_s: float = CLOSING_S) -> bool:
        """Closes the stream; returns False if that takes longer than `patience_s`: then a thread goes on with it."""
        closing = threading.Thread(target=self._close, name="closing a device", daemon=True)
        closing.start()
        closing.join(patience_s)
        return not closing.is_alive()

    def _close(self) -> None:
        # abort instead of stop, because stop waits for samples that may never arrive.
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)
        self._forget()

    def _forget(self) -> None:
        self.writer.detach()
        with _lock:
            _open_streams.discard(id(self))


def _refusal(error: Exception, name: str, sample_rate: int, channels: int) -> MonitorError:
    code = error.args[1] if len(error.args) > 1 else None
    if code == INVALID_SAMPLE_RATE:
        return UnsupportedRate(
            f"{name}: does not record at {sample_rate} samples a second: set audio.device_rate to a rate that "
            "`monitor devices` lists for it."
        )
    if code == INVALID_CHANNEL_COUNT:
        return ConfigError(
            f"{name}: does not have {channels} channels: choose a lower --channel (counted from 0), or mix."
        )
    reason = str(error).partition(" [")[0].rstrip(".")
    return SourceLost(f"{name}: cannot be opened ({reason}): is it plugged in, and not in use by another program?")
