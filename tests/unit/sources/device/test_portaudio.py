"""The callback only copies, PortAudio's error codes give distinct errors, and it restarts only without open streams."""

from __future__ import annotations

import sys
import threading
import time
import tracemalloc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.core.errors import ConfigError, MonitorError, SourceLost
from monitor.sources.device import portaudio
from monitor.sources.device.portaudio import CallbackWriter, DeviceStream, UnsupportedRate
from support.builders import noise

try:
    import sounddevice
except OSError:  # no libportaudio2
    sounddevice = None

needs_portaudio = pytest.mark.skipif(sounddevice is None, reason="not installed: libportaudio2")
OVERFLOW = SimpleNamespace(_flags=2, input_overflow=True)
UNDERFLOW = SimpleNamespace(_flags=4, input_overflow=False)


def called_at(seconds: float = 0.0) -> Any:
    """PortAudio's time information of a callback."""
    return SimpleNamespace(currentTime=time.time() - seconds)


def test_the_device_callback_leaves_no_allocation_behind_and_needs_little_meanwhile() -> None:
    """Over two lengths of the ring, with and without a status flag."""
    writer = CallbackWriter(SampleRing(16000, 2))
    block, when = np.ones((160, 2), np.float32), called_at()
    for _ in range(50):
        writer(block, 160, when, None)
        writer(block, 160, when, OVERFLOW)
    blocks = sys.getallocatedblocks()
    for _ in range(100):
        writer(block, 160, when, None)
        writer(block, 160, when, OVERFLOW)
    assert sys.getallocatedblocks() - blocks <= 2  # the number objects of the index and the clock
    tracemalloc.start()
    try:
        writer(block, 160, when, None)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(200):
            writer(block, 160, when, None)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 512
    assert peak - before < 2048  # views of the ring and of the block, never a copy of the sound: 1280 bytes
    assert writer.overflows == 150
    assert writer.flags == 2


def test_the_callback_writes_the_devices_samples_and_keeps_its_status_flags() -> None:
    writer = CallbackWriter(SampleRing(1000, 2))
    reader = RingReader(writer.ring, 1)
    sound = noise(400, streams=2).T
    for number, status in enumerate((None, OVERFLOW, UNDERFLOW, None)):
        writer(sound[100 * number : 100 * (number + 1)], 100, called_at(), status)
    assert np.array_equal(reader.take(1000).samples, sound[:, 1])
    assert (writer.flags, writer.overflows, writer.overflow_index, writer.calls) == (6, 1, 100, 4)


def test_how_late_callbacks_are_is_kept_for_the_newest_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portaudio, "LATENESS_KEPT", 8)
    writer = CallbackWriter(SampleRing(1000))
    for late in range(20):
        writer(noise(10)[:, None], 10, called_at(late), None)
    assert sorted(np.rint(writer.lateness(3))) == [17, 18, 19]
    assert len(writer.lateness(100)) == 8


# A device that refuses. PortAudio's messages depend on its version; its error codes do not.


class Refusing:
    """A library whose device cannot be opened or started."""

    def __init__(self, error: Exception, *, when: str) -> None:
        self.error, self.when, self.closed = error, when, False
        self.PortAudioError = sounddevice.PortAudioError

    def InputStream(self, **_: object) -> Refusing:  # noqa: N802 - sounddevice's name
        if self.when == "opened":
            raise self.error
        return self

    def start(self) -> None:
        raise self.error

    def abort(self, *, ignore_errors: bool) -> None:
        """Nothing to abort."""

    def close(self, *, ignore_errors: bool) -> None:
        self.closed = True


@needs_portaudio
@pytest.mark.parametrize("when", ["opened", "started"])
@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (-9997, UnsupportedRate, "does not record at 44100 samples a second: set audio.device_rate"),
        (-9998, ConfigError, "does not have 3 channels"),
        (-9985, SourceLost, "cannot be opened (Invalid words): is it plugged in"),
        (-9999, SourceLost, "cannot be opened"),
        (None, SourceLost, "cannot be opened"),
    ],
)
def test_a_refusal_is_classified_by_its_code_and_says_what_to_do(
    when: str, code: int | None, kind: type[MonitorError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = sounddevice.PortAudioError("Invalid words", *(() if code is None else (code,)))
    library = Refusing(error, when=when)
    monkeypatch.setattr(portaudio, "portaudio", lambda: library)
    with pytest.raises(MonitorError) as caught:
        DeviceStream(0, "USB Audio", 44100, 3, latency_s=0.1, block_s=0.01, buffer_s=1.0)
    assert type(caught.value) is kind
    assert str(caught.value).startswith("USB Audio: ")
    assert words in str(caught.value)
    assert library.closed == (when == "started")
    assert not portaudio.anything_open()


@needs_portaudio
def test_a_device_that_does_not_close_in_time_is_left_behind_and_known_to_be_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if the sound server did not answer."""
    goes_on = threading.Event()
    stream = SimpleNamespace(start=lambda: None, abort=lambda **_: goes_on.wait(), close=lambda **_: None)
    library = SimpleNamespace(InputStream=lambda **_: stream, PortAudioError=sounddevice.PortAudioError)
    monkeypatch.setattr(portaudio, "portaudio", lambda: library)
    opened = DeviceStream(0, "USB Audio", 16000, 1, latency_s=0.1, block_s=0.01, buffer_s=1.0)
    try:
        assert not opened.close(0.01)
        assert portaudio.anything_open()
        assert not portaudio.reinitialise(), "it would be blocked as long as the closing"
    finally:
        goes_on.set()
    assert opened.close(60.0)
    assert not portaudio.anything_open()


@needs_portaudio
def test_portaudio_is_not_initialised_again_while_a_device_is_opened() -> None:
    with portaudio.in_use():
        assert portaudio.anything_open()
        assert not portaudio.reinitialise()
    assert not portaudio.anything_open()
    assert portaudio.reinitialise()
    assert not portaudio.anything_open()
