"""Streams of one microphone: each reads its channel at its own pace, and the last one that ends closes the device."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.audio.ring_buffer import SampleRing
from monitor.config.sources import Audio
from monitor.core.errors import ConfigError, DataError
from monitor.sources.device.microphone import Microphone
from monitor.sources.device.shared_device import MicrophoneSource
from monitor.sources.source import Mark
from support.builders import noise


@pytest.fixture
def microphone() -> Microphone:
    """A microphone that is not opened; the test writes its samples."""
    return Microphone(Audio(device="USB Audio"), 16000, [0, "mix", 2])


def test_a_microphone_has_as_many_channels_as_its_streams_need(microphone: Microphone) -> None:
    assert microphone.ring.samples.shape[1] == 3
    assert Microphone(Audio(), 16000, ["mix"]).ring.samples.shape[1] == 1


def test_each_stream_reads_its_channel_at_its_own_pace(microphone: Microphone) -> None:
    first, mix, third = (MicrophoneSource(microphone, channel) for channel in (0, "mix", 2))
    sound = noise(500, streams=3).T
    microphone.ring.write(sound)
    assert np.array_equal(first.reader.take(500).samples, sound[:, 0])
    np.testing.assert_allclose(mix.reader.take(200).samples, sound[:200].mean(axis=1), atol=1e-7)
    assert np.array_equal(third.reader.take(500).samples, sound[:, 2])
    assert mix.reader.available == 300


def test_a_channel_that_the_microphone_does_not_record_is_refused(microphone: Microphone) -> None:
    with pytest.raises(DataError, match="channel 3"):
        MicrophoneSource(microphone, 3)


def test_a_stream_is_called_by_its_channel_where_it_is_not_the_only_one(microphone: Microphone) -> None:
    only = MicrophoneSource(microphone, 0)
    assert only.name == "USB Audio"
    others = [MicrophoneSource(microphone, channel) for channel in ("mix", 2)]
    assert [one.name for one in (only, *others)] == [
        "USB Audio, channel 0",
        "USB Audio, all channels",
        "USB Audio, channel 2",
    ]


def test_a_reopened_microphone_is_read_from_its_new_ring(microphone: Microphone) -> None:
    source = MicrophoneSource(microphone, 0)
    old = source.reader
    assert source.reader is old
    microphone.ring, microphone.sample_rate = SampleRing(100, 3), 44100
    microphone.ring.write(np.ones((10, 3), np.float32))
    assert source.reader is not old
    assert (source.reader.available, source.sample_rate) == (10, 44100)


def test_what_happens_to_the_microphone_happens_to_all_of_its_streams(microphone: Microphone) -> None:
    sources = [MicrophoneSource(microphone, channel) for channel in (0, 2)]
    microphone.lost_since = 5.0
    microphone.error = DataError("gone.")
    microphone.marks.append(Mark(-1, "end"))
    for source in sources:
        assert (source.lost_since, source.error, source.overflows) == (5.0, microphone.error, 0)
        assert source.marks.popleft() == Mark(-1, "end"), "each has it once"


def test_a_channel_that_the_opened_microphone_lacks_ends_its_stream_only(microphone: Microphone) -> None:
    first, third = (MicrophoneSource(microphone, channel) for channel in (0, 2))
    opened = SampleRing(100, 2)
    opened.write(np.ones((10, 2), np.float32))
    microphone._read_from(opened, 44100, 2)
    assert third.marks.popleft() == Mark(-1, "end")
    assert isinstance(third.error, ConfigError)
    assert "has no channel 2, its channels are 0 to 1" in str(third.error)
    assert (first.error, len(first.marks), first.reader.available) == (None, 0, 10)


def test_a_microphone_that_comes_back_without_a_channel_is_lost_for_its_stream_only(microphone: Microphone) -> None:
    first, third = (MicrophoneSource(microphone, channel) for channel in (0, 2))
    rings = {channels: SampleRing(100, channels) for channels in (3, 2)}
    for ring in rings.values():
        ring.write(np.ones((10, ring.samples.shape[1]), np.float32))
    microphone._read_from(rings[3], 16000, 3)
    assert (first.reader.available, third.reader.available) == (10, 10)
    microphone.lost_since = 5.0
    microphone._read_from(rings[2], 16000, 2)
    assert (first.lost_since, third.lost_since) == (None, 5.0)
    assert (third.error, len(third.marks)) == (None, 0)
    microphone.lost_since = 9.0
    microphone._read_from(rings[3], 16000, 3)
    assert (first.lost_since, third.lost_since) == (None, None)


def test_the_last_stream_that_ends_stops_the_microphone(
    microphone: Microphone, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[bool] = []
    monkeypatch.setattr(microphone, "stop", lambda: stopped.append(True))
    first, second = (MicrophoneSource(microphone, channel) for channel in (0, 2))
    first.stop()
    first.stop()
    assert stopped == []
    second.stop()
    assert stopped == [True]
