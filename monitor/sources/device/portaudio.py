"""One device's stream: opened, copied into a ring, and left behind where it cannot be closed.

The device callback copies into the preallocated ring, advances its index and ORs the status flags, and nothing else:
whatever it did besides would make the sound wait. What PortAudio says of a stream's health is not asked (it calls a
dead stream active, and hangs in stop and close while a sound server does not answer).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from monitor.core.errors import ConfigError, MonitorError, SourceLost
from monitor.audio.ring_buffer import SampleRing
from monitor.core.snapshot import FloatArray

NO_LIBRARY = (
    "The library that hears microphones, PortAudio, is not installed: on Debian and Ubuntu, "
    "`sudo apt-get install libportaudio2`."
)
CLOSING_S = 1.5  # an orderly close takes milliseconds; a sound server that does not answer, half a minute
LATENESS_KEPT = 1 << 16  # callbacks: eleven minutes of 10 ms

_INITIALISING = -1
_open_streams: set[int] = set()  # by id, from before they are opened until they are closed
_lock = threading.Lock()
_idle = threading.Condition(_lock)  # told when PortAudio has been initialised
_turn = threading.Lock()  # PortAudio opens one device at a time
_TURN_S = 2.0  # waited for at most: a device that stalls while it is opened delays no other for good


def portaudio() -> Any:
    """The module sounddevice, which loads PortAudio.

    Raises:
        MonitorError: if PortAudio is not there.
    """
    try:
        import sounddevice
    except OSError:
        raise MonitorError(NO_LIBRARY) from None
    return sounddevice


def anything_open() -> bool:
    """Whether a stream is open, or one could not be closed: then PortAudio must not be initialised anew.

    The interpreter's own exit closes all streams too, and would hang as long as the close does.
    """
    with _lock:
        return bool(_open_streams)


def reinitialise() -> bool:
    """Lets PortAudio look for devices anew, which it does only when initialised; False where a stream is open."""
    library = portaudio()
    with _lock:
        if _open_streams:
            return False
        _open_streams.add(_INITIALISING)  # not under the lock, because a sound server may make it wait
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
    """While it lasts, PortAudio is not initialised anew, and no other microphone is looked for or opened."""
    token = object()
    with _idle:
        while _INITIALISING in _open_streams:
            _idle.wait()
        _open_streams.add(id(token))
    mine = _turn.acquire(timeout=_TURN_S)
    try:
        yield
    finally:
        if mine:
            _turn.release()
        with _lock:
            _open_streams.discard(id(token))


class Writer:
    """The device callback. Everything it touches has been allocated before."""

    def __init__(self, ring: SampleRing) -> None:
        self.ring = ring
        self.flags = 0  # all status flags so far, ORed
        self.overflows = 0  # callbacks that said that samples before theirs were lost
        self.overflow_index = 0  # where the last of them was
        self.calls = 0
        self._lateness = np.zeros(LATENESS_KEPT, np.float32)  # s from PortAudio's side of the call to ours
        self._now = time.time  # PortAudio's clock on Linux is the wall clock

    def __call__(self, block: FloatArray, _frames: int, when: Any, status: Any) -> None:
        """Takes a block (frames, channels) of the device."""
        self._lateness[self.calls % LATENESS_KEPT] = self._now() - when.currentTime
        self.calls += 1
        if status:
            self.flags |= status._flags
            if status.input_overflow:
                self.overflows += 1
                self.overflow_index = self.ring.written
        self.ring.write(block)

    def late(self, count: int) -> FloatArray:
        """How late the last `count` callbacks were, in seconds, of those that are kept: (count,), in no order."""
        newest = min(count, self.calls, LATENESS_KEPT)
        return self._lateness[np.arange(self.calls - newest, self.calls) % LATENESS_KEPT]


class Capture:
    """An open stream of one input device, writing into a ring of its own.

    Args:
        index: PortAudio's number of the device.
        sample_rate: samples a second that the device is asked for.
        channels: how many of its first channels.
        latency_s: how much sound may wait in the system; more survives longer hiccups.

    Raises:
        ConfigError: if the device has no such rate or channels.
        SourceLost: if it cannot be opened now.
    """

    def __init__(
        self, index: int, name: str, sample_rate: int, channels: int, *, latency_s: float, block_s: float,
        buffer_s: float,
    ) -> None:  # fmt: skip
        self.name, self.sample_rate, self.channels = name, sample_rate, channels
        self.ring = SampleRing(int(buffer_s * sample_rate), channels)
        self.writer = Writer(self.ring)
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
        """Ends the stream; False if it did not end in time: then a thread that nobody waits for still tries."""
        closing = threading.Thread(target=self._close, name="closing a device", daemon=True)
        closing.start()
        closing.join(patience_s)
        return not closing.is_alive()

    def _close(self) -> None:
        # abort, never stop: stop waits for sound that may never come.
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)
        self._forget()

    def _forget(self) -> None:
        with _lock:
            _open_streams.discard(id(self))


def _refusal(error: Exception, name: str, sample_rate: int, channels: int) -> MonitorError:
    reason = str(error)
    if "sample rate" in reason:
        return UnfitRate(f"{name}: does not record at {sample_rate} samples a second: set audio.device_rate to one "
                         "that `monitor devices` lists.")  # fmt: skip
    if "number of channels" in reason:
        return ConfigError(f"{name}: has no {channels} channels: choose a lower --channel (counted from 0), or mix.")
    return SourceLost(f"{name}: cannot be opened ({reason.partition(' [')[0].rstrip('.')}): is it plugged in, and not "
                      "in use by another program?")  # fmt: skip


class UnfitRate(ConfigError):
    """The device does not record at this rate; it may at another."""
