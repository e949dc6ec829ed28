"""A microphone is found by its number, its name, or a part of its name; an ambiguous name is refused."""

from __future__ import annotations

import pytest

from monitor.core.errors import ConfigError, SourceLost
from monitor.sources.device.devices import Device, choose, listed

HDA = Device(0, "HDA Intel: ALC (hw:0,0)", "ALSA", 2, 44100, False)
USB = Device(3, "USB Audio: (hw:1,0)", "ALSA", 1, 48000, False)
SERVER = Device(4, "default", "ALSA", 32, 44100, True)
DEVICES = [HDA, USB, SERVER]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("", SERVER), ("3", USB), ("usb", USB), ("USB Audio: (hw:1,0)", USB), ("intel", HDA), ("default", SERVER)],
)
def test_a_device_is_found_by_number_name_and_part_of_a_name(wanted: str, found: Device) -> None:
    assert choose(DEVICES, wanted) is found


def test_a_name_that_is_exactly_a_devices_goes_before_one_that_holds_it() -> None:
    plain, longer = Device(1, "Mic", "ALSA", 1, 48000, False), Device(0, "Mic 2", "ALSA", 1, 48000, False)
    assert choose([longer, plain], "mic") is plain


def test_one_device_that_several_systems_list_by_the_same_name_is_the_first_of_them() -> None:
    first, second = Device(1, "Mic", "ALSA", 1, 48000, False), Device(2, "Mic", "JACK", 1, 48000, False)
    assert choose([first, second], "mic") is first


def test_without_a_default_the_first_device_is_taken() -> None:
    assert choose([HDA, USB], "") is HDA


def test_a_microphone_that_is_not_there_may_come_yet_and_the_message_lists_the_others() -> None:
    """It may also have another name: only the user knows whether a listed one is meant."""
    with pytest.raises(SourceLost, match=r"no microphone called 'Blue'\. There are: 0 'HDA Intel.*', 3 'USB Audio"):
        choose(DEVICES, "Blue")
    with pytest.raises(SourceLost, match=r"no microphone: plug one in"):
        choose([], "")
    assert listed([]) == "No microphone is connected."


def test_a_name_of_several_microphones_and_a_number_of_none_are_mistakes_of_the_user() -> None:
    with pytest.raises(ConfigError, match=r"give a longer part of its name. There are: 0 .*, 3 "):
        choose(DEVICES, "hw:")
    with pytest.raises(ConfigError, match="number 7"):
        choose(DEVICES, "7")


def test_only_the_channels_that_are_needed_are_recorded() -> None:
    assert [device.needed_channels("mix") for device in DEVICES] == [2, 1, 1]
    assert [HDA.needed_channels(channel) for channel in (0, 1)] == [1, 2]
    with pytest.raises(ConfigError, match="channels are 0 to 1"):
        HDA.needed_channels(2)
