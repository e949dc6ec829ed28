"""The microphones of a program: streams of the same device share one, also if they are added later."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from monitor.config.setting_types import Channel
from monitor.config.sources import Audio
from monitor.core.errors import MonitorError, SourceLost
from monitor.sources.device.devices import Device, choose, input_devices
from monitor.sources.device.microphone import Microphone
from monitor.sources.device.portaudio import in_use, reinitialise
from monitor.sources.device.pulse_routing import pin_pulse_source, unpin_pulse_source
from monitor.sources.device.recorded_device import RecordedDevice
from monitor.sources.device.shared_device import MicrophoneSource
from monitor.sources.network.address import is_address
from monitor.sources.network.ffmpeg import require_ffmpeg
from monitor.sources.network.network_device import NetworkDevice

ANSWER_S = 10.0  # longest time that the list of devices is waited for: a sound server may not answer


@dataclass(frozen=True, slots=True)
class Listener:
    """What a stream needs of a microphone."""

    settings: Audio  # with the device of the stream
    channel: Channel
    sample_rate: int  # of its model in Hz


class Microphones:
    """Makes the sources of streams, and opens each device once for all streams that name it.

    A stream that is added later shares the open microphone of its device if that records the channel; if it does not,
    the device is opened a second time, because the streams that use it are not to be interrupted.

    Args:
        end_when_lost: whether a source ends when its device is lost, instead of reconnecting.
    """

    def __init__(self, *, end_when_lost: bool = False) -> None:
        self._end_when_lost = end_when_lost
        self._microphones: list[RecordedDevice] = []

    def sources(self, listeners: Sequence[Listener]) -> list[MicrophoneSource]:
        """A source for each stream, in their order. They are not started; one that is not used has to be stopped."""
        self._microphones = [one for one in self._microphones if one.listeners]
        found = [self._joined(one) for one in listeners]
        by_device: dict[str, list[Listener]] = defaultdict(list)
        for listener, source in zip(listeners, found, strict=True):
            if source is None:
                by_device[listener.settings.device].append(listener)
        local = [device for device in by_device if not is_address(device)]
        only_one = len(local) + sum(isinstance(one, Microphone) for one in self._microphones) <= 1
        if local and not only_one:
            unpin_pulse_source()
            for microphone in self._microphones:
                microphone.only_one = False
        opened = {device: self._microphone(sharing, only_one) for device, sharing in by_device.items()}
        self._microphones += opened.values()
        return [
            MicrophoneSource(opened[listener.settings.device], listener.channel) if source is None else source
            for listener, source in zip(listeners, found, strict=True)
        ]

    def require_present(self, listeners: Sequence[Listener]) -> None:
        """Checks that the devices are there, and have the channels. They are not opened.

        Sources in the network need only ffmpeg: a server that is not there yet is waited for.

        Raises:
            MonitorError: if one is not, with a message for each.
        """
        wanted = dict.fromkeys(
            (one.settings.device, one.channel)
            for one in listeners
            if not any(_can_share(one, microphone) for microphone in self._microphones)
        )
        errors: list[MonitorError] = []
        devices = _devices() if any(not is_address(device) for device, _ in wanted) else []
        for device, channel in wanted:
            try:
                if is_address(device):
                    require_ffmpeg()
                    continue
                choose(devices, device).needed_channels(channel)
            except SourceLost as error:
                errors.append(
                    SourceLost(f"{error} One that was plugged in since the start may be found only after a restart.")
                )
            except MonitorError as error:
                errors.append(error)
        if errors:
            raise type(errors[0])(*(message for error in errors for message in error.messages))

    def _joined(self, listener: Listener) -> MicrophoneSource | None:
        """A source of a microphone that is open, None if there is none that this stream can share."""
        for microphone in self._microphones:
            if _can_share(listener, microphone):
                with contextlib.suppress(MonitorError):  # its last stream leaves it at this moment
                    return MicrophoneSource(microphone, listener.channel)
        return None

    def _microphone(self, sharing: Sequence[Listener], only_one: bool) -> RecordedDevice:
        return recorded_device(
            sharing[0].settings,
            max(one.sample_rate for one in sharing),
            [one.channel for one in sharing],
            end_when_lost=self._end_when_lost,
            only_one=only_one,
        )


def recorded_device(
    settings: Audio,
    sample_rate: int,
    channels: Sequence[Channel],
    *,
    end_when_lost: bool = False,
    only_one: bool = True,
) -> RecordedDevice:
    """A microphone, or the source in the network whose address `settings.device` is; arguments as for `Microphone`.

    Raises:
        ConfigError: if the address cannot be read.
    """
    if is_address(settings.device):
        return NetworkDevice(settings, sample_rate, channels, end_when_lost=end_when_lost)
    return Microphone(
        settings, sample_rate, channels, end_when_lost=end_when_lost, only_one=only_one, pin=pin_pulse_source
    )


def _can_share(listener: Listener, microphone: RecordedDevice) -> bool:
    return (
        microphone.listeners > 0 and microphone.settings == listener.settings and microphone.records(listener.channel)
    )


def _devices() -> list[Device]:
    """The devices that are there.

    Raises:
        MonitorError: if PortAudio is not installed.
        SourceLost: if the sound system does not answer.
    """
    found: list[Device] = []
    errors: list[MonitorError] = []

    def look() -> None:
        try:
            reinitialise()  # does nothing while a device is open
            with in_use():
                found.extend(input_devices())
        except MonitorError as error:
            errors.append(error)

    looking = threading.Thread(target=look, name="looking for devices", daemon=True)
    looking.start()
    looking.join(ANSWER_S)
    if looking.is_alive():
        raise SourceLost("The sound system does not answer: the microphones could not be looked for.")
    if errors:
        raise errors[0]
    return found
