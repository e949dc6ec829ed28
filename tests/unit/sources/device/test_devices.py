"""A microphone is found by its number, its name, or a part of its name; an ambiguous name is refused."""

from __future__ import annotations

import pytest

from monitor.core.errors import ConfigError, SourceLost
from monitor.sources.device.devices import Device, as_table, choose, find_again, listed

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


TWINS = [Device(number, "Webcam", "ALSA", 1, 48000, False) for number in (2, 5)]


def test_of_two_microphones_with_the_same_name_a_number_decides() -> None:
    for wanted in ("Webcam", "webc"):
        with pytest.raises(
            ConfigError, match=r"More than one microphone is called 'Webcam': give its number, such as --d"
        ):
            choose([*DEVICES, *TWINS], wanted)
    assert choose([*DEVICES, *TWINS], "5") is TWINS[1]


def test_a_microphone_is_found_again_by_its_name_and_of_twins_the_one_with_its_number() -> None:
    moved = Device(9, USB.name, USB.system, 1, 48000, False)
    assert find_again([HDA, moved], USB) is moved
    assert find_again([*TWINS, HDA], TWINS[1]) is TWINS[1]
    other = Device(7, "Webcam", "ALSA", 1, 48000, False)
    for devices in ([HDA], [], [TWINS[0], other]):
        with pytest.raises(SourceLost, match="no microphone called"):
            find_again(devices, USB if len(devices) < 2 else TWINS[1])


def test_the_list_of_microphones_is_one_line_for_each_whatever_they_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = Device(0, "Mic\nmonitor: all is well\x1b[2J", "ALSA", 1, 48000, True)
    monkeypatch.setattr("monitor.sources.device.devices.input_devices", lambda: [hostile, USB])
    monkeypatch.setattr("monitor.sources.device.devices.rates_of", lambda _: [48000])
    lines = as_table("").split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)


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
