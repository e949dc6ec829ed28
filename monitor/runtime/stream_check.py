"""Checks whether streams could be started: their models, their recordings, and their microphones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from monitor.audio.reader import recording_header
from monitor.audio.sound_files import recordings_of
from monitor.bundle.bundle_io import load_bundle
from monitor.config.loader import SettingsSource
from monitor.config.setting_types import Channel
from monitor.config.sources import Audio, Stream
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.text import counted, duration_text
from monitor.sources.device.devices import choose, input_devices
from monitor.sources.network.address import Address, is_address, with_device
from monitor.sources.network.probe import probe_all


@dataclass(slots=True)
class Checked:
    """What was found out about a stream."""

    name: str
    found: list[str] = field(default_factory=list)  # what can be used, in a few words each
    errors: list[MonitorError] = field(default_factory=list)  # why the rest cannot


def check_streams(settings: SettingsSource, *, files: bool, devices: bool) -> Iterator[Checked]:
    """Checks the streams in the settings, or without streams the microphone of the settings.

    Args:
        settings: the settings.
        files: whether to load the models and to open the recordings.
        devices: whether to look for the microphones, which are not opened, and to connect to sources in the network.

    Yields:
        the result for each stream of which something was checked.

    Raises:
        MonitorError: if microphones are to be checked and PortAudio is not installed.
    """
    audio, streams = settings.config.audio, settings.config.streams
    listening = [_audio_of(stream, audio) for stream in streams if not stream.file] if streams else [audio]
    present = _Devices(listening) if devices else None
    for stream in streams:
        checked = Checked(stream.name)
        channel = stream.channel if stream.channel is not None else "mix"
        if files:
            channel = _check_files(stream, settings, checked)
        if present is not None and not stream.file:
            present.check(_audio_of(stream, audio), channel, checked)
        if checked.found or checked.errors:
            yield checked
    if present is not None and not streams:
        checked = Checked("microphone")
        present.check(audio, "mix", checked)
        yield checked


def _audio_of(stream: Stream, audio: Audio) -> Audio:
    """The settings of the microphone of a stream."""
    own = {"device": stream.device, "url_file": stream.url_file}
    return audio.model_copy(update=own) if any(own.values()) else audio


class _Devices:
    """The microphones that there are, and what the sources in the network send, of which each is asked once.

    Args:
        wanted: the settings of all microphones.

    Raises:
        MonitorError: if microphones of this computer are wanted, and PortAudio is not installed.
    """

    def __init__(self, wanted: Sequence[Audio]) -> None:
        devices: set[str] = set()
        for audio in wanted:
            with contextlib.suppress(ConfigError):  # it is reported by `check`
                devices.add(with_device(audio).device)
        addresses = [Address.parse(device) for device in devices if is_address(device)]
        self._sent = dict(zip(addresses, probe_all(addresses), strict=True))
        self._present = input_devices() if len(addresses) < len(devices) else []

    def check(self, audio: Audio, channel: Channel, checked: Checked) -> None:
        """Checks that there is the microphone, or the source in the network, and that it has the channel."""
        try:
            wanted = with_device(audio).device
            if is_address(wanted):
                sent = self._sent[Address.parse(wanted)]
                if isinstance(sent, MonitorError):
                    raise sent
                sent.require(channel)
                checked.found.append(f"{sent.name} ({sent.form})")
            else:
                device = choose(self._present, wanted)
                device.needed_channels(channel)
                checked.found.append(f"microphone {device.index} {device.name!r}")
        except MonitorError as error:
            checked.errors.append(error)


def _check_files(stream: Stream, settings: SettingsSource, checked: Checked) -> Channel:
    """Checks the model and the recordings; returns the channel that is monitored."""
    channel: Channel = "mix" if stream.channel is None else stream.channel
    try:
        bundle = load_bundle(stream.bundle)
        settings.for_model(bundle.config, str(stream.bundle), stream.alarm)
        channel = bundle.config.features.channel if stream.channel is None else stream.channel
        checked.found.append(f"model {stream.bundle} (limits made in {bundle.precision})")
    except MonitorError as error:
        checked.errors.append(error)
    seconds = 0.0
    readable = 0
    try:
        for file in recordings_of(stream.file):
            try:
                seconds += recording_header(file).duration_s
                readable += 1
            except MonitorError as error:
                checked.errors.append(error)
    except MonitorError as error:
        checked.errors.append(error)
    if readable:
        checked.found.append(f"{counted(readable, 'recording')} of {duration_text(seconds)}")
    return channel
