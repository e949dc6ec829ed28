"""Which microphones there are, and which one is meant by a name or a number."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monitor.sources.device.portaudio import portaudio
from monitor.config.schema import Channel
from monitor.core.errors import ConfigError, SourceLost

RATES = (8000, 16000, 22050, 32000, 44100, 48000, 96000, 192000)  # asked for by `monitor devices`
SERVER_CHANNELS = 32  # so many, or more, are what a sound server can mix, not what a microphone has


@dataclass(frozen=True, slots=True)
class Device:
    """An input device as PortAudio lists it."""

    index: int
    name: str
    system: str  # ALSA, JACK, …
    channels: int
    default_rate: int
    is_default: bool

    def needed_channels(self, channel: Channel) -> int:
        """How many of its first channels have to be recorded to have this one.

        Raises:
            ConfigError: if it has no such channel.
        """
        if channel == "mix":
            # A sound server mixes by itself what its microphone really has.
            return 1 if self.channels >= SERVER_CHANNELS else self.channels
        if channel >= self.channels:
            raise ConfigError(
                f"{self.name}: has no channel {channel}, its channels are 0 to {self.channels - 1}: "
                "choose one of them with --channel, or mix."
            )
        return channel + 1


def input_devices() -> list[Device]:
    """All devices that can record, as PortAudio saw them when it was last initialised.

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
    """The device of this number or name; the system's choice for an empty one.

    A name may be a part of the device's, in capitals or not; one that is exactly the device's goes before.

    Raises:
        SourceLost: if there is none of that name, or none at all: it may be plugged in yet.
        ConfigError: if there is none of that number, or more than one of that name.
    """
    if wanted.isdecimal():
        by_index = {device.index: device for device in devices}
        if int(wanted) not in by_index:
            raise ConfigError(f"There is no microphone with the number {wanted}. {there_are(devices)}")
        return by_index[int(wanted)]
    if not devices:
        raise SourceLost(
            "There is no microphone: plug one in, or start the sound server; `monitor devices` lists them."
        )
    if not wanted:
        return next((device for device in devices if device.is_default), devices[0])
    low = wanted.lower()
    same = [device for device in devices if device.name.lower() == low]
    alike = same or [device for device in devices if low in device.name.lower()]
    if not alike:
        raise SourceLost(f"There is no microphone called {wanted!r}. {there_are(devices)}")
    if len(alike) > 1 and len({device.name for device in alike}) > 1:
        raise ConfigError(f"More than one microphone is called {wanted!r}: say more of the name. {there_are(alike)}")
    return alike[0]


def there_are(devices: Sequence[Device]) -> str:
    """The devices in a sentence."""
    if not devices:
        return "There is none at all now."
    return "There are: " + ", ".join(f"{device.index} {device.name!r}" for device in devices) + "."


def rates_of(device: Device) -> list[int]:
    """Which of the usual rates it records at. Asks the device, which must not be in use."""
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
    """The devices as JSON: index, name, system, channels, rates, and whether it is the one that would be used."""
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
    """The devices in lines for a person, the one that would be used marked with a star.

    Raises:
        SourceLost: if there is none, or not the one that is wanted.
    """
    found = input_devices()
    used = choose(found, wanted)
    width = max(len(device.name) for device in found)
    lines = [f"  {'no':>3}  {'name':<{width}}  {'system':<8}  channels  rates"]
    for device in found:
        channels = "any" if device.channels >= SERVER_CHANNELS else str(device.channels)
        rates = ", ".join(f"{rate / 1000:g}" for rate in rates_of(device))
        mark = "*" if device is used else " "
        lines.append(
            f"{mark} {device.index:>3}  {device.name:<{width}}  {device.system:<8}  {channels:>8}  {rates} kHz"
        )
    return "\n".join(lines)
