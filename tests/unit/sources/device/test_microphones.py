"""Microphones of a program: a stream that is added shares the open one of its device, and disturbs no other."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pytest

from monitor.config.setting_types import Channel
from monitor.config.sources import Audio
from monitor.core.errors import ConfigError, SourceLost
from monitor.sources.device import microphones as module
from monitor.sources.device.devices import Device
from monitor.sources.device.microphones import Listener, Microphones
from monitor.sources.device.pulse_routing import pin_pulse_source
from support.builders import RATE, noise


def listener(device: str = "USB", channel: Channel = 0, rate: int = RATE) -> Listener:
    return Listener(Audio(device=device), channel, rate)


@pytest.mark.parametrize(
    ("open_channels", "added", "shared"),
    [
        ([0], 0, True),
        ([0, 3], 2, True),
        ([0], 1, False),
        ([0, 1], "mix", False),
        (["mix"], "mix", True),
        (["mix"], 0, False),
    ],
)
def test_an_added_stream_shares_the_microphone_if_that_records_its_channel(
    open_channels: Sequence[Channel], added: Channel, shared: bool
) -> None:
    """The mean of some channels is not that of all. Otherwise the device is opened once more, and no stream waits."""
    microphones = Microphones()
    first = microphones.sources([listener(channel=channel) for channel in open_channels])[0].microphone
    [source] = microphones.sources([listener(channel=added, rate=48_000)])
    assert (source.microphone is first) == shared
    assert first.listeners == len(open_channels) + shared
    assert first.sample_rate == RATE, "the rate at which it is open"


def test_an_added_stream_hears_what_comes_from_then_on() -> None:
    microphones = Microphones()
    [first] = microphones.sources([listener()])
    first.microphone.ring.write(noise(500)[:, None])
    [second] = microphones.sources([listener()])
    first.microphone.ring.write(np.ones((30, 1), np.float32))
    taken = second.reader.take(1000)
    assert (len(taken.samples), taken.lost, taken.samples.min()) == (30, 0, 1.0)
    assert first.reader.available == 530


def test_a_microphone_that_its_last_stream_has_left_is_not_shared() -> None:
    microphones = Microphones()
    [first] = microphones.sources([listener()])
    first.stop()
    [second] = microphones.sources([listener()])
    assert second.microphone is not first.microphone


def test_a_stream_that_is_not_used_after_all_leaves_the_microphone_to_the_others() -> None:
    microphones = Microphones()
    [first] = microphones.sources([listener()])
    [second] = microphones.sources([listener()])
    second.stop()
    assert first.microphone.listeners == 1
    assert first.marks == second.marks
    assert not first.marks


def test_with_a_second_device_no_source_is_pinned_for_the_whole_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULSE_SOURCE", raising=False)
    microphones = Microphones()
    [first] = microphones.sources([listener()])
    assert first.microphone.only_one
    pin_pulse_source("usb.source")
    microphones.sources([listener()])
    assert os.environ["PULSE_SOURCE"] == "usb.source"
    [other] = microphones.sources([listener("Other")])
    assert "PULSE_SOURCE" not in os.environ
    assert not first.microphone.only_one
    assert not other.microphone.only_one


def test_a_source_that_the_user_has_pinned_stays_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SOURCE", "mine")
    microphones = Microphones()
    microphones.sources([listener()])
    pin_pulse_source("usb.source")
    microphones.sources([listener("Other")])
    assert os.environ["PULSE_SOURCE"] == "mine"


def test_devices_that_are_not_there_or_lack_a_channel_are_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_devices", lambda: [Device(0, "USB Audio", "ALSA", 2, 48_000, True)])
    microphones = Microphones()
    microphones.require_present([listener("usb", 1), listener("", "mix")])
    with pytest.raises(SourceLost) as caught:
        microphones.require_present([listener("gone"), listener("USB", 5), listener("USB", 1)])
    gone, channel = caught.value.messages
    assert "'gone'" in gone
    assert "only after a restart" in gone
    assert "no channel 5" in channel
    with pytest.raises(ConfigError):
        microphones.require_present([listener("USB", 5)])


def test_the_device_of_an_open_microphone_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be lost at the moment: its streams wait for it, and so does one more."""
    monkeypatch.setattr(module, "_devices", lambda: [])
    microphones = Microphones()
    microphones.sources([listener("USB", 1)])
    microphones.require_present([listener("USB", 0)])
