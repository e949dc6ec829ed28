"""Which channels a device has, and the sentence that says that it lacks one."""

from __future__ import annotations

from monitor.config.setting_types import Channel


def has_channel(channel: Channel, channels: int) -> bool:
    """Whether so many channels include this one; the mean of all is always there."""
    return channel == "mix" or channel < channels


def no_channel(name: str, channel: Channel, channels: int) -> str:
    """The sentence that says that a device with so many channels does not have one."""
    return (
        f"{name}: has no channel {channel}, its channels are 0 to {channels - 1}: choose one of them with --channel, "
        "or mix."
    )
