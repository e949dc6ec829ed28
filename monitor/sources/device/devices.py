"""Lists the microphones, and finds the one that a name or a number stands for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monitor.config.setting_types import Channel
from monitor.core.errors import ConfigError, SourceLost
from monitor.core.text import printable
from monitor.sources.channels import has_channel, no_channel
from monitor.sources.device.portaudio import portaudio

RATES = (8000, 16000, 22050, 32000, 44100, 48000, 96000, 192000)  # Hz, that `monitor devices` tests
SERVER_CHANNELS = 32  # a device with so many channels or more is a sound server, which can mix them


@dataclass(frozen=True, slots=True)
class Device:
    """An input device, as PortAudio lists it."""

    index: int
    name: str
    system: str  # the host API: ALSA, JACK, …
    channels: int
    default_rate: int  # Hz
    is_default: bool

    def needed_channels(self, channel: Channel) -> int:
        """Returns how many channels, from the first one on, have to be recorded to include this channel.

        Raises:
            ConfigError: if the device does not have this channel.
        """
        if channel == "mix":
            # A sound server mixes the actual channels of the microphone itself.
            return 1 if self.channels >= SERVER_CHANNELS else self.channels
        if not has_channel(channel, self.channels):
            raise ConfigError(no_channel(self.name, channel, self.channels))
        return channel + 1


def input_devices() -> list[Device]:
    """Returns all devices that can record; PortAudio updates its list only when it is initialised.

    Raises:
        MonitorError: if PortAudio is not installed.
    """
    library = portaudio()
    systems: Sequence[dict[str, Any]] = library.query_hostapis()
    found: Sequence[dict[str, Any]] = library.query_devices()
    default = library.default.device[0]
    return [
        Device(
            index,
            one["name"],
            systems[one["hostapi"]]["name"],
            one["max_input_channels"],
            round(one["default_samplerate"]),
            index == default,
        )
        for index, one in enumerate(found)
        if one["max_input_channels"] > 0
    ]


def choose(devices: Sequence[Device], wanted: str) -> Device:
    """Finds a device by its number or name; an empty text stands for the system's default device.

    A name may be a part of the device's name, and its case is ignored; an exact match takes precedence.

    Raises:
        SourceLost: if no device has this name, or there are no devices: it may be plugged in later.
        ConfigError: if no device has this number, or several different devices match the name.
    """
    if wanted.isdecimal():
        by_index = {device.index: device for device in devices}
        if int(wanted) not in by_index:
            raise ConfigError(f"There is no microphone with the number {wanted}. {listed(devices)}")
        return by_index[int(wanted)]
    if not devices:
        raise SourceLost(
            "There is no microphone: plug one in, or start the sound server; `monitor devices` lists them."
        )
    if not wanted:
        return next((device for device in devices if device.is_default), devices[0])
    name = wanted.lower()
    exact = [device for device in devices if device.name.lower() == name]
    matches = exact or [device for device in devices if name in device.name.lower()]
    if not matches:
        raise SourceLost(f"There is no microphone called {wanted!r}. {listed(devices)}")
    if len({device.name for device in matches}) > 1:
        raise ConfigError(
            f"More than one microphone matches {wanted!r}: give a longer part of its name. {listed(matches)}"
        )
    # Several systems may list the same device; one system lists a name twice only for two devices.
    if len({device.system for device in matches}) < len(matches):
        raise ConfigError(
            f"More than one microphone is called {matches[0].name!r}: give its number, such as "
            f"--device {matches[0].index}. {listed(matches)}"
        )
    return matches[0]


def find_again(devices: Sequence[Device], before: Device) -> Device:
    """Finds a device that was open before in a new list, where it may have another number.

    Raises:
        SourceLost: if it is not there, or several devices have its name and system, and none of them its number.
    """
    same = [device for device in devices if (device.name, device.system) == (before.name, before.system)]
    if len(same) > 1:
        same = [device for device in same if device.index == before.index]
    if not same:
        raise SourceLost(f"There is no microphone called {before.name!r}. {listed(devices)}")
    return same[0]


def listed(devices: Sequence[Device]) -> str:
    """Lists the devices in a sentence."""
    if not devices:
        return "No microphone is connected."
    return "There are: " + ", ".join(f"{device.index} {device.name!r}" for device in devices) + "."


def rates_of(device: Device) -> list[int]:
    """Returns which of the usual sample rates the device supports; it must not be in use."""
    library = portaudio()
    rates = []
    for rate in sorted({*RATES, device.default_rate}):
        try:
            library.check_input_settings(device.index, channels=1, dtype="float32", samplerate=rate)
        except library.PortAudioError:
            continue
        rates.append(rate)
    return rates


def as_json_text(wanted: str) -> str:
    """Lists the devices as JSON; `used` marks the device that `wanted` stands for."""
    found = input_devices()
    used = choose(found, wanted) if found else None
    rows = [
        {
            "index": device.index,
            "name": device.name,
            "system": device.system,
            "channels": device.channels,
            "default_rate": device.default_rate,
            "rates": rates_of(device),
            "used": device is used,
        }
        for device in found
    ]
    return json.dumps(rows, indent=2)


def as_table(wanted: str) -> str:
    """Lists the devices as a table; a star marks the device that `wanted` stands for.

    Raises:
        SourceLost: if there are no devices, or none of this name.
    """
    found = input_devices()
    used = choose(found, wanted)
    names = [printable(device.name) for device in found]
    width = max(map(len, names))
    lines = [f"  {'no':>3}  {'name':<{width}}  {'system':<8}  channels  rates"]
    for device, name in zip(found, names, strict=True):
        channels = "any" if device.channels >= SERVER_CHANNELS else str(device.channels)
        rates = ", ".join(f"{rate / 1000:g}" for rate in rates_of(device))
        mark = "*" if device is used else " "
        lines.append(f"{mark} {device.index:>3}  {name:<{width}}  {device.system:<8}  {channels:>8}  {rates} kHz")
    return "\n".join(lines)
