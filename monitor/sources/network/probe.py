"""Looks what is behind an address: connects, waits for the first sound, and ends the connection."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from monitor.config.setting_types import Channel
from monitor.core.errors import ConfigError, MonitorError, SourceLost
from monitor.sources.channels import has_channel, no_channel
from monitor.sources.network.address import Address
from monitor.sources.network.network_stream import FIRST_SOUND_S, NetworkStream, form_text

AT_ONCE = 16  # addresses that are tried at the same time


@dataclass(frozen=True, slots=True)
class Found:
    """What an address sends."""

    name: str  # the address as it may be shown
    codec: str  # as ffmpeg calls it
    sample_rate: int  # Hz
    channels: int

    @property
    def form(self) -> str:
        """Codec, sample rate and channels in words."""
        return form_text(self.codec, self.sample_rate, self.channels)

    def as_json_text(self) -> str:
        """All of that as JSON."""
        return json.dumps(asdict(self), indent=2)

    def require(self, channel: Channel) -> None:
        """Checks that it has a channel.

        Raises:
            ConfigError: if it does not.
        """
        if not has_channel(channel, self.channels):
            raise ConfigError(no_channel(self.name, channel, self.channels))


def probe(address: Address) -> Found:
    """Connects to an address, and says what it sends. It takes until the first sound has arrived.

    Raises:
        SourceLost: if it sends no sound.
        MonitorError: if ffmpeg is not installed, or was built without the protocol.
    """
    stream = NetworkStream(address, None, 1.0)
    try:
        while not stream.receive(0.1):
            if stream.ended:
                raise SourceLost(f"{address.public}: {stream.why()}.")
            if time.monotonic() - stream.opened_at > FIRST_SOUND_S:
                raise SourceLost(f"{address.public}: sends no sound.")
        return Found(address.public, stream.log.codec, stream.sample_rate, stream.channels)
    finally:
        stream.close()


def probe_all(addresses: Sequence[Address]) -> list[Found | MonitorError]:
    """What each of several addresses sends, or why it sends nothing, in their order; some are tried at a time."""
    if not addresses:
        return []

    def outcome(address: Address) -> Found | MonitorError:
        try:
            return probe(address)
        except MonitorError as error:
            return error

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="probe") as threads:
        return list(threads.map(outcome, addresses))
