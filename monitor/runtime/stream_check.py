"""Checks whether streams could be started: their models, their recordings, and their microphones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from monitor.audio.reader import recording_header
from monitor.audio.sound_files import recordings_of
from monitor.bundle.bundle_io import load_bundle
from monitor.config.loader import SettingsSource
from monitor.config.schema import Channel, Stream
from monitor.core.errors import MonitorError
from monitor.core.text import counted, duration_text
from monitor.sources.device.devices import Device, choose, input_devices


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
        devices: whether to look for the microphones. They are not opened.

    Yields:
        the result for each stream of which something was checked.

    Raises:
        MonitorError: if microphones are to be checked and PortAudio is not installed.
    """
    present = input_devices() if devices else []
    audio = settings.config.audio
    for stream in settings.config.streams:
        checked = Checked(stream.name)
        channel = stream.channel if stream.channel is not None else "mix"
        if files:
            channel = _check_files(stream, settings, checked)
        if devices and not stream.file:
            _check_device(present, stream.device or audio.device, channel, checked)
        if checked.found or checked.errors:
            yield checked
    if devices and not settings.config.streams:
        checked = Checked("microphone")
        _check_device(present, audio.device, "mix", checked)
        yield checked


def _check_files(stream: Stream, settings: SettingsSource, checked: Checked) -> Channel:
    """Checks the model and the recordings; returns the channel that is monitored."""
    channel: Channel = "mix" if stream.channel is None else stream.channel
    try:
        bundle = load_bundle(stream.bundle)
        settings.for_model(bundle.config, str(stream.bundle), stream.alarm)
        channel = bundle.config.features.channel if stream.channel is None else stream.channel
        checked.found.append(f"model {stream.bundle}")
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


def _check_device(present: list[Device], wanted: str, channel: Channel, checked: Checked) -> None:
    try:
        device = choose(present, wanted)
        device.needed_channels(channel)
        checked.found.append(f"microphone {device.index} {device.name!r}")
    except MonitorError as error:
        checked.errors.append(error)
